import DataPlane
import Testing

@Suite struct FilterPhaseTests {
    typealias Phase = ScriptedFilter.Phase

    private func rig(
        _ names: [String] = ["a", "b"],
        _ phases: FilterPhases = .every,
        limits: EngineLimits = EngineLimits()
    ) throws -> (ProxyRig, FilterRecord, [ScriptedFilter]) {
        let record = FilterRecord()
        let filters = names.map { ScriptedFilter($0, record, phases) }
        return (try ProxyRig(filters, limits: limits), record, filters)
    }

    @Test func requestsPassTheFiltersInOrderAndResponsesInReverse() throws {
        let (rig, record, _) = try rig()
        let client = rig.connect()
        rig.send(client, "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        rig.send(client, "1\r\nx\r\n")
        rig.send(client, "0\r\nx-sum: 1\r\n\r\n")
        rig.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        rig.answer("1\r\ny\r\n")
        rig.answer("0\r\ny-sum: 2\r\n\r\n")
        #expect(
            record.calls == [
                "a.requestHeaders", "b.requestHeaders", "a.requestData(x)", "b.requestData(x)",
                "a.requestTrailers", "b.requestTrailers", "b.responseHeaders",
                "a.responseHeaders", "b.responseData(y)", "a.responseData(y)",
                "b.responseTrailers", "a.responseTrailers", "a.log", "b.log",
            ]
        )
        #expect(rig.forwarded.hasSuffix("\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n"))
        #expect(rig.text(client).hasSuffix("\r\n\r\n1\r\ny\r\n0\r\ny-sum: 2\r\n\r\n"))
    }

    @Test func messagesWithoutBodiesHaveTheirHeadsOnly() throws {
        let (rig, record, _) = try rig(["a"])
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(record.calls == ["a.requestHeaders|", "a.responseHeaders|", "a.log"])
        #expect(rig.status(client) == "204")
    }

