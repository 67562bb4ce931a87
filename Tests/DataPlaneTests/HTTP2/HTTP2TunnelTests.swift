import MeshModel
import Testing

@testable import DataPlane

/// Tunnels over HTTP/2: WebSocket by extended CONNECT (RFC 8441), plain CONNECT, and what has no path.
@Suite struct HTTP2TunnelTests {
    private static let agreement =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        + "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\r\n"

    private static func ask(_ name: String = "websocket") -> [(String, String)] {
        [
            (":method", "CONNECT"), (":protocol", name), (":scheme", "http"),
            (":authority", "a.example"), (":path", "/chat"), ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
        ]
    }

    private static let connect = [(":method", "CONNECT"), (":authority", "a.example:443")]

    private func client(_ rig: EngineRig, _ fields: [(String, String)] = ask()) -> HTTP2Client {
        let client = HTTP2Client(rig)
        client.send(HTTP2Frames.headers(1, fields, ends: false))
        return client
    }

    @Test func webSocketBecomesAnUpgradeAndBytesFlowBothWays() throws {
        let rig = try EngineRig()
        let client = client(rig)
        client.send(HTTP2Frames.data(1, "ahead", ends: false))
        let request = rig.forwarded().lowercased()
        #expect(request.hasPrefix("get /chat http/1.1\r\nhost: a.example\r\n"))
        #expect(request.contains("connection: upgrade\r\nupgrade: websocket\r\n"))
        #expect(request.contains("sec-websocket-version: 13\r\n"))
        #expect(request.contains("\r\nsec-websocket-key: "))
        #expect(!request.contains("transfer-encoding") && !request.contains("content-length"))
        #expect(!request.contains("ahead") && !request.contains("protocol: websocket"))
        rig.answer(HTTP2TunnelTests.agreement + "behind")
        #expect(rig.forwarded().hasSuffix("\r\n\r\nahead"))
        #expect(
            client.messages[1]?.heads == [[":status: 200", "sec-websocket-protocol: chat"]]
        )
        client.send(HTTP2Frames.data(1, " ping", ends: false))
        rig.answer(" pong")
        #expect(rig.forwarded().hasSuffix("\r\n\r\nahead ping"))
        #expect(client.messages[1]?.text == "behind pong")
        #expect(client.messages[1]?.isEnded == false)
        #expect(rig.proxy.counters[.tunnels] == 1)
        client.send(HTTP2Frames.data(1, "", ends: true))
        rig.network.close(try #require(rig.upstreams[0].last))
        rig.settle()
        #expect(client.messages[1]?.isEnded == true)
        client.get(3)
        rig.answer()
        #expect(client.messages[3]?.text == "ok", "the connection goes on")
    }

    @Test func eachSideOfATunnelEndsByItself() throws {
        for endpointIsFirst in [true, false] {
            let rig = try EngineRig()
            let client = client(rig)
            rig.answer(HTTP2TunnelTests.agreement)
            let endpoint = try #require(rig.upstreams[0].last)
            if endpointIsFirst {
                rig.send(endpoint, "last words")
                rig.network.endSending(endpoint)
                rig.settle()
                #expect(client.messages[1]?.text == "last words")
                #expect(client.messages[1]?.isEnded == true)
                #expect(client.messages[1]?.resetCode == nil, "the other side goes on")
                client.send(HTTP2Frames.data(1, " still", ends: false))
                client.send(HTTP2Frames.data(1, " here", ends: true))
                #expect(rig.forwarded().hasSuffix("\r\n\r\n still here"))
            } else {
                client.send(HTTP2Frames.data(1, "bye", ends: true))
                #expect(rig.forwarded().hasSuffix("\r\n\r\nbye"))
                #expect(rig.ended.contains(endpoint), "the endpoint hears of the end")
                rig.send(endpoint, "and an answer")
                #expect(client.messages[1]?.text == "and an answer")
                #expect(client.messages[1]?.isEnded == false)
                rig.network.close(endpoint)
                rig.settle()
                #expect(client.messages[1]?.isEnded == true)
            }
            #expect(client.messages[1]?.resetCode == nil)
            #expect(rig.proxy.exchanges.count == 0 && client.frames(7).isEmpty)
            client.get(3)
            rig.answer()
            #expect(client.messages[3]?.text == "ok", "the connection goes on")
        }
    }

