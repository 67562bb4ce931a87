import DataPlane
import MeshModel
import Testing

/// Requests of HTTP/2 clients to endpoints of HTTP/1.1, message by message.
@Suite struct HTTP2ExchangeTests {
    private static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    @Test(arguments: [100, 103])
    func anInterimResponseReachesTheClientBeforeTheFinalOne(status: Int) throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.post(1, [("expect", "100-continue")])
        #expect(rig.forwarded().contains("expect: 100-continue\r\n"))
        rig.answer("HTTP/1.1 \(status) Early\r\nlink: </a>\r\nconnection: x\r\nx: 1\r\n\r\n")
        let early = try #require(client.messages[1])
        #expect(early.heads == [[":status: \(status)", "link: </a>"]])
        #expect(!early.isEnded)
        client.send(HTTP2Frames.data(1, "abc", ends: true))
        #expect(ChunkedMessages.content(rig.forwarded()) == "abc|")
        rig.answer()
        let message = try #require(client.messages[1])
        #expect(message.statuses == ["\(status)", "200"])
        #expect(message.text == "ok" && message.isEnded && message.resetCode == nil)
    }

    @Test(arguments: [
        ("HEAD", "200 OK\r\ncontent-length: 5", "200", "5"),
        ("GET", "204 No Content", "204", nil),
        ("GET", "304 Not Modified\r\ncontent-length: 5", "304", "5"),
        ("GET", "200 OK\r\ncontent-length: 0", "200", "0"),
    ])
    func aResponseWithoutBodyEndsWithItsHead(
        method: String,
        head: String,
        status: String,
        length: String?
    ) throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        var fields = HTTP2Frames.get
        fields[0].1 = method
        client.send(HTTP2Frames.headers(1, fields, ends: true))
        rig.answer("HTTP/1.1 \(head)\r\nx: y\r\n\r\n")
        let message = try #require(client.messages[1])
        let expected = [":status: \(status)", length.map { "content-length: \($0)" }, "x: y"]
        #expect(message.heads == [expected.compactMap(\.self)])
        #expect(message.isEnded && message.body.isEmpty)
        #expect(client.frames(0).isEmpty)
        client.get(3)
        rig.answer()
        #expect(client.messages[3]?.text == "ok")
        #expect(rig.upstreams[0].count == 1, "the endpoint's connection was kept")
    }

    @Test func crumbsOfACookieAreOneFieldOfHTTP1() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(
            1,
            [("cookie", "a=1"), ("x", "1"), ("cookie", "b=2"), ("y", "2"), ("cookie", "c")]
        )
        #expect(rig.forwarded().contains("\r\ncookie: a=1; b=2; c\r\nx: 1\r\ny: 2\r\n"))
        #expect(rig.forwarded().hasPrefix("GET /x HTTP/1.1\r\nhost: a.example\r\n"))
    }

    @Test func aHeadInPiecesIsReadWholeWhileAnotherClientsIsReadBetween() throws {
        let rig = try EngineRig()
        let first = HTTP2Client(rig)
        let second = HTTP2Client(rig)
        let block = HTTP2Frames.block(HTTP2Frames.get + [("x-first", "one"), ("x-last", "two")])
        let split = block.count / 2
        first.send(HTTP2Frames.frame(1, 1, 1, Array(block[..<split])))
        second.get(1, [("x-other", "three")])
        rig.answer()
        first.send(HTTP2Frames.frame(9, 4, 1, Array(block[split...])))
        #expect(rig.forwarded().contains("x-first: one\r\nx-last: two\r\n"))
        #expect(rig.forwarded().contains("x-other: three\r\n"))
        rig.answer()
        #expect(first.messages[1]?.status == "200" && second.messages[1]?.status == "200")
    }

    @Test(arguments: [true, false])
    func announcedTrailersOfARequestOfKnownLengthGoOnInChunks(isAnnounced: Bool) throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.post(1, [("content-length", "3")] + (isAnnounced ? [("trailer", "x-sum")] : []))
        client.send(HTTP2Frames.data(1, "abc", ends: false))
        client.send(HTTP2Frames.headers(1, [("x-sum", "1")], ends: true))
        if isAnnounced {
            #expect(ChunkedMessages.content(rig.forwarded()) == "abc|x-sum: 1")
        } else {
            #expect(rig.forwarded().contains("content-length: 3\r\n"))
            #expect(rig.forwarded().hasSuffix("\r\n\r\nabc"))
        }
        rig.answer()
        #expect(client.messages[1]?.status == "200")
    }

    @Test func trailersOfAResponseEndTheStream() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(1)
        rig.answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
        let message = try #require(client.messages[1])
        #expect(message.heads == [[":status: 200"], ["x-sum: 1"]])
        #expect(message.text == "ok" && message.isEnded)
    }

    @Test func anEndpointThatDiesInTheMiddleResetsTheStreamAlone() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(1)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
        rig.network.close(rig.upstreams[0][0])
        rig.settle()
        let message = try #require(client.messages[1])
        #expect(message.text == "ok" && !message.isEnded && message.resetCode == 2)
        client.get(3)
        rig.answer()
        #expect(client.messages[3]?.text == "ok")
    }

    // MARK: Back pressure

    @Test func aWindowThatIsClosedStopsTheEndpointUntilItOpens() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(1)
        let size = 4 << 20
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: \(size)\r\n\r\n")
        let upstream = rig.upstreams[0][0]
        rig.send(upstream, [UInt8](repeating: 120, count: size), turns: 400)
        #expect(client.messages[1]?.body.count == 65_535, "the initial window, no more")
        #expect(rig.waitingByteCount(upstream) > size / 2, "the endpoint is not read on")
        client.send(HTTP2Frames.window(0, 1 << 23), HTTP2Frames.window(1, 1 << 23))
        rig.settle(2_000)
        #expect(client.messages[1]?.body.count == size)
        #expect(client.messages[1]?.isEnded == true)
    }

    @Test func anEndpointThatIsNotReadingKeepsTheClientsWindowClosed() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.post(1)
        let upstream = try #require(rig.upstreams[0].first)
        rig.unread.insert(upstream)
        let piece = String(repeating: "x", count: 16_384)
        var sent = 0
        while sent < 64 && client.frames(8).count(where: { $0.stream == 1 }) == sent / 100 {
            client.send(HTTP2Frames.data(1, piece, ends: false))
            sent += 1
            guard sent * 16_384 < 262_144 - 16_384 else { break }
        }
        let opened = client.frames(8).filter { $0.stream == 1 }.map(\.increment).reduce(0, +)
        #expect(opened < sent * 16_384, "what the endpoint has not taken is not given back")
        rig.unread.remove(upstream)
        rig.settle(200)
        client.send(HTTP2Frames.data(1, "end", ends: true))
        rig.settle(200)
        let content = ChunkedMessages.content(rig.forwarded())
        #expect(content.hasSuffix("xend|") && content.count == sent * 16_384 + 4)
        rig.answer()
        #expect(client.messages[1]?.status == "200")
    }
}
