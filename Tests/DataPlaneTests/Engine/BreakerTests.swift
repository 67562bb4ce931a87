import MeshModel
import Testing

@testable import DataPlane

/// Bounds of what is under way to a cluster.
@Suite struct BreakerTests {
    private func settings(_ change: (inout BreakerSettings) -> Void) -> BackendSettings {
        var settings = BackendSettings()
        change(&settings.breakers)
        return settings
    }

    private let unanswered: (Int) -> String? = { _ in nil }

    @Test func moreRequestsThanMayBeUnderWayAreRefusedAtOnce() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.requests = 3 })
        let held = (0..<3).map { _ in rig.ask(EngineRig.get, unanswered) }
        let refused = rig.ask()
        #expect(refused.endpoint == -1 && rig.status(refused.client) == "503")
        #expect(!rig.text(refused.client).contains("x-envoy"))
        #expect(rig.proxy.counters[.breakerRequestOverflows] == 1)
        rig.answer(by: held[0].endpoint)
        #expect(rig.ask(EngineRig.get, unanswered).endpoint >= 0)
        #expect(rig.status(rig.ask().client) == "503")
    }

    @Test func aRequestThatIsGivenUpMakesRoom() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], settings: settings { $0.requests = 1 })
        let held = rig.ask(EngineRig.get, unanswered)
        #expect(rig.status(rig.ask().client) == "503")
        rig.network.resetOnClose(held.client)
        rig.network.close(held.client)
        rig.settle()
        #expect(rig.status(rig.ask().client) == "200")
    }

    @Test func noMoreConnectionsAreOpenedThanMayBe() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.connections = 2 })
        let first = rig.ask(EngineRig.get, unanswered)
        _ = rig.ask(EngineRig.get, unanswered)
        #expect(rig.status(rig.ask().client) == "503")
        #expect(rig.proxy.counters[.breakerConnectionOverflows] == 1)
        // The connection that becomes free is used, whosever turn it is.
        rig.answer(by: first.endpoint)
        for _ in 0..<4 { #expect(rig.ask().endpoint == first.endpoint) }
        #expect(rig.upstreams.map(\.count).reduce(0, +) == 2)
    }

    @Test func aConnectionThatEndsMakesRoom() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], settings: settings { $0.connections = 1 })
        let first = rig.ask()
        #expect(first.endpoint == 0)
        rig.network.close(rig.upstreams[0][0])
        rig.settle()
        #expect(rig.status(rig.ask().client) == "200")
        #expect(rig.upstreams[0].count == 2)
    }

    @Test func oneEndpointsConnectionsAreBounded() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.connectionsPerEndpoint = 2 })
        for _ in 0..<4 { #expect(rig.ask(EngineRig.get, unanswered).endpoint >= 0) }
        #expect(rig.upstreams.map(\.count) == [2, 2])
        #expect(rig.status(rig.ask().client) == "503")
    }

    @Test func requestsThatWaitForAConnectionAreBounded() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], settings: settings { $0.pending = 1 })
        for _ in 0..<3 { #expect(rig.ask(EngineRig.get, unanswered).endpoint == 0) }
        var statuses: [String] = []
        let clients = (0..<12).map { _ in rig.network.connect(to: EngineRig.entrance) }
        for client in clients { _ = rig.network.write(client, Array(EngineRig.get.utf8)[...]) }
        rig.settle()
        for client in clients {
            let text = rig.network.read(client).map { String(decoding: $0, as: UTF8.self) } ?? ""
            statuses.append(String(text.dropFirst(9).prefix(3)))
        }
        #expect(statuses.contains("503"))
        #expect(rig.proxy.counters[.breakerPendingOverflows] > 0)
    }

    private func rigWithALine(_ change: (inout EngineAction) -> Void = { _ in }) throws -> EngineRig
    {
        let rig = try EngineRig()
        rig.install(
            clusters: [[0]],
            settings: settings {
                $0.connections = 1
                $0.pending = 2
            },
            change: change
        )
        return rig
    }

    @Test func whereConnectionsAreBoundedRequestsWaitTheirTurn() throws {
        let rig = try rigWithALine()
        let first = rig.ask(EngineRig.get("/1"), unanswered)
        let second = rig.connect(sending: EngineRig.get("/2"))
        let third = rig.connect(
            sending: "POST /3 HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nab"
        )
        rig.send(third, "cde")
        #expect(rig.requestCount(0) == 1)
        let refused = rig.ask()
        #expect(rig.status(refused.client) == "503")
        #expect(rig.proxy.counters[.breakerPendingOverflows] == 1)
        for client in [first.client, second, third] {
            rig.answer()
            #expect(rig.status(client) == "200")
        }
        #expect(rig.upstreams[0].count == 1)
        #expect(rig.forwarded().contains("POST /3 HTTP/1.1") && rig.forwarded().hasSuffix("abcde"))
        #expect(rig.proxy.endpoints.clusters[0].pendingCount == 0)
        #expect(rig.proxy.waitingLines.isEmpty)
    }

    @Test func whoHasWaitedTooLongIsRefused() throws {
        let rig = try rigWithALine()
        _ = rig.ask(EngineRig.get, unanswered)
        let waiting = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 6)
        #expect(rig.status(waiting) == "503")
        #expect(rig.proxy.endpoints.clusters[0].pendingCount == 0)
    }

    @Test func aRoutesTimeoutHoldsWhileWaitingToo() throws {
        let rig = try rigWithALine { $0.requestTimeout = .seconds(2) }
        _ = rig.ask(EngineRig.get, unanswered)
        let waiting = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 3)
        #expect(rig.status(waiting) == "504")
        #expect(rig.proxy.endpoints.clusters[0].pendingCount == 0)
    }

    @Test func whoGoesAwayWhileWaitingLeavesTheLine() throws {
        let rig = try rigWithALine()
        let first = rig.ask(EngineRig.get, unanswered)
        let gone = rig.connect(sending: EngineRig.get("/gone"))
        let stays = rig.connect(sending: EngineRig.get("/stays"))
        rig.network.resetOnClose(gone)
        rig.network.close(gone)
        rig.settle()
        #expect(rig.proxy.endpoints.clusters[0].pendingCount == 1)
        rig.answer()
        #expect(rig.status(first.client) == "200")
        rig.answer()
        #expect(rig.status(stays) == "200")
        #expect(!rig.forwarded().contains("/gone"))
    }

    @Test func whoWaitsWhenTheEndpointsGoIsAnswered() throws {
        let rig = try rigWithALine()
        _ = rig.ask(EngineRig.get, unanswered)
        let waiting = rig.connect(sending: EngineRig.get)
        rig.install(clusters: [[]])
        rig.settle()
        #expect(rig.status(waiting) == "503")
        #expect(rig.proxy.waitingLines.isEmpty)
    }

    @Test func refusalsAreFlaggedAsOverflow() throws {
        #expect(ResponseFlags.names.contains { $0.flag == .overflow && "\($0.name)" == "UO" })
        let rig = try EngineRig()
        rig.install(clusters: [[0]], settings: settings { $0.requests = 1 })
        _ = rig.ask(EngineRig.get, unanswered)
        _ = rig.ask()
        #expect(rig.proxy.choiceRefusal == .overflow)
        rig.install(clusters: [[]])
        _ = rig.ask()
        #expect(rig.proxy.choiceRefusal == .noHealthyUpstream)
    }

    @Test func afterAViewTheCountsGoOn() throws {
        let rig = try EngineRig()
        let settings = settings { $0.requests = 2 }
        rig.install(clusters: [[0]], settings: settings)
        let held = (0..<2).map { _ in rig.ask(EngineRig.get, unanswered) }
        rig.install(clusters: [[0]], settings: settings)
        #expect(rig.status(rig.ask().client) == "503")
        for fd in rig.upstreams[0] { rig.send(fd, EngineRig.ok) }
        #expect(held.allSatisfy { rig.status($0.client) == "200" })
        #expect(rig.status(rig.ask().client) == "200")
    }

    @Test func retriesAreTakenOutOfABudget() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]])
        for _ in 0..<3 { #expect(rig.proxy.takeRetry(0)) }
        #expect(!rig.proxy.takeRetry(0))
        #expect(rig.proxy.counters[.breakerRetryOverflows] == 1)
        rig.proxy.returnRetry(0)
        #expect(rig.proxy.takeRetry(0))
        for _ in 0..<20 { _ = rig.ask(EngineRig.get, unanswered) }
        #expect(rig.proxy.takeRetry(0))
        #expect(!rig.proxy.takeRetry(0))
        #expect(!rig.proxy.takeRetry(7))
    }

    @Test func withoutABudgetRetriesHaveABound() throws {
        let rig = try EngineRig()
        rig.install(
            clusters: [[0]],
            settings: settings {
                $0.retryBudgetPercent = 0
                $0.retries = 1
            }
        )
        #expect(rig.proxy.takeRetry(0))
        #expect(!rig.proxy.takeRetry(0))
    }
}