    @Test func aTunnelCarriesMoreThanItsWindowsBothWays() throws {
        let rig = try EngineRig()
        let client = client(rig)
        rig.answer(HTTP2TunnelTests.agreement)
        let piece = String(repeating: "x", count: 16_000)
        for _ in 0..<40 {
            client.send(HTTP2Frames.data(1, piece, ends: false))
            rig.settle()
        }
        #expect(rig.forwarded().count > 640_000)
        #expect(client.messages[1]?.resetCode == nil && client.frames(7).isEmpty)
        for _ in 0..<10 {
            rig.answer(piece)
            client.send(HTTP2Frames.window(0, 16_000), HTTP2Frames.window(1, 16_000))
            rig.settle()
        }
        #expect(client.messages[1]?.body.count == 160_000)
    }

    /// An endpoint that agrees to nothing: what would read as agreement becomes an error.
    @Test(arguments: [("200 OK", "502"), ("204 No Content", "502"), ("403 Forbidden", "403")])
    func anotherAnswerMakesNoTunnel(status: String, expected: String) throws {
        let rig = try EngineRig()
        let client = client(rig)
        rig.answer("HTTP/1.1 \(status)\r\ncontent-length: 0\r\n\r\n")
        #expect(client.messages[1]?.status == expected)
        #expect(client.messages[1]?.isEnded == true)
        #expect(rig.proxy.counters[.tunnels] == 0)
        #expect(rig.proxy.exchanges.count == 0, "nothing of it is left")
    }

    @Test func anotherProtocolIsAnswered501() throws {
        let rig = try EngineRig()
        let client = client(rig, HTTP2TunnelTests.ask("webtransport"))
        #expect(client.messages[1]?.status == "501")
        #expect(rig.upstreams[0].isEmpty)
    }

    @Test func whereWebSocketIsNotPassedOnItIsNotAnnouncedAndRefused() throws {
        let announcement: [UInt8] = [0, 8, 0, 0, 0, 1]
        for isAllowed in [true, false] {
            let rig = try EngineRig()
            var settings = ListenerSettings()
            settings.allowsWebSocket = isAllowed
            rig.install(clusters: [[0]], listenerSettings: settings)
            let client = client(rig)
            let payload = try #require(client.frames(4).first { $0.flags == 0 }).payload
            let isAnnounced = stride(from: 0, to: payload.count, by: 6).contains {
                Array(payload[$0..<($0 + 6)]) == announcement
            }
            #expect(isAnnounced == isAllowed)
            #expect(rig.upstreams[0].isEmpty != isAllowed)
        }
    }

    @Test func connectTunnelsWhereAllowed() throws {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        settings.allowsConnect = true
        rig.install(clusters: [[0]], listenerSettings: settings)
        let client = client(rig, HTTP2TunnelTests.connect)
        client.send(HTTP2Frames.data(1, "hi", ends: false))
        #expect(client.messages[1]?.heads == [[":status: 200"]])
        #expect(rig.forwarded() == "hi", "nothing of HTTP reaches the endpoint")
        rig.answer("there")
        #expect(client.messages[1]?.text == "there")
    }

    @Test func connectIsRefusedWhereItIsNotAllowed() throws {
        let rig = try EngineRig()
        let client = client(rig, HTTP2TunnelTests.connect)
        #expect(client.messages[1]?.status == "405")
        #expect(rig.upstreams[0].isEmpty)
    }

    @Test func whatAsksAboutTheServerIsAnsweredHere() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        var fields = HTTP2Frames.get
        fields[0].1 = "OPTIONS"
        fields[3].1 = "*"
        client.send(HTTP2Frames.headers(1, fields, ends: true))
        let message = try #require(client.messages[1])
        #expect(message.status == "200" && message.isEnded)
        #expect(message.heads[0].contains { $0.hasPrefix("allow: GET") })
        #expect(rig.upstreams[0].isEmpty)
    }
}
