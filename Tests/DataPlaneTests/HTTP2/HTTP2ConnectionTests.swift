import DataPlane
import MeshModel
import Testing

/// The life of an HTTP/2 connection (`HTTP2Connection`): what a listener sets (`HTTP2EntryRow`), its
/// end, and time.
@Suite struct HTTP2ConnectionTests {
    private static let noLast: UInt32 = 0x7fff_ffff

    private func rig(_ change: (inout ListenerSettings) -> Void) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        change(&settings)
        rig.install(clusters: [[0]], listenerSettings: settings)
        return rig
    }

    @Test func aDrainAnnouncesTheEndServesWhatIsOnItsWayAndNamesTheLastStream() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(1)
        rig.proxy.drain()
        rig.settle()
        #expect(client.goAways == [[Self.noLast, 0]])
        client.get(3)
        #expect(rig.requestCount(0) == 2, "a stream that crossed the notice is served")
        let ping = try #require(client.frames(6).first)
        client.send(HTTP2Frames.frame(6, 1, 0, ping.payload))
        #expect(client.goAways == [[Self.noLast, 0], [3, 0]])
        client.get(5)
        #expect(rig.requestCount(0) == 2)
        for upstream in rig.upstreams[0] {
            rig.send(upstream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        }
        #expect(client.messages[1]?.text == "ok" && client.messages[3]?.text == "ok")
        #expect(client.messages[5] == nil)
        #expect(rig.ended.contains(client.fd))
    }

    @Test func aClientThatDoesNotAnswerTheNoticeIsClosedAllTheSame() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        rig.proxy.drain()
        rig.settle()
        #expect(!rig.ended.contains(client.fd))
        rig.pass(seconds: 6)
        #expect(client.goAways == [[Self.noLast, 0], [0, 0]])
        #expect(rig.ended.contains(client.fd))
    }

    @Test func aListenersRequestsPerConnectionEndItInOrder() throws {
        let rig = try rig { $0.limits.requestsPerConnection = 2 }
        let client = HTTP2Client(rig)
        client.get(1)
        rig.answer()
        #expect(client.goAways.isEmpty)
        client.get(3)
        rig.answer()
        #expect(client.goAways == [[Self.noLast, 0]])
        #expect(client.messages[3]?.text == "ok")
        let ping = try #require(client.frames(6).first)
        client.send(HTTP2Frames.frame(6, 1, 0, ping.payload))
        #expect(client.goAways.last == [3, 0])
        #expect(rig.ended.contains(client.fd))
    }

    @Test func aListenersConcurrentStreamsAreAnnouncedAndHeld() throws {
        let rig = try rig { $0.limits.concurrentStreams = 2 }
        let client = HTTP2Client(rig)
        let settings = try #require(client.frames(4).first { $0.flags == 0 })
        #expect(Array(settings.payload[..<6]) == [0, 3, 0, 0, 0, 2])
        for stream: UInt32 in [1, 3, 5] { client.get(stream) }
        #expect(client.messages[5]?.resetCode == 7, "REFUSED_STREAM: safe to be sent again")
        #expect(rig.requestCount(0) == 2)
        #expect(rig.proxy.counters[.http2StreamLimitHits] == 1)
    }

    @Test func aListenerOfHTTP2AloneAnswersOtherBytesByGoAway() throws {
        let rig = try rig { $0.versions = [.http2] }
        let client = HTTP2Client(rig, preface: Array("INVALID CONNECTION PREFACE\r\n\r\n".utf8))
        #expect(client.goAways == [[0, 1]])
        #expect(rig.ended.contains(client.fd))
        #expect(rig.proxy.counters[.protocolErrors] == 1)
        let other = HTTP2Client(rig)
        other.get(1)
        rig.answer()
        #expect(other.messages[1]?.text == "ok")
    }

    @Test func aListenerOfHTTP1AloneDoesNotTakeThePreface() throws {
        let rig = try rig { $0.versions = [.http1] }
        let client = rig.connect(sending: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        #expect(rig.text(client).hasPrefix("HTTP/1.1 505 "))
        #expect(rig.ended.contains(client))
    }

    // MARK: Time

    @Test func anIdleConnectionIsClosedWithGoAwayHoweverManyBytesOfAFrameDribble() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.get(1)
        rig.answer()
        for byte in HTTP2Frames.frame(6, 0, 0, [UInt8](repeating: 0, count: 8)).prefix(7) {
            rig.pass(seconds: 12)
            client.send([byte])
        }
        #expect(client.goAways == [[1, 0]])
        #expect(rig.ended.contains(client.fd))
        #expect(rig.proxy.counters[.idleTimeouts] == 1)
    }

    @Test func pingsKeepAnIdleConnection() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        for _ in 0..<5 {
            rig.pass(seconds: 60)
            client.send(HTTP2Frames.frame(6, 0, 0, [UInt8](repeating: 0, count: 8)))
        }
        #expect(!rig.ended.contains(client.fd))
        client.get(1)
        rig.answer()
        #expect(client.messages[1]?.text == "ok")
    }

    @Test(arguments: [false, true])
    func aHeaderListThatDoesNotComeToItsEndClosesTheConnection(hasStream: Bool) throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        if hasStream { client.post(1) }
        client.send(HTTP2Frames.frame(1, 1, 3, [0x82]))
        for _ in 0..<4 {
            rig.pass(seconds: 4)
            client.send(HTTP2Frames.frame(9, 0, 3, [0x86]))
        }
        #expect(client.goAways == [[3, 11]])
        #expect(rig.ended.contains(client.fd))
        #expect(rig.proxy.counters[.headerTimeouts] == 1)
    }

    @Test func aWindowThatStaysClosedCostsTheStreamHoweverManyPingsCome() throws {
        let rig = try EngineRig()
        let settings = HTTP2Frames.frame(4, 0, 0, [0, 4, 0, 0, 0, 0])
        let client = HTTP2Client(rig, preface: HTTP2Frames.preface + settings)
        client.get(1)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n")
        let upstream = rig.upstreams[0][0]
        rig.send(upstream, [UInt8](repeating: 120, count: 500_000), turns: 100)
        for _ in 0..<10 {
            rig.pass(seconds: 4)
            client.send(HTTP2Frames.frame(6, 0, 0, [UInt8](repeating: 0, count: 8)))
            client.send(HTTP2Frames.window(1, 1))
        }
        let message = try #require(client.messages[1])
        #expect(message.resetCode == 11 && message.body.count < 12)
        #expect(rig.ended.contains(upstream), "the endpoint is let go of")
        #expect(rig.proxy.counters[.sendTimeouts] == 1)
        client.get(3)
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(client.messages[3]?.status == "204", "the connection goes on")
    }

    @Test func aBodyOfAnnouncedLengthThatDoesNotComeIsAnswered408() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.post(1, [("content-length", "10")])
        client.send(HTTP2Frames.data(1, "abc", ends: false))
        rig.pass(seconds: 20)
        #expect(client.messages[1] == nil)
        rig.pass(seconds: 16)
        #expect(client.messages[1]?.status == "408")
        #expect(rig.proxy.counters[.bodyTimeouts] == 1)
    }

    @Test func aBodyOfAnnouncedLengthThatDribblesIsAnswered408() throws {
        let rig = try EngineRig()
        let client = HTTP2Client(rig)
        client.post(1, [("content-length", "9000")])
        client.send(HTTP2Frames.data(1, String(repeating: "a", count: 1_100), ends: false))
        for _ in 0..<3 {
            rig.pass(seconds: 12)
            client.send(HTTP2Frames.data(1, "a", ends: false))
        }
        #expect(client.messages[1]?.status == "408")
        #expect(rig.proxy.counters[.bodyTimeouts] == 1)
    }

    @Test func aListenersStreamIdleTimeEndsStreamsOnWhichNothingMoves() throws {
        let rig = try rig { $0.timeouts.streamIdle = .seconds(20) }
        let client = HTTP2Client(rig)
        client.post(1)
        client.get(3)
        rig.pass(seconds: 15)
        client.send(HTTP2Frames.data(1, "a", ends: false))
        rig.pass(seconds: 15)
        #expect(client.messages[3]?.status == "504", "the endpoint owed a response")
        #expect(client.messages[1] == nil, "something moved")
        rig.pass(seconds: 15)
        #expect(client.messages[1]?.status == "408", "the client owed a request")
        #expect(rig.proxy.counters[.streamIdleTimeouts] == 2)
    }
}
