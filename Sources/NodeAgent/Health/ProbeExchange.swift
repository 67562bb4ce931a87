import Addressing
import MeshModel

/// What one probe sends and what it makes of the answer. Knows no sockets.
struct ProbeExchange: Sendable {
    /// What is known so far.
    enum Verdict: Equatable {
        /// More bytes are needed, after these were sent.
        case undecided(reply: [UInt8])
        case healthy
        case unhealthy
    }

    /// Bytes of an answer without a verdict; more is unhealthy.
    static let answerByteLimit = 65_536

    /// What is sent once the connection is there; empty where the connection is all that counts.
    let request: [UInt8]
    private let probe: HealthCheckSettings.Probe
    private var received: [UInt8] = []
    private var message: [UInt8] = []

    /// Makes the exchange of a probe.
    init(_ probe: HealthCheckSettings.Probe, address: SocketAddress, isTLS: Bool) {
        self.probe = probe
        switch probe {
        case .tcp: request = []
        case .http(let path, let host, _):
            let authority = host.isEmpty ? address.description : host
            request = Array(
                ("GET \(path) HTTP/1.1\r\nHost: \(authority)\r\nUser-Agent: martlet-health\r\n"
                    + "Accept: */*\r\nConnection: close\r\n\r\n").utf8
            )
        case .grpc(let service):
            request = GRPCProbe.request(service, authority: address.description, isTLS: isTLS)
        }
    }

    /// Takes bytes of the answer.
    mutating func receive(_ bytes: [UInt8]) -> Verdict {
        received += bytes
        guard received.count <= ProbeExchange.answerByteLimit else { return .unhealthy }
        switch probe {
        case .tcp: return .healthy
        case .http(_, _, let statuses): return judgeHead(statuses)
        case .grpc: return GRPCProbe.judge(&received, &message)
        }
    }

    /// The status line of the first response that is not interim (RFC 9110 section 15.2).
    private mutating func judgeHead(_ statuses: ClosedRange<UInt16>) -> Verdict {
        let versions = ["HTTP/1.1 ", "HTTP/1.0 "].map { Array($0.utf8) }
        while received.count >= 12 {
            guard versions.contains(Array(received[..<9])),
                let status = UInt16(String(decoding: received[9..<12], as: UTF8.self))
            else { return .unhealthy }
            guard status < 200, !statuses.contains(status) else {
                return statuses.contains(status) ? .healthy : .unhealthy
            }
            let ends = received.indices.dropFirst(3).first {
                received[($0 - 3)...$0].elementsEqual([13, 10, 13, 10])
            }
            guard let ends else { return .undecided(reply: []) }
            received.removeFirst(ends + 1)
        }
        return .undecided(reply: [])
    }
}

/// `grpc.health.v1.Health/Check` over HTTP/2 (RFC 9113), one request on one connection.
enum GRPCProbe {
    private enum Frame {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let goAway: UInt8 = 7
        static let endStream: UInt8 = 1
        static let acknowledgement: UInt8 = 1
        static let endHeaders: UInt8 = 4
        static let padded: UInt8 = 8
    }

    private static let headByteCount = 9
    private static let prefixByteCount = 5
    private static let serving: UInt8 = 1

    /// Preface, SETTINGS, the request's HEADERS and its message.
    static func request(_ service: String, authority: String, isTLS: Bool) -> [UInt8] {
        // Indexed fields of the static table: `:method: POST`, `:scheme` (RFC 7541 appendix A).
        var block: [UInt8] = [0x83, isTLS ? 0x87 : 0x86]
        block += [0x04] + text("/grpc.health.v1.Health/Check")
        block += [0x01] + text(authority)
        block += [0x0f, 0x10] + text("application/grpc")
        block += [0x00] + text("te") + text("trailers")
        var message: [UInt8] = []
        let name = Array(service.utf8)
        if !name.isEmpty { message = [0x0a] + variableLength(name.count) + name }
        let prefix = [0] + bigEndian(UInt32(message.count))
        return Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
            + frame(Frame.settings, 0, stream: 0, [])
            + frame(Frame.headers, Frame.endHeaders, stream: 1, block)
            + frame(Frame.data, Frame.endStream, stream: 1, prefix + message)
    }

    /// Reads whole frames out of what came.
    static func judge(_ received: inout [UInt8], _ message: inout [UInt8])
        -> ProbeExchange.Verdict
    {
        var reply: [UInt8] = []
        while received.count >= headByteCount {
            let length = Int(received[0]) << 16 | Int(received[1]) << 8 | Int(received[2])
            let (type, flags) = (received[3], received[4])
            guard received.count >= headByteCount + length else { break }
            let payload = Array(received[headByteCount..<headByteCount + length])
            received.removeFirst(headByteCount + length)
            switch type {
            case Frame.settings where flags & Frame.acknowledgement == 0:
                reply += frame(Frame.settings, Frame.acknowledgement, stream: 0, [])
            case Frame.goAway, Frame.reset: return .unhealthy
            case Frame.data:
                guard let content = unpadded(payload, flags) else { return .unhealthy }
                message += content
                if let isServing = isServing(message) { return isServing ? .healthy : .unhealthy }
                if flags & Frame.endStream != 0 { return .unhealthy }
            case Frame.headers where flags & Frame.endStream != 0: return .unhealthy
            default: break
            }
        }
        return .undecided(reply: reply)
    }

    /// Whether a HealthCheckResponse says SERVING; `nil` before it is whole.
    private static func isServing(_ message: [UInt8]) -> Bool? {
        guard message.count >= prefixByteCount else { return nil }
        let length = message[1..<prefixByteCount].reduce(0) { $0 << 8 | Int($1) }
        // A message is one field; a compressed one was not asked for.
        guard message[0] == 0, length <= 64 else { return false }
        guard message.count >= prefixByteCount + length else { return nil }
        return message[prefixByteCount..<prefixByteCount + length].elementsEqual([0x08, serving])
    }

    private static func unpadded(_ payload: [UInt8], _ flags: UInt8) -> ArraySlice<UInt8>? {
        guard flags & Frame.padded != 0 else { return payload[...] }
        guard let padding = payload.first, Int(padding) < payload.count else { return nil }
        return payload[1..<(payload.count - Int(padding))]
    }

    private static func frame(
        _ type: UInt8,
        _ flags: UInt8,
        stream: UInt32,
        _ payload: [UInt8]
    ) -> [UInt8] {
        bigEndian(UInt32(payload.count)).dropFirst() + [type, flags] + bigEndian(stream) + payload
    }

    /// A string literal without Huffman code, of at most 126 bytes (RFC 7541 section 5.2).
    private static func text(_ text: String) -> [UInt8] {
        let bytes = text.utf8.prefix(126)
        return [UInt8(bytes.count)] + bytes
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) }
    }

    private static func variableLength(_ number: Int) -> [UInt8] {
        number < 128 ? [UInt8(number)] : [UInt8(number & 127) | 128] + variableLength(number >> 7)
    }
}
