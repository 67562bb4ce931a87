import DataPlane
import MeshModel
import Testing

/// Upgrades and CONNECT over HTTP/1.1: bytes flow both ways from the endpoint's agreement on, and
/// never before.
@Suite struct TunnelTests {
    private static let ask = """
        GET /chat HTTP/1.1\r
        host: h.example\r
        Connection: keep-alive, Upgrade\r
        Upgrade: WebSocket\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        \r

        """
    private static let agreement = """
        HTTP/1.1 101 Switching Protocols\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
        \r

        """

    /// A tunnel, with the client's connection and the endpoint's.
    private func tunnel(_ rig: EngineRig) throws -> (client: Int32, endpoint: Int32) {
        let client = rig.connect(sending: TunnelTests.ask)
        rig.answer(TunnelTests.agreement)
        return (client, try #require(rig.upstreams[0].last))
    }

    private func connectRig(settings: ListenerSettings? = nil) throws -> EngineRig {
        let rig = try EngineRig()
        var allowing = ListenerSettings()
        allowing.allowsConnect = true
        rig.install(clusters: [[0]], listenerSettings: settings ?? allowing)
        return rig
    }

    @Test func afterThe101BytesFlowBothWaysAndAreCounted() throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        let request = rig.text(endpoint)
        #expect(request.contains("connection: upgrade\r\nupgrade: websocket\r\n"))
        #expect(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
        #expect(rig.status(client) == "101")
        #expect(rig.text(client).contains("connection: upgrade\r\nupgrade: websocket\r\n"))
        #expect(rig.text(client).contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        rig.send(client, "GET / HTTP/1.1\r\n\r\n")
        rig.send(endpoint, "HTTP/1.1 500 no\r\n\r\n")
        #expect(rig.text(endpoint).hasSuffix("\r\n\r\nGET / HTTP/1.1\r\n\r\n"))
        #expect(rig.text(client).hasSuffix("\r\n\r\nHTTP/1.1 500 no\r\n\r\n"))
        #expect(rig.proxy.counters[.tunnels] == 1)
        #expect(rig.proxy.counters[.bytesReceived] == 18)
        #expect(rig.proxy.counters[.bytesSent] == 19)
    }

