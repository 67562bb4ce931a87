import MeshModel
import TestSupport

@testable import DataPlane

/// How a conformance test's client reaches the proxy.
enum ConformanceTransport: String, CaseIterable, Sendable {
    case cleartext
    case tls
}

/// A raw client on real sockets, in cleartext or over TLS with ALPN; of HTTP/2 unless it offers
/// another protocol.
final class ConformancePeer {
    let rig: SocketRig
    let fd: Int32
    private let tls: TLSClient?
    private var plain: [UInt8] = []
    /// Whether the proxy has ended its direction.
    private var hasEnded = false

    /// Connects, and completes the handshake.
    init?(
        _ rig: SocketRig,
        _ transport: ConformanceTransport,
        offering name: String = "h2"
    ) throws {
        self.rig = rig
        guard transport == .tls else {
            tls = nil
            fd = try rig.connect(sending: "")
            return
        }
        let context = try TLSContext.client(authoritiesPEM: Array(TLSFixtures.authority.utf8))
        context.offer([name])
        guard let client = TLSClient(context, serverName: "first.example", isAddress: false) else {
            return nil
        }
        tls = client
        fd = try rig.connect(sending: client.start())
        guard run(until: { client.isEstablished }) else { return nil }
    }

    /// A proxy whose listener takes the transport.
    static func rig(
        _ transport: ConformanceTransport,
        limits: EngineLimits = EngineLimits(),
        settings: ListenerSettings = ListenerSettings(),
        listener: Filter? = nil
    ) throws -> SocketRig {
        guard transport == .tls else {
            return try SocketRig(limits: limits, settings: settings, listener: listener)
        }
        let context = try TLSContext.server(
            chainPEM: Array(TLSFixtures.firstChain.utf8),
            keyPEM: Array(TLSFixtures.firstKey.utf8)
        )
        let hosts = TLSHostTable([(.any, context)])
        return try SocketRig(limits: limits, tls: hosts, settings: settings, listener: listener)
    }

    /// Sends bytes of HTTP/2.
    func send(_ bytes: [UInt8]) {
        guard let tls else {
            rig.send(fd, bytes)
            return
        }
        rig.send(fd, unsafe (try? tls.send(bytes.span.bytes)) ?? [])
    }

    /// Turns everything until a condition holds, or for two seconds at most.
    @discardableResult
    func run(until condition: () -> Bool) -> Bool {
        rig.run {
            receive()
            return condition()
        }
    }

    private func receive() {
        let bytes = rig.take(fd)
        guard let tls else {
            plain += bytes
            hasEnded = rig.ended.contains(fd)
            return
        }
        var at = 0
        while at < bytes.count {
            let part = Array(bytes[at..<min(at + 8_000, bytes.count)])
            at += part.count
            guard let step = unsafe try? tls.receive(part.span.bytes) else {
                hasEnded = true
                return
            }
            plain += step.plaintext
            hasEnded = hasEnded || step.hasEnded
            if !step.output.isEmpty { rig.send(fd, step.output) }
        }
        hasEnded = hasEnded || rig.ended.contains(fd)
    }

    /// What came, of HTTP/1.
    var text: String { String(decoding: plain, as: UTF8.self) }
    /// The status line's code, of HTTP/1.
    var statusCode: String { String(text.dropFirst(9).prefix(3)) }
    /// Forgets what came.
    func forget() { plain = [] }

    /// Takes what came, without waiting for it.
    func look() { receive() }

    /// What came.
    var frames: [HTTP2Frames.Frame] { HTTP2Frames.parse(plain) }
    /// Whether the connection was ended by the proxy.
    var isClosed: Bool { hasEnded }

    /// The error codes of one type of frame, of one stream or any.
    func codes(_ type: UInt8, stream: UInt32? = nil) -> [UInt32] {
        frames.filter { $0.type == type && (stream == nil || $0.stream == stream) }
            .compactMap(\.code)
    }

    /// A stream's status, once its response has ended.
    func status(_ stream: UInt32) -> String? {
        let decoder = HeaderDecoder()
        var status: String?
        var isEnded = false
        for frame in frames {
            if frame.type == 1, let fields = decoder.decode(frame.payload),
                frame.stream == stream, let first = fields.first
            {
                status = String(first.dropFirst(9))
            }
            if frame.stream == stream && frame.type < 2 && frame.flags & 1 == 1 { isEnded = true }
        }
        return isEnded ? status : nil
    }

    /// Whether a PING with some payload was answered.
    func hasPong(_ byte: UInt8) -> Bool {
        frames.contains {
            $0.type == 6 && $0.flags == 1 && $0.payload == [UInt8](repeating: byte, count: 8)
        }
    }

    /// Whether the connection still answers.
    func answersPing(_ byte: UInt8 = 0x5a) -> Bool {
        send(HTTP2Frames.frame(6, 0, 0, [UInt8](repeating: byte, count: 8)))
        return run { hasPong(byte) }
    }
}
