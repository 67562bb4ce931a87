import DataPlane
import MeshModel
import Testing

/// Retries by policy, with endpoints whose bytes the test writes.
@Suite struct RetryTests {
    private func rig(
        _ conditions: RetrySettings.Conditions,
        count: Int = 2,
        dead: [Int] = [],
        limits: EngineLimits = EngineLimits(),
        change: (inout RetrySettings) -> Void = { _ in }
    ) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: count, dead: dead, limits: limits)
        var retries = RetrySettings()
        retries.conditions = conditions
        change(&retries)
        rig.install(clusters: [Array(0..<count)]) { $0.retries = retries }
        return rig
    }

    /// The endpoint that has the newest request, by what each had before.
    private func asked(_ rig: EngineRig, _ before: [Int]) -> Int {
        rig.upstreams.indices.first { rig.requestCount($0) > before[$0] } ?? -1
    }

    private func post(_ byteCount: Int) -> String {
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: \(byteCount)\r\n\r\n"
    }

    private func put(_ byteCount: Int) -> String {
        "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: \(byteCount)\r\n\r\n"
    }

    @Test func anotherEndpointAnswersForTheOneThatFailed() throws {
        let rig = try rig([.gatewayError])
        let (first, client) = rig.ask(EngineRig.get) { _ in EngineRig.status(503) }
        rig.pass(seconds: 1)
        #expect(rig.text(client).isEmpty, "nothing goes out before the decision")
        #expect(rig.requestCount(1 - first) == 1)
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
        #expect(rig.proxy.counters[.retries] == 1)
    }

    @Test func aClientIsToldOnceToGoOnWithItsBody() throws {
        let rig = try rig([.gatewayError, .reset]) { $0.retriesUnsafe = true }
        let client = rig.connect(
            sending:
                "PUT / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        )
        let first = asked(rig, [0, 0])
        rig.answer("HTTP/1.1 100 Continue\r\n\r\n", by: first)
        #expect(rig.text(client) == "HTTP/1.1 100 Continue\r\n\r\n")
        rig.send(client, "body")
        rig.answer(EngineRig.status(503), by: first)
        rig.pass(seconds: 1)
        #expect(rig.forwarded(to: 1 - first).hasSuffix("body"))
        rig.answer("HTTP/1.1 100 Continue\r\n\r\n", by: 1 - first)
        rig.answer(by: 1 - first)
        #expect(rig.text(client).ranges(of: "100 Continue").count == 1)
        #expect(rig.text(client).ranges(of: "HTTP/1.1 200").count == 1)
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
    }

    @Test func aResponseThatAsksToWaitIsWaitedForUpToTheBound() throws {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 4\r\ncontent-length: 0\r\n\r\n"
        let rig = try rig([.gatewayError]) { $0.retryAfterMax = .seconds(4) }
        let (first, client) = rig.ask(EngineRig.get) { _ in busy }
        rig.pass(seconds: 3)
        #expect(rig.requestCount(1 - first) == 0)
        rig.pass(seconds: 2)
        #expect(rig.requestCount(1 - first) == 1)
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
        let short = try self.rig([.gatewayError]) { $0.retryAfterMax = .seconds(3) }
        #expect(short.status(short.ask(EngineRig.get) { _ in busy }.client) == "503")
        #expect(short.proxy.counters[.retries] == 0)
        let without = try self.rig([.gatewayError])
        _ = without.ask(EngineRig.get) { _ in busy }
        without.pass(seconds: 1)
        #expect(without.proxy.counters[.retries] == 1)
    }

    @Test func withoutPolicyAnErrorIsPassedOn() throws {
        let rig = try EngineRig(endpointCount: 2)
        let (_, client) = rig.ask(EngineRig.get) { _ in EngineRig.status(503) }
        #expect(rig.status(client) == "503")
        #expect(rig.proxy.counters[.retries] == 0)
    }

    @Test(arguments: [404, 500]) func otherStatusesArePassedOn(_ status: Int) throws {
        let rig = try rig([.gatewayError])
        let (_, client) = rig.ask(EngineRig.get) { _ in EngineRig.status(status) }
        rig.pass(seconds: 1)
        #expect(rig.status(client) == "\(status)")
    }

    @Test func listedStatusesAreTriedAgain() throws {
        let rig = try rig([.statuses]) { $0.statuses = [409] }
        let (first, client) = rig.ask(EngineRig.get) { _ in EngineRig.status(409) }
        rig.pass(seconds: 1)
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func aStatusOfGRPCIsTriedAgainWhereItIsAllOfTheResponse() throws {
        let rig = try rig([.grpcStatuses]) { $0.grpcStatuses = 1 << 14 }
        let (first, client) = rig.ask(EngineRig.get) { _ in
            "HTTP/1.1 200 OK\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n"
        }
        rig.pass(seconds: 1)
        #expect(rig.text(client).isEmpty)
        rig.answer(by: 1 - first)
        #expect(rig.text(client).hasSuffix("ok"))
        let (_, other) = rig.ask(EngineRig.get) { _ in
            "HTTP/1.1 200 OK\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"
        }
        rig.pass(seconds: 1)
        #expect(rig.text(other).contains("grpc-status: 5"))
    }

    @Test func aResetBeforeAResponseIsTriedAgain() throws {
        let rig = try rig([.reset])
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        rig.network.close(rig.upstreams[first][0])
        rig.settle()
        rig.pass(seconds: 1)
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func aResetWithinAResponseIsNot() throws {
        let rig = try rig([.reset])
        let (first, client) = rig.ask(EngineRig.get) { _ in
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
        }
        rig.network.close(rig.upstreams[first][0])
        rig.pass(seconds: 1)
        #expect(rig.text(client).hasSuffix("half"))
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.retries] == 0)
    }

    @Test func refusedConnectionsAreTriedAgainAsOftenAsAllowed() throws {
        let rig = try rig([.connectFailure], count: 1, dead: [0]) { $0.attempts = 5 }
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<8 { rig.pass(seconds: 1) }
        #expect(rig.status(client) == "503")
        #expect(rig.proxy.counters[.retries] == 5)
        #expect(rig.proxy.counters[.retriesExhausted] == 1)
    }

    @Test func attemptsThatAreUsedUpPassTheLastErrorOn() throws {
        let rig = try rig([.serverError]) { $0.attempts = 2 }
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<3 {
            for index in 0..<2 where rig.upstreams[index].count > 0 {
                if rig.requestCount(index) > 0 { rig.answer(EngineRig.status(500), by: index) }
            }
            rig.pass(seconds: 1)
        }
        #expect(rig.status(client) == "500")
        #expect(rig.proxy.counters[.retries] == 2)
        #expect(rig.proxy.counters[.retriesExhausted] == 1)
        #expect(rig.requestCount(0) + rig.requestCount(1) == 3)
    }

    @Test func aTryThatTakesTooLongIsTriedElsewhere() throws {
        let rig = try rig([.tryTimeout]) { $0.tryTimeout = .seconds(2) }
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        rig.pass(seconds: 3)
        rig.pass(seconds: 1)
        #expect(rig.ended.contains(rig.upstreams[first][0]))
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func whatMayHaveTakenEffectIsNotTriedAgain() throws {
        for isUnsafe in [false, true] {
            let rig = try rig([.reset]) { $0.retriesUnsafe = isUnsafe }
            let (first, client) = rig.ask(post(4) + "body") { _ in nil }
            rig.network.close(rig.upstreams[first][0])
            rig.settle()
            rig.pass(seconds: 1)
            rig.answer(by: 1 - first)
            #expect(rig.status(client) == (isUnsafe ? "200" : "502"))
            #expect(rig.requestCount(1 - first) == (isUnsafe ? 1 : 0))
        }
    }

    @Test func aBodyThatIsHeldGoesOutAgain() throws {
        let rig = try rig([.gatewayError])
        let body = String(repeating: "0123456789", count: 20_000)
        let (first, client) = rig.ask(put(body.utf8.count) + body) { _ in nil }
        rig.settle(200)
        rig.answer(EngineRig.status(502), by: first)
        rig.pass(seconds: 1)
        rig.settle(200)
        #expect(rig.forwarded(to: 1 - first).hasSuffix("\r\n\r\n" + body))
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func aBodyInTheMiddleOfItsWayGoesOutAgainAndThenTheRest() throws {
        let rig = try rig([.reset])
        let (first, client) = rig.ask(put(10) + "01234") { _ in nil }
        rig.network.close(rig.upstreams[first][0])
        rig.settle()
        rig.pass(seconds: 1)
        rig.send(client, "56789")
        #expect(rig.forwarded(to: 1 - first).hasSuffix("\r\n\r\n0123456789"))
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func chunksGoOutAgain() throws {
        let rig = try rig([.reset])
        let head = "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        let (first, client) = rig.ask(head + "3\r\nabc\r\n") { _ in nil }
        rig.network.close(rig.upstreams[first][0])
        rig.settle()
        rig.pass(seconds: 1)
        rig.send(client, "2\r\nde\r\n0\r\n\r\n")
        #expect(rig.forwarded(to: 1 - first).hasSuffix("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"))
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
    }

    @Test func aBodyThatIsNotHeldHasOneTry() throws {
        var limits = EngineLimits()
        limits.retryBodyByteLimit = 1_000
        let rig = try rig([.gatewayError], limits: limits)
        let body = String(repeating: "x", count: 1_001)
        let (_, client) = rig.ask(put(1_001) + body) { _ in EngineRig.status(502) }
        rig.pass(seconds: 1)
        #expect(rig.status(client) == "502")
        #expect(rig.proxy.counters[.retryBodyLimitHits] == 1)
        #expect(rig.proxy.counters[.retries] == 0)
    }

    @Test func aBudgetBoundsRetries() throws {
        let rig = try EngineRig(endpointCount: 2)
        var settings = BackendSettings()
        var retries = RetrySettings()
        retries.conditions = [.gatewayError]
        settings.retries = retries
        settings.breakers.retryBudgetPercent = 1
        settings.breakers.retryBudgetMin = 1
        rig.install(clusters: [[0, 1]], settings: settings)
        let (first, client) = rig.ask(EngineRig.get) { _ in EngineRig.status(503) }
        let (_, other) = rig.ask(EngineRig.get) { _ in EngineRig.status(503) }
        #expect(rig.status(other) == "503", "one retry is under way")
        rig.pass(seconds: 1)
        rig.answer(by: 1 - first)
        rig.answer(by: first)
        #expect(rig.status(client) == "200")
        let (again, third) = rig.ask(EngineRig.get) { _ in EngineRig.status(503) }
        rig.pass(seconds: 1)
        rig.answer(by: 1 - again)
        #expect(rig.status(third) == "200", "it was given back")
    }

    @Test func aClientThatGoesWhileARetryWaitsLeavesNothing() throws {
        let rig = try rig([.gatewayError]) { $0.backoff = .seconds(1) }
        let (_, client) = rig.ask(put(4) + "bo") { _ in EngineRig.status(503) }
        rig.network.close(client)
        rig.settle()
        rig.pass(seconds: 2)
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func theRequestsOwnTimeEndsRetries() throws {
        let rig = try EngineRig(endpointCount: 1, dead: [0])
        var retries = RetrySettings()
        retries.attempts = 10
        retries.backoff = .seconds(5)
        retries.backoffMax = .seconds(5)
        rig.install(clusters: [[0]]) {
            $0.retries = retries
            $0.requestTimeout = .milliseconds(10)
        }
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 1)
        #expect(rig.proxy.counters[.requestTimeouts] <= 1)
        for _ in 0..<60 where rig.text(client).isEmpty { rig.pass(seconds: 1) }
        #expect(rig.status(client) == "504")
    }
}
