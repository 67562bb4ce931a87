import DataPlane
import MeshModel

/// `grpcWeb`: lets browsers speak gRPC-Web to servers of gRPC (PROTOCOL-WEB.md of the gRPC project).
struct GRPCWeb: PluginDefinition {
    let name = "grpcWeb"
    let order = PluginOrder(.transform, name: "grpcWeb")

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        try ConfigurationReader(configuration).finish()
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        try validate(binding.configuration)
        return GRPCWebFilter()
    }
}

/// Translates the messages of one binding on one worker: content types, base64 of the text form,
/// and trailers as the last frame of the body.
final class GRPCWebFilter: Filter {
    private static let web = "application/grpc-web"
    private static let text = "application/grpc-web-text"
    private static let plain = "application/grpc"

    private struct Call {
        /// The request's body is base64.
        var isTextRequest: Bool
        /// The response's is to be.
        var isTextResponse: Bool
        var decoder = Base64Stream.Decoder()
    }

    private var calls: [Int32: Call] = [:]

    init() {
        super.init(
            name: "grpcWeb",
            phases: [.requestHeaders, .requestData, .responseHeaders, .responseData, .log],
            replacesData: true
        )
    }

    // MARK: Requests

    public override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard let type = context.requestHeaderValues("content-type").first?.lowercased(),
            let form = GRPCWebFilter.form(of: type)
        else { return .proceed }
        let accepted = context.requestHeaderValues("accept").first?.lowercased() ?? type
        calls[context.slot] = Call(
            isTextRequest: form.isText,
            isTextResponse: accepted.hasPrefix(GRPCWebFilter.text)
        )
        context.removeRequestHeader("content-type")
        context.addRequestHeader("content-type", GRPCWebFilter.plain + form.suffix)
        context.removeRequestHeader("te")
        context.addRequestHeader("te", "trailers")
        if form.isText { context.streamRequestBody() }
        return .proceed
    }

    public override func requestData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard calls[context.slot]?.isTextRequest == true else { return .proceed }
        let isEnd = context.isBodyEnd
        guard let decoded = calls[context.slot]?.decoder.decode(bytes, ends: isEnd) else {
            return .reply(LocalReply(status: 400, body: Array("body is not base64".utf8)))
        }
        context.replaceData(decoded)
        return .proceed
    }

    /// What follows `application/grpc-web` or `-text` in a content type; `nil` for other types.
    private static func form(of type: String) -> (isText: Bool, suffix: String)? {
        let isText = type.hasPrefix(text)
        guard type.hasPrefix(web) else { return nil }
        let suffix = type.dropFirst(isText ? text.count : web.count)
        guard suffix.isEmpty || suffix.hasPrefix("+") || suffix.hasPrefix(";") else { return nil }
        return (isText, String(suffix))
    }

    // MARK: Responses

    public override func responseHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard let call = calls[context.slot],
            let type = context.responseHeader("content-type")?.lowercased(),
            type.hasPrefix(GRPCWebFilter.plain), !type.hasPrefix(GRPCWebFilter.web)
        else {
            calls[context.slot] = nil
            return .proceed
        }
        let suffix = type.dropFirst(GRPCWebFilter.plain.count)
        let form = call.isTextResponse ? GRPCWebFilter.text : GRPCWebFilter.web
        context.removeResponseHeader("content-type")
        context.addResponseHeader("content-type", form + suffix)
        context.streamResponseBody()
        return .proceed
    }

    public override func responseData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        guard let call = calls[context.slot] else { return .proceed }
        let isEnd = context.isBodyEnd
        guard call.isTextResponse || isEnd else { return .proceed }
        var body: [UInt8] = []
        body.append(copying: bytes)
        if isEnd {
            body += GRPCWebFilter.trailerFrame(context)
            context.removeAllResponseTrailers()
        }
        context.replaceData(call.isTextResponse ? Base64Stream.encode(body) : body)
        return .proceed
    }

    /// The trailers as a frame: a byte with the highest bit, the length, lines of HTTP/1.
    private static func trailerFrame(_ context: FilterContext) -> [UInt8] {
        var lines: [UInt8] = []
        context.forEachResponseTrailer { name, value in
            lines += String(decodingBytes: name).lowercased().utf8
            lines += ": ".utf8
            lines.append(copying: value)
            lines += "\r\n".utf8
        }
        guard !lines.isEmpty else { return [] }
        let count = UInt32(lines.count)
        return [0x80] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + lines
    }

    public override func log(_ context: FilterContext) { calls[context.slot] = nil }
}
