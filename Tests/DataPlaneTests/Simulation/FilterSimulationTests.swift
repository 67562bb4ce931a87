import Testing

@testable import DataPlane

/// A filter that does in every phase what the seed says.
private final class RandomFilter: Filter {
    private let network: SimulatedNetwork
    /// Pauses to be resumed.
    var tokens: [FilterToken] = []

    init(_ name: String, _ network: SimulatedNetwork) {
        self.network = network
        super.init(name: name, phases: .every)
    }

    private func choose(
        _ context: FilterContext,
        isHead: Bool = false
    ) throws(FilterError) -> FilterAction {
        switch network.choose(40) {
        case 0: throw FilterError("by the seed")
        case 1: return .reply(LocalReply(status: 403, body: Array("no".utf8)))
        case 2...5:
            tokens.append(context.token)
            return .pause(deadline: .seconds(3))
        case 6...12 where isHead:
            return .waitForAll(byteLimit: network.choose(4) == 0 ? 20_000 : 200_000)
        case 13: return .waitForData
        default: return .proceed
        }
    }

    override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { try choose(context, isHead: true) }

    override func requestData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { try choose(context) }

    override func request(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction { try choose(context) }

    override func responseHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { try choose(context, isHead: true) }

    override func responseData(
        _ context: FilterContext,
        _ bytes: RawSpan,
        endStream: Bool
    ) throws(FilterError) -> FilterAction { try choose(context) }

    override func response(
        _ context: FilterContext,
        body: [UInt8]
    ) throws(FilterError) -> FilterAction { try choose(context) }
}

@Suite struct FilterSimulationTests {
    private func simulation(_ seed: UInt64) throws -> (ProxySimulation, [RandomFilter]) {
        let simulation = try ProxySimulation(seed: seed)
        let filters = ["a", "b", "c"].map { RandomFilter($0, simulation.network) }
        simulation.filters = filters
        for port in 0..<4 {
            simulation.addBackend(cluster: port % 2, port: 9_000 + UInt16(port))
        }
        simulation.install(clusterCount: 2)
        for index in 0..<4 {
            simulation.addClient(requestCount: 5, clusterCount: 2, pipelines: index % 2 == 0)
        }
        return (simulation, filters)
    }

    /// Now and then kills an endpoint, swaps the view, or resumes a pause.
    private func disturb(_ simulation: ProxySimulation, _ filters: [RandomFilter]) {
        let choice = simulation.network.choose(60)
        let backend = simulation.network.choose(simulation.backendCount)
        if choice == 0 { simulation.killBackend(backend) }
        if choice <= 2 { simulation.reviveBackend(backend) }
        if choice == 3 { simulation.install(clusterCount: 2) }
        for filter in filters where !filter.tokens.isEmpty && simulation.network.choose(4) == 0 {
            let at = simulation.network.choose(filter.tokens.count)
            let token = filter.tokens.remove(at: at)
            let isAnswer = simulation.network.choose(10) == 0
            simulation.proxy.resume(
                token,
                isAnswer ? .reply(LocalReply(status: 409)) : .proceed
            )
        }
    }

    @Test func whateverFiltersDoNothingIsMixedUpOrLeftBehind() throws {
        for seed in 1...400 as ClosedRange<UInt64> {
            let (simulation, filters) = try simulation(seed)
            var isFinished = false
            for _ in 0..<200_000 where !isFinished {
                disturb(simulation, filters)
                simulation.step()
                isFinished = simulation.isDone
            }
            simulation.conclude()
            // What still pauses or is discarded ends at its deadline.
            for _ in 0..<40 {
                simulation.network.advance(nanoseconds: 2_000_000_000)
                simulation.step()
            }
            #expect(isFinished, "seed \(seed)")
            let outcome = simulation.outcome
            #expect(outcome.mixUps.isEmpty, "seed \(seed)")
            #expect(outcome.completed + outcome.failed + outcome.cut == 20, "seed \(seed)")
            #expect(simulation.proxy.exchanges.count == 0, "seed \(seed)")
            #expect(simulation.proxy.annexes.count == 0, "seed \(seed)")
            #expect(simulation.proxy.pool.usedCount == 0, "seed \(seed)")
        }
    }
}