    @Test func theEndOfABodyWithoutTrailersIsShown() throws {
        let (rig, record, _) = try rig(["a"])
        let client = rig.connect()
        rig.send(client, "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx")
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\ny")
        #expect(
            record.calls == [
                "a.requestHeaders", "a.requestData(x)", "a.requestData(|)", "a.responseHeaders",
                "a.responseData(y)", "a.responseData(|)", "a.log",
            ]
        )
        #expect(rig.text(client).hasSuffix("\r\n\r\ny"))
    }

    @Test func whoWaitsForAllOfARequestHasItAfterItsPredecessorsAndBeforeTheNextHeads() throws {
        let (rig, record, filters) = try rig(["a", "b", "c"])
        filters[1].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 10) }
        let client = rig.connect(sending: ChunkedMessages.request)
        #expect(
            record.calls == [
                "a.requestHeaders", "b.requestHeaders", "a.requestData(abc)", "a.requestTrailers",
                "b.request(abc)", "c.requestHeaders", "c.requestData(abc)", "c.requestTrailers",
            ]
        )
        #expect(ChunkedMessages.content(rig.forwarded) == ChunkedMessages.requestContent)
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(rig.status(client) == "204")
    }

    @Test func severalMayWaitForAllInTurn() throws {
        let (rig, record, filters) = try rig(["a", "b"])
        for filter in filters {
            filter.steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 10) }
        }
        _ = rig.connect(sending: "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx")
        #expect(
            record.calls == [
                "a.requestHeaders", "a.request(x)", "b.requestHeaders", "b.request(x)",
            ]
        )
        #expect(rig.forwarded.contains("\r\ncontent-length: 1\r\n"))
        #expect(rig.forwarded.hasSuffix("\r\n\r\nx"))
    }

    @Test func whoWaitsForAllOfAResponseHasItBeforeItsHeadGoesOut() throws {
        let (rig, record, filters) = try rig(["a", "b", "c"])
        filters[1].steps[.responseHeaders] = { _ in .waitForAll(byteLimit: 10) }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        record.calls = []
        let text = Array(ChunkedMessages.response.utf8)
        let upstream = try #require(rig.upstreams.last)
        for byte in text.dropLast() { rig.send(upstream, [byte], turns: 3) }
        #expect(rig.text(client).isEmpty)
        rig.send(upstream, [text[text.count - 1]])
        let wanted = [
            "c.responseHeaders", "b.responseHeaders", "c.responseData(xyz)",
            "c.responseTrailers", "b.response(xyz)", "a.responseHeaders",
            "a.responseData(xyz)", "a.responseTrailers", "a.log", "b.log", "c.log",
        ]
        #expect(record.calls == wanted)
        #expect(ChunkedMessages.content(rig.text(client)) == ChunkedMessages.responseContent)
    }

    @Test func whoWaitsForDataHoldsTheHeadUntilTheFirstPiece() throws {
        let (rig, record, filters) = try rig(["a", "b"], .streamed)
        filters[1].steps[.responseHeaders] = { _ in .waitForData }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        record.calls = []
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
        #expect(rig.text(client).isEmpty)
        rig.answer("x")
        #expect(
            record.calls == [
                "b.responseHeaders", "b.responseData(x)", "a.responseHeaders", "a.responseData(x)",
            ]
        )
        #expect(rig.text(client).hasSuffix("\r\n\r\nx"))
        rig.answer("y")
        #expect(rig.text(client).hasSuffix("\r\n\r\nxy"))
    }

    @Test(arguments: [true, false])
    func aRequestPastTheLimitOfWhoWaitsIsAnswered413(isAnnounced: Bool) throws {
        let (rig, _, filters) = try rig(["a"], [.requestHeaders, .request])
        filters[0].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 4) }
        let framing = isAnnounced ? "content-length: 5" : "transfer-encoding: chunked"
        let body = isAnnounced ? "" : "5\r\nabcde\r\n"
        let head = "POST /a HTTP/1.1\r\nhost: h\r\n\(framing)\r\n\r\n"
        let client = rig.connect(sending: head + body)
        #expect(rig.status(client) == "413")
        #expect(rig.upstreams.isEmpty)
        #expect(rig.proxy.counters[.bodyLimitHits] == 1)
    }

    @Test(arguments: [true, false])
    func aResponsePastTheLimitOfWhoWaitsIsAnswered500(isAnnounced: Bool) throws {
        let (rig, _, filters) = try rig(["a"], [.responseHeaders, .response])
        filters[0].steps[.responseHeaders] = { _ in .waitForAll(byteLimit: 4) }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let framing = isAnnounced ? "content-length: 5" : "transfer-encoding: chunked"
        rig.answer("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\n" + (isAnnounced ? "" : "5\r\nabcde\r\n"))
        #expect(rig.status(client) == "500")
        #expect(rig.proxy.counters[.bodyLimitHits] == 1)
    }

    @Test func aBodyOfExactlyTheLimitPasses() throws {
        let (rig, _, filters) = try rig(["a"], [.requestHeaders, .request])
        filters[0].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 3) }
        _ = rig.connect(sending: ChunkedMessages.request)
        #expect(ChunkedMessages.content(rig.forwarded) == ChunkedMessages.requestContent)
    }

    @Test func whoWaitsForAllInvitesTheBodyOfAnExpectingClient() throws {
        let (rig, _, filters) = try rig(["a"], [.requestHeaders, .request])
        filters[0].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 10) }
        let head = "POST /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1\r\n"
        let client = rig.connect(sending: head + "\r\n")
        #expect(rig.text(client) == "HTTP/1.1 100 Continue\r\n\r\n")
        rig.send(client, "x")
        #expect(rig.forwarded.contains("\r\ncontent-length: 1\r\n"))
        #expect(rig.forwarded.hasSuffix("\r\n\r\nx"))
        #expect(!rig.forwarded.contains("expect"))
    }

    @Test func wholeBodiesCanBeReplaced() throws {
        let (rig, _, filters) = try rig(["a"])
        filters[0].steps[.requestHeaders] = { _ in .waitForAll(byteLimit: 10) }
        filters[0].steps[.request] = { context in
            #expect(context.replaceBody(Array("longer than before".utf8)))
            return .proceed
        }
        filters[0].steps[.responseHeaders] = { _ in .waitForAll(byteLimit: 10) }
        filters[0].steps[.response] = { context in
            #expect(context.replaceBody(Array("z".utf8)))
            return .proceed
        }
        filters[0].steps[.requestTrailers] = { context in
            #expect(!context.replaceBody([]))
            return .proceed
        }
        let client = rig.connect(sending: ChunkedMessages.request)
        #expect(rig.forwarded.contains("\r\ncontent-length: 18\r\n"))
        #expect(rig.forwarded.hasSuffix("\r\n\r\nlonger than before"))
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")
        #expect(rig.text(client).hasSuffix("content-length: 1\r\n\r\nz"))
    }

    @Test func responseHeadsAndTrailersCanBeChanged() throws {
        let (rig, _, filters) = try rig(["a"])
        filters[0].steps[.responseHeaders] = { context in
            context.removeResponseHeader("x-old")
            context.addResponseHeader("x-new", "1")
            context.replaceStatus(203)
            return .proceed
        }
        filters[0].steps[.responseTrailers] = { context in
            context.removeResponseTrailer("y-sum")
            context.addResponseTrailer("y-new", "3")
            return .proceed
        }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer(ChunkedMessages.response.replacing(" OK\r\n", with: " OK\r\nx-old: 1\r\n"))
        #expect(rig.status(client) == "203")
        #expect(rig.text(client).contains("\r\nx-new: 1\r\n"))
        #expect(!rig.text(client).contains("x-old"))
        #expect(ChunkedMessages.content(rig.text(client)) == "xyz|y-new: 3")
    }

    @Test func localRepliesPassTheResponsePhases() throws {
        let (rig, record, filters) = try rig(["a", "b"], .streamed)
        filters[0].steps[.requestHeaders] = { _ in
            .reply(LocalReply(status: 403, fields: [.init("x-why", "no")], body: Array("no".utf8)))
        }
        filters[1].steps[.responseHeaders] = { context in
            #expect(context.status == 403)
            let why = context.withResponseHeader("x-why") { String(decodingBytes: $0) }
            #expect(why == "no")
            context.removeResponseHeader("x-why")
            return .proceed
        }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(
            record.calls == [
                "a.requestHeaders|", "b.responseHeaders", "a.responseHeaders",
                "b.responseData(no|)", "a.responseData(no|)", "a.log", "b.log",
            ]
        )
        #expect(rig.text(client).hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
        #expect(rig.text(client).hasSuffix("\r\n\r\nno"))
        #expect(!rig.text(client).contains("x-why"))
        rig.send(client, "GET /b HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(record.calls.count == 14, "the connection goes on")
    }

    @Test func aReplyOfTheEngineItselfPassesTheResponsePhases() throws {
        let (rig, record, _) = try rig(["a"], .streamed)
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.closeUpstream()
        #expect(rig.status(client) == "502")
        #expect(record.calls == ["a.requestHeaders|", "a.responseHeaders|", "a.log"])
    }

    @Test func aReplyInAResponsePhaseGoesOutAsItIs() throws {
        let (rig, record, filters) = try rig(["a", "b"], .streamed)
        filters[1].steps[.responseHeaders] = { _ in .reply(LocalReply(status: 451)) }
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        record.calls = []
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nxy")
        #expect(rig.status(client) == "451")
        #expect(record.calls == ["b.responseHeaders", "a.log", "b.log"])
    }

    @Test(
        arguments: [
            (.requestData, .waitForAll(byteLimit: 9)), (.requestHeaders, .waitForData),
            (.requestTrailers, .waitForAll(byteLimit: 9)), (.responseData, .waitForData),
            (.responseTrailers, .waitForAll(byteLimit: 9)),
        ] as [(Phase, FilterAction)]
    )
    func anActionItsPhaseDoesNotAllowIsCountedAndTakenAsGoingOn(
        phase: Phase,
        action: FilterAction
    ) throws {
        let (rig, _, filters) = try rig(["a"], .streamed)
        filters[0].steps[phase] = { _ in action }
        let client = rig.connect(sending: ChunkedMessages.request)
        rig.answer(ChunkedMessages.response)
        #expect(ChunkedMessages.content(rig.text(client)) == ChunkedMessages.responseContent)
        #expect(rig.proxy.counters[.filterErrors] >= 1)
    }
}
