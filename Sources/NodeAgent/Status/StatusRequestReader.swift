import DataPlane

/// Finds one whole request in what a connection has received.
enum StatusRequestReader {
    /// What was found.
    enum Outcome: Equatable {
        case needMore
        /// The head is whole and asks to be told to go on (RFC 9110 section 10.1.1).
        case needContinue
        case request(StatusRequest, byteCount: Int, keepsAlive: Bool)
        case fault(status: Int, reason: String)
    }

    private static let limits = HeadLimits(
        startLineByteLimit: 8_192,
        fieldLineByteLimit: 8_192,
        headByteLimit: StatusServer.headByteLimit,
        fieldCountMax: 64,
        bodyByteLimit: UInt64(StatusServer.bodyByteLimit)
    )

    /// Reads from the first byte.
    static func read(_ input: [UInt8], channel: StatusRequest.Channel) -> Outcome {
        var table = InlineArray<64, HeaderField>(repeating: HeaderField())
        let parse = input.withRawSpan { span in
            var fields = table.mutableSpan
            return HTTP1Head.parseRequest(span, into: &fields, limits: limits)
        }
        switch parse {
        case .needMore: return .needMore
        case .fault(let fault):
            return .fault(
                status: Int(fault.status),
                reason: "expected an HTTP/1.1 request, found a head with the fault \(fault)"
            )
        case .head(let head):
            let fields = (0..<head.fieldCount).map { table[$0] }
            return complete(head, fields, input, channel)
        }
    }

    private static func complete(
        _ head: HTTP1RequestHead,
        _ fields: [HeaderField],
        _ input: [UInt8],
        _ channel: StatusRequest.Channel
    ) -> Outcome {
        let bodyByteCount: Int
        switch head.framing {
        case .none, .untilClose: bodyByteCount = 0
        case .length(let length): bodyByteCount = Int(length)
        case .chunked:
            return .fault(status: 411, reason: "expected Content-Length, found a chunked body")
        }
        guard head.targetForm == .origin || head.targetForm == .absolute,
            let target = StatusRequest.target(text(input, head.pathOffset, head.pathLength))
        else { return .fault(status: 400, reason: "expected a path, found another request target") }
        let end = head.headByteCount + bodyByteCount
        guard input.count >= end else {
            return head.expectsContinue && input.count == head.headByteCount
                ? .needContinue : .needMore
        }
        var request = StatusRequest(
            channel: channel,
            method: text(input, head.methodOffset, head.methodLength),
            path: target.path.isEmpty ? "/" : target.path,
            query: target.query
        )
        if head.authorityLength > 0 {
            request.host = text(input, head.authorityOffset, head.authorityLength)
        }
        request.hasOrigin = fields.contains { $0.id == .origin }
        if let field = fields.first(where: { $0.id == .authorization }) {
            request.authorization = text(input, field.valueRange.lowerBound, field.valueRange.count)
        }
        request.body = Array(input[head.headByteCount..<end])
        return .request(request, byteCount: end, keepsAlive: head.keepAlive)
    }

    private static func text(_ input: [UInt8], _ offset: Int, _ count: Int) -> String {
        String(decoding: input[offset..<(offset + count)], as: UTF8.self)
    }
}
