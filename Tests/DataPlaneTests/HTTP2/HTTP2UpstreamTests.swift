import MeshModel
import Testing

@testable import DataPlane

/// HTTP/2 towards endpoints, by prior knowledge.
@Suite struct HTTP2UpstreamTests {
    private func rig(endpointCount: Int = 1) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: endpointCount)
        var settings = BackendSettings()
        settings.version = .http2
        rig.install(clusters: [Array(0..<endpointCount)], settings: settings)
        return rig
    }

    @Test func requestsOfHTTP1BecomeStreamsOfOneConnection() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        let head = try #require(endpoint.heads.first)
        #expect(
            Array(head.prefix(4)) == [
                ":method: GET", ":scheme: http", ":authority: h.example", ":path: /",
            ]
        )
        #expect(head.contains { $0.hasPrefix("x-request-id: ") })
        #expect(endpoint.frames(1).first?.flags == 5)
        endpoint.answer(1)
        #expect(rig.text(client).hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(rig.text(client).contains("x-by: h2\r\n"))
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
        rig.send(client, EngineRig.get)
        endpoint.answer(3, "more")
        #expect(rig.text(client).hasSuffix("\r\n\r\nmore"))
        #expect(rig.upstreams[0].count == 1)
    }

    @Test func anotherConnectionIsMadeAtThePeersLimitOfStreams() throws {
        let rig = try rig()
        let first = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig, settings: [0, 3, 0, 0, 0, 2]))
        let second = rig.connect(sending: EngineRig.get)
        #expect(rig.upstreams[0].count == 1)
        let third = rig.connect(sending: EngineRig.get)
        #expect(rig.upstreams[0].count == 2)
        let other = try #require(HTTP2Endpoint(rig))
        other.answer(1)
        endpoint.answer(3)
        endpoint.answer(1)
        for client in [first, second, third] { #expect(rig.status(client) == "200") }
    }

    @Test func aBodyInChunksGoesOverWithItsTrailers() throws {
        let rig = try rig()
        let head = "POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        let client = rig.connect(sending: head + "3\r\nabc\r\n")
        let endpoint = try #require(HTTP2Endpoint(rig))
        #expect(endpoint.body(1) == "abc")
        rig.send(client, "2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n")
        #expect(endpoint.body(1) == "abcde")
        #expect(endpoint.heads.last == ["x-sum: 5"])
        endpoint.send(
            HTTP2Frames.headers(1, [(":status", "103"), ("link", "</a>")], ends: false),
            HTTP2Frames.headers(1, [(":status", "200")], ends: false),
            HTTP2Frames.data(1, "yes", ends: false),
            HTTP2Frames.headers(1, [("x-end", "6")], ends: true)
        )
        #expect(rig.text(client).hasPrefix("HTTP/1.1 103 "))
        #expect(rig.text(client).hasSuffix("3\r\nyes\r\n0\r\nx-end: 6\r\n\r\n"))
    }

    @Test func whatHasNoBodyHasNone() throws {
        let rig = try rig()
        let client = rig.connect(sending: "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
        let endpoint = try #require(HTTP2Endpoint(rig))
        let length = [(":status", "200"), ("content-length", "70")]
        endpoint.send(HTTP2Frames.headers(1, length, ends: true))
        #expect(rig.text(client).hasSuffix("content-length: 70\r\n\r\n"))
        for (stream, status) in [(3, "204"), (5, "304")] {
            rig.send(client, EngineRig.get)
            endpoint.send(HTTP2Frames.headers(UInt32(stream), [(":status", status)], ends: true))
            #expect(rig.text(client).contains("HTTP/1.1 \(status) "))
        }
        rig.send(client, EngineRig.get)
        endpoint.send(HTTP2Frames.headers(7, [(":status", "200")], ends: true))
        #expect(rig.text(client).hasSuffix("content-length: 0\r\n\r\n"))
        #expect(rig.upstreams[0].count == 1 && endpoint.frames(3).isEmpty)
    }

    @Test func clientsOfHTTP2HaveTrailersBothWays() throws {
        let rig = try rig()
        let client = HTTP2Client(rig)
        client.post(1, [("te", "trailers")])
        client.send(
            HTTP2Frames.data(1, "ask", ends: false),
            HTTP2Frames.headers(1, [("x-asked", "3")], ends: true)
        )
        let endpoint = try #require(HTTP2Endpoint(rig))
        #expect(endpoint.body(1) == "ask" && endpoint.heads.last == ["x-asked: 3"])
        #expect(endpoint.heads.first?.contains("te: trailers") == true)
        endpoint.send(
            HTTP2Frames.headers(1, [(":status", "200")], ends: false),
            HTTP2Frames.data(1, "told", ends: false),
            HTTP2Frames.headers(1, [("grpc-status", "0")], ends: true)
        )
        #expect(client.messages[1]?.text == "told")
        #expect(client.messages[1]?.heads.last == ["grpc-status: 0"])
        client.post(3)
        #expect(endpoint.heads.last?.contains { $0.hasPrefix("te: ") } == false)
        endpoint.send(
            HTTP2Frames.headers(3, [(":status", "200"), ("grpc-status", "7")], ends: true)
        )
        #expect(client.messages[3]?.heads.last?.contains("grpc-status: 7") == true)
        #expect(client.frames(1).last { $0.stream == 3 }?.flags == 5)
    }

    @Test func aRefusedStreamIsSentAgainWhateverTheMethod() throws {
        let rig = try rig()
        let client = rig.connect(sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n")
        let endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.send(HTTP2Frames.frame(3, 0, 1, [0, 0, 0, 7]))
        endpoint.answer(3)
        #expect(rig.status(client) == "200")
    }

    @Test func streamsPastTheLastOneOfAGoAwayAreSentOnAnotherConnection() throws {
        let rig = try rig()
        let first = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        let second = rig.connect(sending: EngineRig.get)
        endpoint.send(HTTP2Frames.frame(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]))
        let other = try #require(HTTP2Endpoint(rig))
        #expect(other.fd != endpoint.fd)
        other.answer(1, "other")
        endpoint.answer(1, "first")
        #expect(rig.text(first).contains("first") && rig.text(second).contains("other"))
        rig.settle()
        #expect(rig.ended.contains(endpoint.fd))
    }

    @Test func aClientThatLeavesResetsItsStreamAlone() throws {
        let rig = try rig()
        let leaving = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        let staying = rig.connect(sending: EngineRig.get)
        rig.network.resetOnClose(leaving)
        rig.network.close(leaving)
        rig.settle()
        #expect(endpoint.frames(3).map(\.stream) == [1])
        #expect(endpoint.frames(3).first?.code == 8)
        endpoint.answer(3)
        #expect(rig.status(staying) == "200" && rig.upstreams[0].count == 1)
    }

    @Test func aClientThatDoesNotReadHoldsItsOwnStreamUp() throws {
        let rig = try rig()
        let slow = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        rig.unread = [slow]
        endpoint.send(HTTP2Frames.headers(1, [(":status", "200")], ends: false))
        let piece = String(repeating: "x", count: 16_384)
        for _ in 0..<15 { endpoint.send(HTTP2Frames.data(1, piece, ends: false)) }
        let given = endpoint.frames(8).filter { $0.stream == 1 }.reduce(0) { $0 + $1.increment }
        #expect(given < 15 * 16_384)
        let honest = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(honest) == "200")
        rig.unread = []
        rig.settle(200)
        let after = endpoint.frames(8).filter { $0.stream == 1 }.reduce(0) { $0 + $1.increment }
        #expect(after > given)
    }

    @Test func anEndpointThatDoesNotReadHoldsTheClientUp() throws {
        let rig = try rig()
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4000000\r\n\r\n"
        let client = rig.connect(sending: head)
        let endpoint = try #require(HTTP2Endpoint(rig))
        rig.send(client, Array(repeating: 120, count: 4_000_000), turns: 200)
        #expect(endpoint.body(1).utf8.count == 65_535)
        #expect(rig.waitingByteCount(client) > 3_000_000)
        endpoint.send(HTTP2Frames.window(1, 5_000_000), HTTP2Frames.window(0, 5_000_000))
        rig.settle(400)
        #expect(endpoint.body(1).utf8.count == 4_000_000)
    }

    @Test(arguments: [
        Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
        HTTP2Frames.frame(4, 0, 0, []) + HTTP2Frames.frame(5, 4, 1, [0, 0, 0, 2, 0x88]),
        HTTP2Frames.frame(4, 0, 0, [])
            + (0..<1_100).flatMap { _ in HTTP2Frames.frame(6, 1, 0, Array(repeating: 0, count: 8)) },
        HTTP2Frames.frame(4, 0, 0, []) + HTTP2Frames.frame(1, 0, 1, [])
            + (0..<20).flatMap { _ in HTTP2Frames.frame(9, 0, 1, []) },
    ])
    func anEndpointThatBreaksTheProtocolLosesItsConnection(_ bytes: [UInt8]) throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let fd = try #require(rig.upstreams[0].last)
        rig.send(fd, bytes)
        #expect(rig.status(client) == "502" && rig.ended.contains(fd))
        rig.send(client, EngineRig.get)
        try #require(HTTP2Endpoint(rig)).answer(1)
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
    }

    @Test func aStreamThatIsSilentTimesOutAlone() throws {
        let rig = try rig()
        let silent = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        rig.pass(seconds: 40)
        let other = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 21)
        #expect(rig.status(silent) == "504")
        endpoint.answer(3)
        #expect(rig.status(other) == "200")
    }

    @Test func connectionsOfOtherSettingsAreNotUsed() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.answer(1)
        rig.install(clusters: [[0]])
        rig.settle()
        #expect(rig.ended.contains(endpoint.fd))
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.text(client).hasSuffix("\r\n\r\nok") && rig.upstreams[0].count == 2)
    }
}
