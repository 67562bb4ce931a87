import DataPlane

/// What of a response has arrived.
package enum APIResponsePart: Equatable, Sendable {
    /// The head: status, and seconds of `Retry-After` (0 without).
    case head(status: Int, retryAfterSeconds: Int64)
    /// Bytes of the body, chunked coding removed.
    case body([UInt8])
    /// The response is complete.
    case end
    /// The server ended the connection after it had announced that without an error: what it said
    /// until then holds, and it or another server can be asked again at once.
    case withdrawn(String)
    /// It broke off, or is no HTTP: what was expected and what came.
    case broken(String)
}

/// Reads one HTTP/1.1 response from bytes as they come (RFC 9112). Pure.
struct APIResponseReader {
    private enum State {
        case head
        case length(UInt64)
        case chunked
        case untilClose
        case done
    }

    private static let limits = HeadLimits()
    private var state = State.head
    private var head: [UInt8] = []
    private var chunks = ChunkedDecoder()
    private var keepsAlive = false
    private var hasSurplus = false

    /// Whether the connection may carry another request: the response is complete, the server keeps
    /// the connection open, and nothing came after the response.
    var leavesConnectionOpen: Bool {
        guard case .done = state else { return false }
        return keepsAlive && !hasSurplus
    }

    /// Takes the next bytes.
    mutating func receive(_ bytes: [UInt8]) -> [APIResponsePart] {
        var parts: [APIResponsePart] = []
        var rest = bytes
        while !rest.isEmpty {
            switch state {
            case .done:
                hasSurplus = true
                return parts
            case .head: takeHead(&rest, &parts)
            case .untilClose:
                parts.append(.body(rest))
                return parts
            case .length(let remaining):
                let count = Int(min(remaining, UInt64(rest.count)))
                parts.append(.body(Array(rest[..<count])))
                rest.removeFirst(count)
                finish(remaining - UInt64(count), &parts)
            case .chunked: takeChunks(&rest, &parts)
            }
        }
        return parts
    }

    /// The connection ended.
    mutating func ended() -> APIResponsePart? {
        switch state {
        case .done: return nil
        case .untilClose:
            state = .done
            return .end
        case .head, .length, .chunked:
            state = .done
            return .broken("expected the end of the response, the connection ended")
        }
    }

    private mutating func finish(_ remaining: UInt64, _ parts: inout [APIResponsePart]) {
        if remaining > 0 {
            state = .length(remaining)
        } else {
            state = .done
            parts.append(.end)
        }
    }

    private mutating func takeHead(_ rest: inout [UInt8], _ parts: inout [APIResponsePart]) {
        head += rest
        rest = []
        var fields = [HeaderField](
            repeating: HeaderField(),
            count: APIResponseReader.limits.fieldCountMax
        )
        let outcome = head.withRawSpan { bytes in
            var table = fields.mutableSpan
            return HTTP1Head.parseResponse(
                bytes,
                requestIsHead: false,
                into: &table,
                limits: APIResponseReader.limits
            )
        }
        switch outcome {
        case .needMore: return
        case .fault(let fault):
            state = .done
            parts.append(.broken("expected a response head, found \(fault)"))
        case .head(let parsed):
            rest = Array(head[parsed.headByteCount...])
            let retryAfter = fields[..<parsed.fieldCount].first { $0.id == .retryAfter }
                .flatMap { Int64(String(decoding: head[$0.valueRange], as: UTF8.self)) }
            head = []
            guard !parsed.isInterim else { return }
            keepsAlive = parsed.keepAlive
            parts.append(
                .head(status: Int(parsed.status), retryAfterSeconds: max(retryAfter ?? 0, 0))
            )
            switch parsed.framing {
            case .none: finish(0, &parts)
            case .length(let count): state = .length(count)
            case .chunked: state = .chunked
            case .untilClose: state = .untilClose
            }
        }
    }

    private mutating func takeChunks(_ rest: inout [UInt8], _ parts: inout [APIResponsePart]) {
        let step = rest.withRawSpan { chunks.next($0) }
        switch step {
        case .data(let range):
            parts.append(.body(Array(rest[range])))
            rest.removeFirst(range.upperBound)
        case .needMore: rest = []
        case .end(let consumed):
            rest.removeFirst(consumed)
            state = .done
            parts.append(.end)
        case .fault(let fault):
            rest = []
            state = .done
            parts.append(.broken("expected chunked coding, found \(fault)"))
        }
    }
}
