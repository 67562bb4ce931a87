/// Local replies to requests of gRPC: its clients read a status of gRPC, not of HTTP.
extension HTTPProxy {
    /// Bytes of a reply's body that go into its message.
    private static let messageByteLimit = 1_024

    /// A reply in the form its request understands: to gRPC, 200 with nothing but a head, which
    /// says the status and why (gRPC over HTTP/2, "Trailers-Only").
    func shaped(_ reply: LocalReply, for exchange: ExchangeHandle) -> LocalReply {
        guard reply.status != 200, asksForGRPC(exchange) else { return reply }
        let isLate =
            reply.status == 504 && exchanges[exchange].responseFlags.contains(.upstreamTimeout)
        let status = isLate ? .deadlineExceeded : GRPCStatus(httpStatus: reply.status)
        exchanges[exchange].grpcStatus = status.rawValue
        exchanges[exchange].flags.insert(.grpc)
        annexes[annex(exchange)].localStatus = reply.status
        var shaped = LocalReply(status: 200)
        shaped.fields = reply.fields.filter { $0.name != "content-type" }
        shaped.fields.append(LocalReply.Field("content-type", "application/grpc"))
        shaped.fields.append(LocalReply.Field("grpc-status", String(status.rawValue)))
        shaped.fields.append(LocalReply.Field("grpc-message", HTTPProxy.message(of: reply)))
        return shaped
    }

    /// Whether the request's content type is `application/grpc`, with or without a format.
    private func asksForGRPC(_ exchange: ExchangeHandle) -> Bool {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        for index in fields.indices where fields[index].id == .contentType {
            let range = fields[index].valueRange
            guard range.count >= 16,
                bytes.equalsIgnoringCase(range.lowerBound, 16, "application/grpc")
            else { return false }
            guard range.count > 16 else { return true }
            switch bytes.byte(at: range.lowerBound + 16) {
            case UInt8(ascii: "+"), UInt8(ascii: ";"), UInt8(ascii: " "): return true
            default: return false
            }
        }
        return false
    }

    /// The reply's body, or what its status means, percent-encoded.
    private static func message(of reply: LocalReply) -> String {
        let text =
            reply.body.isEmpty
            ? Array("\(StatusText.reason(reply.status))".utf8)
            : Array(reply.body.prefix(messageByteLimit))
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in text {
            if (0x20...0x7e).contains(byte) && byte != UInt8(ascii: "%") {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
