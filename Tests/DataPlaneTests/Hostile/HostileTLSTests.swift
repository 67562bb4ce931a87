import MeshModel
import Testing

@testable import DataPlane

/// Clients that break TLS, over real sockets.
@Suite struct HostileTLSTests {
    private func rig() throws -> SocketRig {
        var limits = EngineLimits()
        limits.handshakeTimeout = .milliseconds(300)
        let context = try TLSContext.server(
            chainPEM: Array(TLSFixtures.firstChain.utf8),
            keyPEM: Array(TLSFixtures.firstKey.utf8)
        )
        return try SocketRig(limits: limits, tls: TLSHostTable([(.any, context)]))
    }

    private func client() throws -> TLSClient {
        let context = try TLSContext.client(authoritiesPEM: Array(TLSFixtures.authority.utf8))
        return try #require(TLSClient(context, serverName: "first.example", isAddress: false))
    }

    private func received(_ tls: TLSClient, _ bytes: [UInt8]) -> TLSClient.Received? {
        unsafe try? tls.receive(bytes.span.bytes)
    }

    private func sent(_ tls: TLSClient, _ bytes: [UInt8]) -> [UInt8] {
        unsafe (try? tls.send(bytes.span.bytes)) ?? []
    }

    private func expectHonestPeerServed(_ rig: SocketRig) throws {
        let tls = try client()
        let fd = try rig.connect(sending: tls.start())
        var plaintext: [UInt8] = []
        var hasAsked = false
        let isServed = rig.run {
            let bytes = rig.take(fd)
            guard !bytes.isEmpty, let step = received(tls, bytes) else {
                return false
            }
            plaintext += step.plaintext
            var output = step.output
            if tls.isEstablished && !hasAsked {
                hasAsked = true
                let request = "GET / HTTP/1.1\r\nHost: first.example\r\n\r\n"
                output += sent(tls, Array(request.utf8))
            }
            if !output.isEmpty { rig.send(fd, output) }
            return String(decoding: plaintext, as: UTF8.self).hasSuffix("\r\n\r\nok")
        }
        #expect(isServed)
    }

    private static let record: [UInt8] = [0x16, 3, 1, 0, 200]

    static let garbage: [(String, [UInt8])] = [
        ("a record of garbage", record + [UInt8](repeating: 0xaa, count: 200)),
        ("a hello of garbage", record + [1, 0, 0, 196] + [UInt8](repeating: 0xff, count: 196)),
        ("SSL 2", [0x80, 0x2e, 1, 0, 2, 0, 0x15] + [UInt8](repeating: 0, count: 60)),
        ("an alert", [0x15, 3, 3, 0, 2, 2, 40]),
        ("application data first", [0x17, 3, 3, 0, 4, 1, 2, 3, 4]),
        (
            "a record past its limit",
            [0x16, 3, 1, 0xff, 0xff] + [UInt8](repeating: 1, count: 1_000)
        ),
        ("zeros", [UInt8](repeating: 0, count: 500)),
        ("plain HTTP", Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8)),
        ("the preface of HTTP/2", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)),
    ]

    @Test(arguments: garbage.indices)
    func whatIsNoHandshakeEndsTheConnectionAtOnce(index: Int) throws {
        let (name, bytes) = Self.garbage[index]
        let rig = try rig()
        let fd = try rig.connect(sending: bytes)
        #expect(rig.run { rig.ended.contains(fd) }, "\(name)")
        #expect(rig.proxy.counters[.tlsErrors] == 1, "\(name)")
        #expect(rig.proxy.counters[.handshakeTimeouts] == 0, "\(name)")
        #expect(!rig.text(fd).contains("HTTP/1.1"), "\(name)")
        #expect(rig.heads.isEmpty, "\(name)")
        try expectHonestPeerServed(rig)
    }

    @Test(arguments: ["nothing", "half a hello", "a hello"])
    func silenceInAHandshakeEndsAtTheDeadline(sent: String) throws {
        let rig = try rig()
        let hello = try client().start()
        let bytes: [UInt8]
        switch sent {
        case "nothing": bytes = []
        case "half a hello": bytes = Array(hello.prefix(hello.count / 2))
        default: bytes = hello
        }
        let fd = try rig.connect(sending: bytes)
        #expect(rig.run { rig.ended.contains(fd) })
        #expect(rig.proxy.counters[.handshakeTimeouts] == 1)
        #expect(rig.proxy.counters[.tlsHandshakes] == 0)
        try expectHonestPeerServed(rig)
    }

    @Test func aHandshakeThatTricklesHasTheSameDeadline() throws {
        let rig = try rig()
        let hello = try client().start()
        let fd = try rig.connect(sending: [])
        var sent = 0
        let isEnded = rig.run {
            if sent < hello.count - 1 {
                rig.send(fd, [hello[sent]])
                sent += 1
            }
            return rig.ended.contains(fd)
        }
        #expect(isEnded)
        #expect(rig.proxy.counters[.handshakeTimeouts] == 1)
    }
}
