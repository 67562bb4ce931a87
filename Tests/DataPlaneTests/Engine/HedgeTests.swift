import DataPlane
import MeshModel
import Testing

/// Second tries before the first has failed.
@Suite struct HedgeTests {
    private func rig(
        _ count: Int = 2,
        attempts: UInt8 = 1,
        budget: UInt32 = 3,
        requestTimeout: Duration? = nil
    ) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: count)
        var settings = BackendSettings()
        settings.hedging = HedgingSettings(delay: .seconds(1))
        settings.hedging?.attempts = attempts
        settings.breakers.retryBudgetPercent = budget == 0 ? 0 : 1
        settings.breakers.retryBudgetMin = budget
        rig.install(clusters: [Array(0..<count)], settings: settings) {
            $0.requestTimeout = requestTimeout
        }
        return rig
    }

    @Test func theFirstAnswerWinsAndTheOtherTryIsCancelled() throws {
        for winsSecond in [false, true] {
            let rig = try rig()
            let (first, client) = rig.ask(EngineRig.get) { _ in nil }
            #expect(rig.requestCount(1 - first) == 0)
            rig.pass(seconds: 2)
            #expect(rig.requestCount(1 - first) == 1)
            let winner = winsSecond ? 1 - first : first
            rig.answer(by: winner)
            #expect(rig.text(client) == EngineRig.ok)
            let loser = try #require(rig.upstreams[1 - winner].last)
            #expect(rig.ended.contains(loser))
            let kept = try #require(rig.upstreams[winner].last)
            #expect(!rig.ended.contains(kept))
            #expect(rig.proxy.counters[.hedges] == 1)
            #expect(rig.proxy.counters[.hedgesWon] == (winsSecond ? 1 : 0))
            #expect(rig.proxy.counters[.requests] == 1)
            rig.send(client, EngineRig.get)
            rig.answer(by: 0)
            rig.answer(by: 1)
            #expect(rig.text(client) == EngineRig.ok + EngineRig.ok)
        }
    }

    @Test func anAnswerInTimeHasNoSecondTry() throws {
        let rig = try rig()
        let (_, client) = rig.ask()
        rig.pass(seconds: 3)
        #expect(rig.text(client) == EngineRig.ok)
        #expect(rig.proxy.counters[.hedges] == 0)
    }

    @Test func requestsWithABodyOrAnEffectHaveNone() throws {
        for request in [
            "POST / HTTP/1.1\r\nhost: h\r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx",
        ] {
            let rig = try rig()
            _ = rig.ask(request) { _ in nil }
            rig.pass(seconds: 3)
            #expect(rig.proxy.counters[.hedges] == 0)
        }
    }

    @Test func theFirstTrysEndIsNotTheRequestsWhileTheSecondRuns() throws {
        let rig = try rig()
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        rig.pass(seconds: 2)
        rig.network.close(try #require(rig.upstreams[first].last))
        rig.settle()
        #expect(rig.text(client).isEmpty)
        rig.answer(by: 1 - first)
        #expect(rig.text(client) == EngineRig.ok)
    }

    @Test func whenAllTriesEndTheRequestFails() throws {
        let rig = try rig()
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        rig.pass(seconds: 2)
        rig.network.close(try #require(rig.upstreams[first].last))
        rig.settle()
        rig.network.close(try #require(rig.upstreams[1 - first].last))
        rig.settle()
        #expect(rig.status(client) == "502")
    }

    @Test func theEndOfTheRequestsTimeEndsBothTries() throws {
        let rig = try rig(requestTimeout: .seconds(4))
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        rig.pass(seconds: 2)
        #expect(rig.text(client).isEmpty)
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
        for index in [first, 1 - first] {
            let peer = try #require(rig.upstreams[index].last)
            #expect(rig.ended.contains(peer))
        }
    }

    @Test func secondTriesAreOfTheRetriesBudget() throws {
        let rig = try rig(budget: 1)
        _ = rig.ask(EngineRig.get) { _ in nil }
        _ = rig.ask(EngineRig.get) { _ in nil }
        rig.pass(seconds: 2)
        #expect(rig.proxy.counters[.hedges] == 1)
        #expect(rig.proxy.counters[.breakerRetryOverflows] == 1)
    }
}
