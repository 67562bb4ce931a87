import DataPlane
import MeshModel

/// `compressor`: compresses responses in passing, as far as clients accept it.
struct Compressor: PluginDefinition {
    let name = "compressor"
    /// Innermost of the response's way out: whoever looks at a body before sees it as it was sent.
    let order = PluginOrder(.outer, .first, name: "compressor")

    /// What is compressed, and how.
    struct Settings: Equatable {
        var codings = ContentCoding.allCases
        var contentTypes = Compressor.contentTypes
        var byteCountMin = 1_024
    }

    /// Types that become much smaller.
    static let contentTypes = [
        "text/*", "application/json", "application/javascript", "application/xml",
        "application/xhtml+xml", "application/manifest+json", "application/wasm",
        "application/x-ndjson", "application/graphql-response+json", "application/problem+json",
        "image/svg+xml", "font/ttf", "font/otf",
    ]

    /// Types of streams: who reads them waits for each piece.
    static let streamTypes = ["text/event-stream", "application/x-ndjson"]

    static func settings(_ configuration: JSONValue) throws(PluginFault) -> Settings {
        var reader = try ConfigurationReader(configuration)
        var settings = Settings()
        if let names = try reader.strings("codings") {
            settings.codings = []
            for name in names {
                guard let coding = ContentCoding(rawValue: name) else {
                    throw PluginFault("codings: expected zstd, br or gzip, found \"\(name)\"")
                }
                if !settings.codings.contains(coding) { settings.codings.append(coding) }
            }
        }
        if let types = try reader.strings("contentTypes") {
            settings.contentTypes = types.map { $0.lowercased() }
        }
        if let bytes = try reader.integer("minBytes", 0...1_048_576) {
            settings.byteCountMin = Int(bytes)
        }
        try reader.finish()
        return settings
    }

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        _ = try Compressor.settings(configuration)
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        CompressorFilter(try Compressor.settings(binding.configuration), host.bodies)
    }
}

/// Compresses the bodies of one binding on one worker.
final class CompressorFilter: Filter {
    /// A piece of 64 KiB takes a millisecond or two; the rest is for a machine that is busy.
    static let timeBudget = Duration.milliseconds(250)

    private struct Body {
        let stream: CompressionStream
        let flushes: Bool
    }

    private let settings: Compressor.Settings
    private let bounds: BodyBounds
    private var bodies: [Int32: Body] = [:]

    init(_ settings: Compressor.Settings, _ bounds: BodyBounds) {
        self.settings = settings
        self.bounds = bounds
        super.init(
            name: "compressor",
            phases: [.responseHeaders, .responseData, .log],
            timeBudget: CompressorFilter.timeBudget,
            replacesData: true
        )
    }

    public override func responseHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard isCompressible(context) else { return .proceed }
        addVary(context)
        guard !endStream,
            let coding = ContentCoding.choose(
                from: context.requestHeaderValues("accept-encoding"),
                offered: settings.codings
            )
        else { return .proceed }
        guard bodies.count < bounds.bodyMax else {
            bounds.compressions.add()
            return .proceed
        }
        guard let stream = CompressionStream(coding) else {
            throw FilterError("expected memory for \(coding.rawValue), found none")
        }
        let type = context.responseHeader("content-type")?.lowercased() ?? ""
        bodies[context.slot] = Body(
            stream: stream,
            flushes: Compressor.streamTypes.contains { type.hasPrefix($0) }
        )
        context.streamResponseBody()
        context.addResponseHeader("content-encoding", coding.rawValue)
        changeRepresentation(context)
        return .proceed
    }

    public override func responseData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard let body = bodies[context.slot] else { return .proceed }
        let ends = context.isBodyEnd
        guard let output = body.stream.write(bytes, flushes: body.flushes, ends: ends) else {
            throw FilterError("expected the library to compress, found a fault")
        }
        context.replaceData(output)
        if ends { bodies[context.slot] = nil }
        return .proceed
    }

    public override func log(_ context: FilterContext) { bodies[context.slot] = nil }

    // MARK: The head

    /// Whether the response is one whose body may depend on what the client accepts: of a type that
    /// is worth it, whole, not coded, and not to be left alone (RFC 9110 section 7.7).
    private func isCompressible(_ context: FilterContext) -> Bool {
        let status = context.status
        guard status != 206, status != 204, status != 304, status >= 200,
            (context.responseHeader("content-encoding") ?? "identity") == "identity",
            context.responseHeader("content-range") == nil
        else { return false }
        let control = context.responseHeader("cache-control")?.lowercased() ?? ""
        guard !control.contains("no-transform") else { return false }
        if let length = context.responseHeader("content-length").flatMap({ Int($0) }),
            length < settings.byteCountMin
        {
            return false
        }
        let type = context.responseHeader("content-type")?.lowercased() ?? ""
        let essence = ContentCoding.trimmed(type.prefix { $0 != ";" })
        return settings.contentTypes.contains { pattern in
            pattern.hasSuffix("/*") ? essence.hasPrefix(pattern.dropLast()) : essence == pattern
        }
    }

    private func addVary(_ context: FilterContext) {
        let present = context.responseHeader("vary")?.lowercased() ?? ""
        guard !present.contains("accept-encoding"), present != "*" else { return }
        context.addResponseHeader("vary", "accept-encoding")
    }

    /// The compressed body is another representation: its bytes are others, so that a strong tag no
    /// longer names them (RFC 9110 section 8.8.3.3), nor a range or a digest.
    private func changeRepresentation(_ context: FilterContext) {
        if let tag = context.responseHeader("etag"), tag.hasPrefix("\"") {
            context.removeResponseHeader("etag")
            context.addResponseHeader("etag", "W/\(tag)")
        }
        for name in ["accept-ranges", "content-md5", "content-digest"] {
            context.removeResponseHeader(name)
        }
    }
}
