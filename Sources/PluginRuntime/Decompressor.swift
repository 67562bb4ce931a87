import DataPlane
import MeshModel

/// `decompressor`: decompresses requests in passing, within a length and a ratio.
struct Decompressor: PluginDefinition {
    let name = "decompressor"
    /// Before whoever looks at bodies.
    let order = PluginOrder(.outer, .last, name: "decompressor")

    /// What a body may become.
    struct Settings: Equatable {
        var codings = ContentCoding.allCases
        var byteLimit = 8_388_608
        var ratioMax = 100
    }

    static func settings(_ configuration: JSONValue) throws(PluginFault) -> Settings {
        var reader = try ConfigurationReader(configuration)
        var settings = Settings()
        if let bytes = try reader.integer("maxBytes", 1_024...67_108_864) {
            settings.byteLimit = Int(bytes)
        }
        if let ratio = try reader.integer("maxRatio", 1...1_000) { settings.ratioMax = Int(ratio) }
        try reader.finish()
        return settings
    }

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        _ = try Decompressor.settings(configuration)
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        DecompressorFilter(try Decompressor.settings(binding.configuration), host.bodies)
    }
}

/// Decompresses the bodies of one binding on one worker.
final class DecompressorFilter: Filter {
    /// Up to this length the ratio is not looked at: short texts of one letter are no attack.
    static let freeByteCount = 65_536

    private final class Body {
        let stream: DecompressionStream
        var inputByteCount = 0
        var outputByteCount = 0

        init(_ stream: DecompressionStream) { self.stream = stream }
    }

    private let settings: Decompressor.Settings
    private let bounds: BodyBounds
    private var bodies: [Int32: Body] = [:]

    init(_ settings: Decompressor.Settings, _ bounds: BodyBounds) {
        self.settings = settings
        self.bounds = bounds
        super.init(
            name: "decompressor",
            phases: [.requestHeaders, .requestData, .log],
            timeBudget: CompressorFilter.timeBudget,
            replacesData: true
        )
    }

    public override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        let values = context.requestHeaderValues("content-encoding")
        guard !endStream, values.count == 1, let coding = ContentCoding(name: values[0]) else {
            return .proceed
        }
        guard bodies.count < bounds.bodyMax else {
            bounds.decompressions.add()
            return .reply(PluginReply.message(503, "too many compressed bodies", context))
        }
        guard let stream = DecompressionStream(coding) else {
            throw FilterError("expected memory for \(coding.rawValue), found none")
        }
        bodies[context.slot] = Body(stream)
        context.removeRequestHeader("content-encoding")
        context.streamRequestBody()
        return .proceed
    }

    public override func requestData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard let body = bodies[context.slot] else { return .proceed }
        body.inputByteCount += bytes.byteCount
        let ofRatio = max(
            body.inputByteCount * settings.ratioMax,
            DecompressorFilter.freeByteCount
        )
        let room = min(settings.byteLimit, ofRatio) - body.outputByteCount
        switch body.stream.write(bytes, byteLimit: max(room, 0)) {
        case .tooLong:
            bodies[context.slot] = nil
            return .reply(PluginReply.message(413, "body too long when decompressed", context))
        case .invalid: return refuse(context)
        case .bytes(let output):
            body.outputByteCount += output.count
            context.replaceData(output)
            guard context.isBodyEnd else { return .proceed }
            guard body.stream.isEnded else { return refuse(context) }
            bodies[context.slot] = nil
            return .proceed
        }
    }

    public override func log(_ context: FilterContext) { bodies[context.slot] = nil }

    private func refuse(_ context: FilterContext) -> FilterAction {
        bodies[context.slot] = nil
        return .reply(PluginReply.message(400, "body is not what its coding says", context))
    }
}
