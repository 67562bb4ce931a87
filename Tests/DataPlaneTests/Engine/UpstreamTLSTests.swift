import MeshModel
import Testing

@testable import DataPlane

/// TLS towards endpoints.
@Suite struct UpstreamTLSTests {
    private func rig(_ host: String, _ change: (inout BackendSettings) -> Void = { _ in }) throws
        -> EngineRig
    {
        let rig = try EngineRig()
        var settings = BackendSettings()
        settings.tls = BackendTLSSettings(host: host)
        settings.tls?.caPEM = Array(TLSFixtures.authority.utf8)
        change(&settings)
        rig.install(clusters: [[0]], settings: settings)
        return rig
    }

    @Test func requestsGoEncryptedByTheProtocolThatIsAgreedOn() throws {
        let rig = try rig("first.example")
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(try TLSEndpoint(rig))
        endpoint.exchange()
        #expect(endpoint.session.speaksHTTP2)
        let frames = HTTP2Frames.parse(Array(endpoint.plaintext.dropFirst(24)))
        #expect(frames.contains { $0.type == 1 && $0.stream == 1 })
        endpoint.send(
            HTTP2Frames.frame(4, 0, 0, [])
                + HTTP2Frames.headers(1, [(":status", "200")], ends: true)
        )
        #expect(rig.status(client) == "200")
        #expect(rig.proxy.counters[.upstreamTLSHandshakes] == 1)
    }

    @Test func theOlderVersionIsSpokenWhereThatIsAskedForAndTheConnectionIsKept() throws {
        let rig = try rig("first.example") { $0.version = .http1 }
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc"
        let client = rig.connect(sending: head)
        let endpoint = try #require(try TLSEndpoint(rig))
        endpoint.exchange()
        #expect(endpoint.text.hasPrefix("POST / HTTP/1.1\r\n") && endpoint.text.hasSuffix("abc"))
        let ok = Array("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".utf8)
        endpoint.send(ok)
        #expect(rig.status(client) == "200")
        rig.send(client, EngineRig.get)
        endpoint.exchange()
        #expect(endpoint.text.contains("GET / HTTP/1.1"))
        #expect(rig.upstreams[0].count == 1)
    }

    @Test(arguments: [
        [BackendTLSSettings.SubjectName.host("first.example")],
        [.uri("spiffe://other"), .host("first.example")],
    ])
    func theCertificateMayHaveOneOfSeveralNames(_ names: [BackendTLSSettings.SubjectName]) throws {
        let rig = try rig("sent.example") { $0.tls?.names = names }
        _ = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(try TLSEndpoint(rig))
        endpoint.exchange()
        #expect(endpoint.plaintext.count > 24)
    }

    @Test(arguments: ["wrong.example", "uri", "authority"])
    func anEndpointThatIsNotBelievedGetsNothing(_ reason: String) throws {
        let rig = try rig(reason == "wrong.example" ? reason : "first.example") { settings in
            if reason == "uri" { settings.tls?.names = [.uri("spiffe://nobody")] }
            if reason == "authority" { settings.tls?.caPEM = Array(TLSFixtures.firstChain.utf8) }
        }
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<3 {
            let endpoint = try #require(try TLSEndpoint(rig))
            endpoint.exchange()
            #expect(endpoint.plaintext.isEmpty)
        }
        #expect(rig.status(client) == "503")
        #expect(rig.proxy.counters[.upstreamCertificateErrors] == 3)
    }

    @Test func aConnectionMadeUnderOtherSettingsServesNobodyMore() throws {
        let rig = try rig("first.example") { $0.version = .http1 }
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(try TLSEndpoint(rig))
        endpoint.exchange()
        var settings = BackendSettings()
        settings.tls = BackendTLSSettings(host: "first.example")
        settings.tls?.caPEM = Array(TLSFixtures.authority.utf8)
        settings.tls?.names = [.host("first.example")]
        settings.version = .http1
        rig.install(clusters: [[0]], settings: settings)
        endpoint.send(Array("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".utf8))
        #expect(rig.status(client) == "200")
        rig.send(client, EngineRig.get)
        #expect(rig.upstreams[0].count == 2)
        let other = try #require(try TLSEndpoint(rig))
        other.exchange()
        #expect(other.text.hasPrefix("GET / HTTP/1.1\r\n"))
    }

    @Test func anAnswerEndsWithTheSessionThatBringsItThoughTheConnectionStays() throws {
        let rig = try rig("first.example") { $0.version = .http1 }
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(try TLSEndpoint(rig))
        endpoint.exchange()
        endpoint.end(Array("HTTP/1.1 200 OK\r\n\r\nall of it".utf8))
        #expect(rig.status(client) == "200")
        #expect(rig.text(client).hasSuffix("9\r\nall of it\r\n0\r\n\r\n"))
    }

    @Test func plaintextBeforeTheHandshakeIsNoAnswer() throws {
        let rig = try rig("first.example")
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<3 { rig.answer() }
        #expect(rig.status(client) == "503" && !rig.text(client).contains("ok"))
        #expect(rig.proxy.counters[.upstreamTLSErrors] == 3)
    }

    @Test func aClusterWhoseCertificateIsAbsentIsNotReached() throws {
        let rig = try rig("first.example") { settings in
            settings.tls?.certificate = ObjectKey(.secret, namespace: "ns", name: "absent")
        }
        let client = rig.connect(sending: EngineRig.get)
        #expect(rig.status(client) == "503" && rig.upstreams[0].isEmpty)
    }
}

/// The newest connection to an endpoint of an engine rig, spoken to in TLS.
private final class TLSEndpoint {
    private let rig: EngineRig
    private let fd: Int32
    private let transport: TLSTransport
    let session: TLSSession
    private let room = ScratchBuffer(capacity: 262_144)
    private var taken = 0
    private(set) var plaintext: [UInt8] = []

    init?(_ rig: EngineRig) throws {
        let context = try TLSContext.server(
            chainPEM: Array(TLSFixtures.firstChain.utf8),
            keyPEM: Array(TLSFixtures.firstKey.utf8)
        )
        guard let fd = rig.upstreams[0].last, let transport = TLSTransport(),
            let session = TLSSession.server(context, transport)
        else { return nil }
        self.rig = rig
        self.fd = fd
        self.transport = transport
        self.session = session
    }

    var text: String { String(decoding: plaintext, as: UTF8.self) }

    /// Takes what has come and answers it, until nothing more comes.
    func exchange() {
        for _ in 0..<4 {
            let bytes = Array(rig.bytes(fd).dropFirst(taken))
            taken += bytes.count
            var target = room.mutableBytes(0, room.capacity)
            if case .plaintext(let count) = bytes.withRawSpan({ session.receive($0, into: &target) }
            ) {
                plaintext += room.array(0, count)
            }
            flush()
        }
    }

    func send(_ bytes: [UInt8]) {
        _ = bytes.withRawSpan { session.send($0) }
        flush()
    }

    /// Sends bytes and the session's end at once, and leaves the connection open.
    func end(_ bytes: [UInt8]) {
        _ = bytes.withRawSpan { session.send($0) }
        session.shutDown()
        flush()
    }

    private func flush() {
        let output = transport.output.array(0, transport.output.count)
        transport.output.reset()
        rig.send(fd, output)
    }
}