    @Test func bytesSentAheadWaitForTheAgreementAndThoseBehindItGoAtOnce() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: TunnelTests.ask + "ahead")
        #expect(!rig.forwarded().contains("ahead"))
        rig.answer(TunnelTests.agreement + "behind")
        #expect(rig.forwarded().hasSuffix("\r\n\r\nahead"))
        #expect(rig.text(client).hasSuffix("\r\n\r\nbehind"))
    }

    @Test(arguments: ["200 OK", "400 Bad Request", "426 Upgrade Required"])
    func anotherAnswerLeavesTheConnectionOneOfRequests(status: String) throws {
        let rig = try EngineRig()
        let hidden = "GET /hidden HTTP/1.1\r\nhost: h.example\r\n\r\n"
        let client = rig.connect(sending: TunnelTests.ask + hidden)
        #expect(rig.requestCount(0) == 1)
        rig.answer("HTTP/1.1 \(status)\r\ncontent-length: 2\r\n\r\nno")
        #expect(rig.status(client) == String(status.prefix(3)))
        // What came behind was a request of its own, routed and rewritten like any other.
        #expect(rig.forwarded().contains("GET /hidden HTTP/1.1\r\n"))
        #expect(rig.forwarded().ranges(of: "x-forwarded-for:").count == 2)
        rig.answer()
        #expect(rig.text(client).hasSuffix("ok"))
        #expect(rig.proxy.counters[.tunnels] == 0)
    }

    /// Requests that are no valid WebSocket handshake go on without their `Upgrade`.
    @Test(arguments: [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 1337"),
        ("Sec-WebSocket-Version: 13", "X: y"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y"),
        ("Upgrade: WebSocket", "Upgrade: h2c"),
        ("Upgrade: WebSocket", "Upgrade: websocket, h2c"),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive"),
        ("GET /chat", "POST /chat"),
    ])
    func whatIsNoHandshakeGoesOnAsAPlainRequest(part: String, instead: String) throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: TunnelTests.ask.replacing(part, with: instead))
        let request = rig.forwarded().lowercased()
        #expect(request.contains(" /chat http/1.1\r\n"))
        #expect(!request.contains("upgrade"))
        rig.answer(TunnelTests.agreement)
        #expect(rig.status(client) == "502", "an agreement to nothing is the endpoint's fault")
        #expect(rig.proxy.counters[.tunnels] == 0)
    }

    @Test func anUpgradeToHTTP2IsLeftOutWithItsSettings() throws {
        let rig = try EngineRig()
        _ = rig.connect(
            sending: "GET / HTTP/1.1\r\nhost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        let request = rig.forwarded().lowercased()
        #expect(request.hasPrefix("get / http/1.1\r\n"))
        #expect(!request.contains("h2c") && !request.contains("http2-settings"))
        #expect(!request.contains("upgrade"))
    }

    @Test(arguments: [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ])
    func anAgreementToSomethingElseIsABadGateway(agreement: String) throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: TunnelTests.ask)
        rig.answer(agreement)
        #expect(rig.status(client) == "502")
    }

    @Test func aListenerMayRefuseWebSocket() throws {
        var settings = ListenerSettings()
        settings.allowsWebSocket = false
        let rig = try connectRig(settings: settings)
        _ = rig.connect(sending: TunnelTests.ask)
        #expect(!rig.forwarded().lowercased().contains("upgrade"))
    }

    @Test func eachSideEndsByItselfAndTheOtherGoesOn() throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        rig.send(client, "last")
        rig.network.endSending(client)
        rig.settle()
        #expect(rig.text(endpoint).hasSuffix("last"))
        #expect(rig.ended.contains(endpoint), "the end is passed on")
        rig.send(endpoint, "more")
        #expect(rig.text(client).hasSuffix("more"))
        rig.network.endSending(endpoint)
        rig.settle()
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func theEndpointMayEndFirst() throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        rig.send(endpoint, "last")
        rig.network.endSending(endpoint)
        rig.settle()
        #expect(rig.text(client).hasSuffix("last") && rig.ended.contains(client))
        rig.send(client, "more")
        #expect(rig.text(endpoint).hasSuffix("more"))
        rig.network.endSending(client)
        rig.settle()
        #expect(rig.proxy.activeCount == 0)
    }

    @Test(arguments: [true, false])
    func aCutOnOneSideCutsTheOther(byClient: Bool) throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        let (cut, other) = byClient ? (client, endpoint) : (endpoint, client)
        rig.network.resetOnClose(cut)
        rig.network.close(cut)
        rig.settle()
        #expect(rig.ended.contains(other))
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func aPeerThatReadsNothingStopsTheOtherWithoutMemory() throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        let many = [UInt8](repeating: 7, count: 4 << 20)
        for (sender, reader) in [(client, endpoint), (endpoint, client)] {
            rig.unread = [reader]
            let before = rig.byteCount(reader)
            rig.send(sender, many)
            #expect(rig.waitingByteCount(sender) > 2 << 20, "the sender waits")
            rig.unread = []
            rig.settle(4_000)
            #expect(rig.waitingByteCount(sender) == 0)
            #expect(rig.byteCount(reader) - before == many.count)
        }
    }

    @Test func aTunnelThroughWhichNothingMovesEnds() throws {
        var settings = ListenerSettings()
        settings.timeouts.streamIdle = .seconds(20)
        let rig = try connectRig(settings: settings)
        let (client, endpoint) = try tunnel(rig)
        for sender in [client, endpoint, client] {
            rig.pass(seconds: 15)
            rig.send(sender, "still here")
            #expect(!rig.ended.contains(client))
        }
        rig.pass(seconds: 21)
        #expect(rig.ended.contains(client) && rig.ended.contains(endpoint))
        #expect(rig.proxy.counters[.tunnelTimeouts] == 1)
    }

    @Test func aTunnelOutlivesTheTimesOfRequests() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { action in
            action.requestTimeout = .seconds(5)
            action.backendRequestTimeout = .seconds(5)
        }
        let (client, endpoint) = try tunnel(rig)
        rig.pass(seconds: 600)
        rig.send(endpoint, "late")
        #expect(rig.text(client).hasSuffix("late"))
    }

    @Test func aTunnelGoesOnWhileTheProxyDrains() throws {
        let rig = try EngineRig()
        let (client, endpoint) = try tunnel(rig)
        rig.proxy.drain()
        rig.send(client, "ping")
        rig.send(endpoint, "pong")
        #expect(rig.text(endpoint).hasSuffix("ping") && rig.text(client).hasSuffix("pong"))
        #expect(rig.proxy.activeCount == 1)
    }

    // MARK: CONNECT

    @Test func connectTunnelsToTheRoutesEndpointWhereAllowed() throws {
        let rig = try connectRig()
        let client = rig.connect(
            sending: "CONNECT h.example:443 HTTP/1.1\r\nhost: h.example\r\n\r\nhi"
        )
        #expect(rig.text(client) == "HTTP/1.1 200 OK\r\n\r\n")
        #expect(rig.forwarded() == "hi", "nothing of HTTP reaches the endpoint")
        let endpoint = try #require(rig.upstreams[0].last)
        rig.send(endpoint, "there")
        #expect(rig.text(client).hasSuffix("\r\n\r\nthere"))
        rig.network.endSending(client)
        rig.network.endSending(endpoint)
        rig.settle()
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func connectTakesNoConnectionThatHasSpokenHTTP() throws {
        let rig = try connectRig()
        _ = rig.connect(sending: EngineRig.get)
        rig.answer()
        _ = rig.connect(sending: "CONNECT h.example:443 HTTP/1.1\r\nhost: h.example\r\n\r\nhi")
        #expect(rig.upstreams[0].count == 2)
        #expect(rig.upstreams[0].last.map(rig.text) == "hi")
    }

    @Test func connectIsRefusedWhereItIsNotAllowed() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "CONNECT h.example:443 HTTP/1.1\r\nhost: h.example\r\n\r\n"
        )
        #expect(rig.status(client) == "405")
        #expect(rig.text(client).contains("allow: GET"))
        #expect(rig.upstreams[0].isEmpty)
    }

    @Test func connectToADeadEndpointIsAnswered503() throws {
        let rig = try EngineRig(dead: [0])
        var settings = ListenerSettings()
        settings.allowsConnect = true
        rig.install(clusters: [[0]], listenerSettings: settings)
        let client = rig.connect(
            sending: "CONNECT h.example:443 HTTP/1.1\r\nhost: h.example\r\n\r\n"
        )
        #expect(rig.status(client) == "503")
    }
}
