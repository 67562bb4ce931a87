import Addressing
import LinuxSystem
import MeshModel
import Testing

@testable import DataPlane

/// Connections to endpoints that begin by the PROXY protocol, and bounds of requests on one.
@Suite struct NamedUpstreamTests {
    private func rig(
        _ version: UInt8,
        _ change: (inout BackendSettings) -> Void = { _ in }
    ) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = BackendSettings()
        settings.proxyProtocolVersion = version
        change(&settings)
        rig.install(clusters: [[0]], settings: settings)
        return rig
    }

    /// The header that a connection to the endpoint began with, and what stands behind it.
    private func split(
        _ rig: EngineRig,
        _ fd: Int32
    ) -> (header: ProxyHeader?, rest: String) {
        let bytes = rig.bytes(fd)
        guard case .header(let header, let count) = bytes.withRawSpan({ ProxyHeader.read($0) })
        else { return (nil, rig.text(fd)) }
        return (header, String(decoding: bytes[count...], as: UTF8.self))
    }

    @Test(arguments: [UInt8(1), 2])
    func theEndpointIsToldOfTheClientOnceAConnection(version: UInt8) throws {
        let rig = try rig(version)
        let client = rig.connect(sending: EngineRig.get("/a"))
        rig.answer()
        rig.send(client, EngineRig.get("/b"))
        rig.answer()
        #expect(rig.upstreams[0].count == 1, "the same client's next request goes the same way")
        let (header, rest) = split(rig, rig.upstreams[0][0])
        let ends = try #require(header?.ends)
        #expect(ends.source.ip == .loopbackIPv4 && ends.destination == EngineRig.entrance)
        #expect(rest.hasPrefix("GET /a HTTP/1.1\r\n") && rest.contains("GET /b HTTP/1.1\r\n"))
        #expect(rest.ranges(of: "PROXY").isEmpty)
        #expect(rig.bytes(rig.upstreams[0][0]).first == (version == 1 ? 80 : 13))
        #expect(rig.text(client).ranges(of: "HTTP/1.1 200").count == 2)
    }

    @Test func noConnectionServesTwoClients() throws {
        let rig = try rig(1)
        let first = rig.connect(sending: EngineRig.get)
        rig.answer()
        let second = rig.connect(sending: EngineRig.get)
        #expect(rig.upstreams[0].count == 2)
        rig.answer()
        rig.send(first, EngineRig.get)
        rig.send(rig.upstreams[0][0], EngineRig.ok)
        #expect(rig.upstreams[0].count == 2)
        #expect(rig.text(first).ranges(of: "HTTP/1.1 200").count == 2)
        #expect(rig.text(second).ranges(of: "HTTP/1.1 200").count == 1)
        // The first client leaves: nobody gets what was made in its name, not even who takes its place.
        rig.network.close(first)
        rig.settle()
        #expect(rig.ended.contains(rig.upstreams[0][0]))
        #expect(!rig.ended.contains(rig.upstreams[0][1]))
        _ = rig.connect(sending: EngineRig.get)
        #expect(rig.upstreams[0].count == 3)
        #expect(rig.proxy.namedConnections.count == 2)
    }

    @Test func aBodyAndAWholeHeadArriveBehindTheHeader() throws {
        let rig = try rig(2)
        let client = rig.connect(
            sending: "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\n"
        )
        rig.send(client, "body")
        let (header, rest) = split(rig, try #require(rig.upstreams[0].first))
        #expect(header?.ends != nil)
        #expect(rest.hasPrefix("POST /p HTTP/1.1\r\n") && rest.hasSuffix("\r\n\r\nbody"))
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test func connectionsOfAPolicyAreNotUsedUnderAnother() throws {
        let rig = try rig(0)
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        var settings = BackendSettings()
        settings.proxyProtocolVersion = 1
        rig.install(clusters: [[0]], settings: settings)
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.upstreams[0].count == 2)
        #expect(split(rig, rig.upstreams[0][0]).header == nil)
        #expect(split(rig, rig.upstreams[0][1]).header?.ends != nil)
        rig.install(clusters: [[0]])
        rig.send(client, EngineRig.get)
        rig.send(rig.upstreams[0][0], EngineRig.ok)
        // The first connection, which told of nobody, is still there and serves again.
        #expect(rig.requestCount(0) == 3)
        #expect(split(rig, rig.upstreams[0][1]).rest.ranges(of: "GET / ").count == 1)
        #expect(rig.text(client).ranges(of: "HTTP/1.1 200").count == 3)
    }

    @Test func anEndpointThatIsGoneLeavesTheRequestToAnother() throws {
        let rig = try EngineRig(endpointCount: 2, dead: [0])
        var settings = BackendSettings()
        settings.proxyProtocolVersion = 1
        rig.install(clusters: [[0, 1]], settings: settings)
        for _ in 0..<2 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: 1)
            #expect(rig.status(client) == "200")
        }
        for fd in rig.upstreams[1] {
            #expect(rig.text(fd).ranges(of: "PROXY TCP4 ").count == 1)
        }
    }

    @Test func streamsAreSharedByOneClientAlone() throws {
        let rig = try rig(1) { $0.version = .http2 }
        let first = rig.connect(sending: EngineRig.get)
        _ = rig.connect(sending: EngineRig.get)
        #expect(rig.upstreams[0].count == 2)
        for fd in rig.upstreams[0] {
            let (header, rest) = split(rig, fd)
            #expect(header?.ends != nil && rest.hasPrefix("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        }
        rig.network.close(first)
        rig.settle()
    }

    @Test func aTunnelBeginsByTheHeaderAsWell() throws {
        let rig = try EngineRig()
        var settings = BackendSettings()
        settings.proxyProtocolVersion = 1
        var listener = ListenerSettings()
        listener.allowsConnect = true
        rig.install(clusters: [[0]], settings: settings, listenerSettings: listener)
        let client = rig.connect(sending: "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n")
        rig.send(client, "hello")
        let (header, rest) = split(rig, try #require(rig.upstreams[0].last))
        #expect(header?.ends != nil && rest == "hello")
    }

    @Test(arguments: [UInt8(0), 1])
    func aConnectionCarriesNoMoreRequestsThanItsBound(version: UInt8) throws {
        let rig = try rig(version) { $0.requestsPerConnection = 2 }
        let client = rig.connect()
        for _ in 0..<5 {
            rig.send(client, EngineRig.get)
            rig.answer()
        }
        #expect(rig.text(client).ranges(of: "HTTP/1.1 200").count == 5)
        #expect(rig.upstreams[0].count == 3)
        #expect(rig.ended.contains(rig.upstreams[0][0]) && rig.ended.contains(rig.upstreams[0][1]))
        #expect(!rig.ended.contains(rig.upstreams[0][2]))
    }

    @Test func theBoundHoldsForStreams() throws {
        let rig = try rig(0) {
            $0.version = .http2
            $0.requestsPerConnection = 2
        }
        let clients = (0..<3).map { _ in rig.connect(sending: EngineRig.get) }
        #expect(rig.upstreams[0].count == 2)
        let endpoint = try #require(HTTP2Endpoint(rig))
        #expect(endpoint.heads.count == 1)
        endpoint.answer(1)
        #expect(clients.contains { rig.status($0) == "200" })
    }
}
