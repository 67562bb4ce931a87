import DataPlane
import Testing

@Suite struct FilterPauseTests {
    typealias Phase = ScriptedFilter.Phase

    /// Two filters; the first pauses once in a phase, and waits for all where the phase needs it.
    private func rig(
        pausing phase: Phase,
        limits: EngineLimits = EngineLimits()
    ) throws -> (ProxyRig, FilterRecord) {
        let record = FilterRecord()
        let filters = [ScriptedFilter("a", record), ScriptedFilter("b", record)]
        if phase == .request {
            filters[0].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 99) }
        }
        if phase == .response {
            filters[0].steps[.responseHeaders] = { _ in .waitForAll(byteLimit: 99) }
        }
        var hasPaused = false
        filters[0].steps[phase] = { context in
            if hasPaused { return .proceed }
            hasPaused = true
            record.tokens = [context.token]
            return .pause(deadline: .seconds(3))
        }
        return (try ProxyRig(filters, limits: limits), record)
    }

    private func token(_ record: FilterRecord) throws -> FilterToken {
        try #require(record.tokens.first)
    }

    static let phases = Phase.allCases.filter { $0 != .log }

    @Test(arguments: phases)
    func aPausedExchangeGoesOnWholeOnceItIsResumed(phase: Phase) throws {
        let (rig, record) = try rig(pausing: phase)
        let client = rig.connect(sending: ChunkedMessages.request)
        if phase.isOfResponse { rig.answer(ChunkedMessages.response) }
        let before = record.calls
        rig.settle()
        #expect(record.calls == before, "nothing goes on meanwhile")
        let waits = phase.isOfResponse ? rig.text(client) : rig.forwarded
        #expect(!ChunkedMessages.content(waits).contains("|"))
        rig.proxy.resume(try token(record), .proceed)
        rig.settle()
        #expect(ChunkedMessages.content(rig.forwarded) == ChunkedMessages.requestContent)
        if !phase.isOfResponse { rig.answer(ChunkedMessages.response) }
        #expect(ChunkedMessages.content(rig.text(client)) == ChunkedMessages.responseContent)
        #expect(record.calls.filter { $0.hasSuffix("log") } == ["a.log", "b.log"])
        rig.send(client, "GET /b HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(rig.forwarded.contains("GET /b "), "the connection goes on")
    }

    @Test(arguments: phases)
    func aPauseThatIsNotResumedInTimeCosts500OrTheConnection(phase: Phase) throws {
        let (rig, _) = try rig(pausing: phase)
        let client = rig.connect(sending: ChunkedMessages.request)
        if phase.isOfResponse { rig.answer(ChunkedMessages.response) }
        rig.network.advance(nanoseconds: 4_000_000_000)
        rig.settle()
        if phase == .responseData || phase == .responseTrailers {
            #expect(rig.ended.contains(client))
            #expect(!ChunkedMessages.content(rig.text(client)).contains("|"))
        } else {
            #expect(rig.status(client) == "500")
        }
        #expect(rig.proxy.counters[.pauseTimeouts] == 1)
    }

    @Test(arguments: [Phase.requestHeaders, .requestData, .request, .responseHeaders, .response])
    func aPausedExchangeCanBeAnswered(phase: Phase) throws {
        let (rig, record) = try rig(pausing: phase)
        let client = rig.connect(sending: ChunkedMessages.request)
        if phase.isOfResponse { rig.answer(ChunkedMessages.response) }
        rig.proxy.resume(try token(record), .reply(LocalReply(status: 409)))
        rig.settle()
        #expect(rig.status(client) == "409")
        #expect(record.calls.filter { $0 == "a.log" }.count == 1)
    }

    @Test func onceResumedATokenIsWorthless() throws {
        let (rig, record) = try rig(pausing: .requestHeaders)
        let client = rig.connect(sending: ChunkedMessages.request)
        let token = try token(record)
        rig.proxy.resume(token, .proceed)
        rig.proxy.resume(token, .reply(LocalReply(status: 409)))
        rig.settle()
        rig.answer(ChunkedMessages.response)
        rig.proxy.resume(token, .reply(LocalReply(status: 409)))
        rig.settle()
        #expect(rig.status(client) == "200")
    }

    @Test func aClientThatGoesAwayEndsThePause() throws {
        let (rig, record) = try rig(pausing: .requestHeaders)
        let client = rig.connect(sending: ChunkedMessages.request)
        rig.network.resetOnClose(client)
        rig.network.close(client)
        rig.settle()
        #expect(record.calls.last == "b.log")
        rig.proxy.resume(try token(record), .proceed)
        rig.settle()
        #expect(rig.upstreams.isEmpty)
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func aPausedRequestIsNotReadFarther() throws {
        let (rig, record) = try rig(pausing: .requestHeaders)
        let byteCount = 4_000_000
        let client = rig.connect()
        let head = "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: \(byteCount)\r\n\r\n"
        let body = [UInt8](repeating: 0x61, count: byteCount)
        rig.send(client, Array(head.utf8) + body, turns: 400)
        #expect(rig.proxy.counters[.bytesReceived] < 400_000)
        rig.proxy.resume(try token(record), .proceed)
        rig.settle(3_000)
        #expect(rig.proxy.counters[.bytesReceived] == UInt64(byteCount))
        #expect(rig.forwarded.utf8.count > byteCount)
        rig.answer(ChunkedMessages.response)
        #expect(rig.status(client) == "200")
    }

    @Test func aPausedResponseIsNotReadFarther() throws {
        let (rig, record) = try rig(pausing: .responseHeaders)
        let byteCount = 4_000_000
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let head = "HTTP/1.1 200 OK\r\ncontent-length: \(byteCount)\r\n\r\n"
        let upstream = try #require(rig.upstreams.last)
        let body = [UInt8](repeating: 0x61, count: byteCount)
        rig.send(upstream, Array(head.utf8) + body, turns: 400)
        #expect(rig.text(client).isEmpty)
        #expect(rig.waitingByteCount(upstream) > byteCount - 400_000)
        rig.proxy.resume(try token(record), .proceed)
        rig.settle(3_000)
        #expect(rig.received(client).count > byteCount)
        #expect(rig.proxy.counters[.bytesSent] == UInt64(byteCount))
    }

    @Test func aPausedHTTP2RequestKeepsItsWindow() throws {
        let (rig, record) = try rig(pausing: .requestHeaders)
        let client = rig.connect()
        rig.send(client, HTTP2Frames.preface + HTTP2Frames.frame(4, 1, 0, []))
        var post = HTTP2Frames.get
        post[0].1 = "POST"
        rig.send(client, HTTP2Frames.headers(1, post, ends: false))
        let piece = String(repeating: "a", count: 16_384)
        for index in 0..<15 { rig.send(client, HTTP2Frames.data(1, piece, ends: index == 14)) }
        let isOpened = {
            HTTP2Frames.parse(rig.received(client)).contains { $0.type == 8 && $0.stream == 1 }
        }
        #expect(!isOpened())
        rig.proxy.resume(try token(record), .proceed)
        rig.settle(400)
        #expect(isOpened())
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        let frames = HTTP2Frames.parse(rig.received(client))
        #expect(frames.contains { $0.type == 1 && $0.payload.first == 0x89 }, "status 204")
    }
}
