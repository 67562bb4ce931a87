import MeshModel
import Testing

@testable import DataPlane

/// WebSocket to endpoints that speak HTTP/2 (RFC 8441), for clients of both versions.
@Suite struct UpstreamTunnelTests {
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL.
    private static let allowance: [UInt8] = [0, 8, 0, 0, 0, 1]
    private static let upgrade =
        "GET /chat HTTP/1.1\r\nhost: h.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        + "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        + "sec-websocket-protocol: chat\r\n\r\n"
    private static let extended = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
        (":authority", "h.example"), (":path", "/chat"), ("sec-websocket-version", "13"),
    ]

    private func rig() throws -> EngineRig {
        let rig = try EngineRig()
        var settings = BackendSettings()
        settings.version = .http2
        rig.install(clusters: [[0]], settings: settings)
        return rig
    }

    @Test func anUpgradeBecomesAStreamAndIsAnsweredAsOne() throws {
        let rig = try rig()
        let client = rig.connect(sending: UpstreamTunnelTests.upgrade)
        let fd = try #require(rig.upstreams[0].last)
        #expect(HTTP2Frames.parse(Array(rig.bytes(fd).dropFirst(24))).allSatisfy { $0.type != 1 })
        let endpoint = try #require(
            HTTP2Endpoint(rig, settings: UpstreamTunnelTests.allowance)
        )
        let head = try #require(endpoint.heads.first)
        #expect(
            Array(head.prefix(5)) == [
                ":method: CONNECT", ":protocol: websocket", ":scheme: http",
                ":authority: h.example", ":path: /chat",
            ]
        )
        #expect(head.contains("sec-websocket-version: 13"))
        #expect(head.contains("sec-websocket-protocol: chat"))
        for name in ["sec-websocket-key", "upgrade", "connection"] {
            #expect(!head.contains { $0.hasPrefix("\(name): ") }, "\(name)")
        }
        #expect(rig.text(client) == "")
        let answer = [(":status", "200"), ("sec-websocket-protocol", "chat")]
        endpoint.send(
            HTTP2Frames.headers(1, answer, ends: false),
            HTTP2Frames.data(1, "behind", ends: false)
        )
        let text = rig.text(client)
        #expect(text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(text.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(text.contains("sec-websocket-protocol: chat\r\n"))
        #expect(text.hasSuffix("\r\n\r\nbehind"))
        rig.send(client, "ping")
        #expect(endpoint.body(1) == "ping")
        let other = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(other) == "200" && rig.upstreams[0].count == 1)
        rig.network.endSending(client)
        rig.settle()
        #expect(endpoint.frames(0).last?.flags == 1)
        endpoint.send(HTTP2Frames.data(1, "bye", ends: true))
        #expect(rig.text(client).hasSuffix("behindbye") && rig.ended.contains(client))
        #expect(rig.proxy.exchanges.count == 0 && endpoint.frames(3).isEmpty)
    }

    @Test func extendedConnectStaysExtendedConnect() throws {
        let rig = try rig()
        let first = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(
            HTTP2Endpoint(rig, settings: UpstreamTunnelTests.allowance)
        )
        endpoint.answer(1)
        #expect(rig.status(first) == "200")
        let client = HTTP2Client(rig)
        client.send(
            HTTP2Frames.headers(1, UpstreamTunnelTests.extended, ends: false),
            HTTP2Frames.data(1, "ahead", ends: false)
        )
        #expect(endpoint.heads.last?.prefix(2) == [":method: CONNECT", ":protocol: websocket"])
        #expect(endpoint.body(3) == "", "nothing passes before the endpoint agrees")
        endpoint.send(HTTP2Frames.headers(3, [(":status", "200")], ends: false))
        #expect(client.messages[1]?.heads == [[":status: 200"]])
        #expect(endpoint.body(3) == "ahead")
        let piece = String(repeating: "x", count: 16_000)
        for _ in 0..<10 {
            endpoint.send(HTTP2Frames.data(3, piece, ends: false))
            client.send(HTTP2Frames.window(0, 16_000), HTTP2Frames.window(1, 16_000))
            client.send(HTTP2Frames.data(1, piece, ends: false))
            endpoint.send(HTTP2Frames.window(0, 16_000), HTTP2Frames.window(3, 16_000))
        }
        #expect(client.messages[1]?.body.count == 160_000)
        #expect(endpoint.body(3).utf8.count == 160_005)
        rig.pass(seconds: 70)
        #expect(client.messages[1]?.resetCode == nil, "an endpoint's silence ends no tunnel")
        endpoint.send(HTTP2Frames.data(3, "", ends: true))
        client.send(HTTP2Frames.data(1, "", ends: true))
        #expect(client.messages[1]?.isEnded == true)
        #expect(rig.proxy.exchanges.count == 0)
    }

    @Test func anEndpointThatTakesNoneIsNamedToTheClient() throws {
        let rig = try rig()
        let old = rig.connect(sending: UpstreamTunnelTests.upgrade)
        let new = HTTP2Client(rig)
        new.send(HTTP2Frames.headers(1, UpstreamTunnelTests.extended, ends: false))
        let endpoint = try #require(HTTP2Endpoint(rig))
        #expect(rig.status(old) == "502" && rig.text(old).contains("no WebSocket over HTTP/2"))
        #expect(new.messages[1]?.status == "502")
        #expect(endpoint.frames(1).isEmpty)
        #expect(rig.proxy.counters[.upstreamTunnelRefusals] == 2)
        #expect(rig.proxy.exchanges.count <= 1, "what is left is the closing of a client")
    }

    @Test func aRefusalReachesTheClientAsItIs() throws {
        let rig = try rig()
        let client = rig.connect(sending: UpstreamTunnelTests.upgrade)
        let endpoint = try #require(
            HTTP2Endpoint(rig, settings: UpstreamTunnelTests.allowance)
        )
        endpoint.send(HTTP2Frames.headers(1, [(":status", "403")], ends: true))
        #expect(rig.status(client) == "403" && rig.proxy.counters[.tunnels] == 0)
    }

    @Test func anEndpointThatCutsTheStreamCutsTheTunnel() throws {
        let rig = try rig()
        let client = rig.connect(sending: UpstreamTunnelTests.upgrade)
        let endpoint = try #require(
            HTTP2Endpoint(rig, settings: UpstreamTunnelTests.allowance)
        )
        endpoint.send(HTTP2Frames.headers(1, [(":status", "200")], ends: false))
        endpoint.send(HTTP2Frames.frame(3, 0, 1, [0, 0, 0, 2]))
        #expect(rig.ended.contains(client) && rig.proxy.exchanges.count == 0)
    }
}
