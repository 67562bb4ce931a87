import MeshModel
import Testing

@testable import DataPlane

/// Every algorithm with ejections, bounds, ties and health, while endpoints die, fail, leave and come
/// back at random.
@Suite struct BalancingSimulationTests {
    private static func settings(_ algorithm: BalancingAlgorithm, _ number: Int) -> BackendSettings
    {
        var settings = BackendSettings()
        settings.balancing.algorithm = algorithm
        settings.balancing.hashKeys = [.header("x-number"), .path]
        settings.balancing.tableSize = 211
        settings.balancing.slowStart = number == 1 ? .milliseconds(40) : nil
        settings.balancing.prefersZone = number == 2
        settings.balancing.zoneEndpointMin = 0
        settings.balancing.panicPercent = number == 0 ? 0 : 50
        var outliers = OutlierSettings()
        outliers.consecutiveErrors = 2
        outliers.consecutiveGatewayErrors = 2
        outliers.interval = .milliseconds(20)
        outliers.ejectionTime = .milliseconds(30)
        outliers.ejectedPercentMax = 60
        outliers.failurePercent = 50
        outliers.successRateDeviation = 1_200
        outliers.latencyPercent = 400
        outliers.requestMin = 2
        settings.outliers = outliers
        settings.healthCheck = HealthCheckSettings(.tcp)
        settings.breakers.requests = number == 0 ? 2 : 0
        settings.breakers.connections = number == 1 ? 3 : 0
        settings.breakers.pending = number == 1 ? 2 : 0
        settings.breakers.connectionsPerEndpoint = number == 2 ? 1 : 0
        if number == 2 {
            settings.affinity = SessionAffinity(.cookie(name: "tie", path: "", lifetime: nil))
        }
        return settings
    }

    @Test(arguments: BalancingAlgorithm.allCases)
    func underDeathsNothingIsMixedUpAndEveryCountComesBackToNothing(
        algorithm: BalancingAlgorithm
    ) throws {
        var counts: [EngineCounter: UInt64] = [:]
        for seed in 1...120 as ClosedRange<UInt64> {
            let simulation = try ProxySimulation(seed: seed)
            simulation.settings = { BalancingSimulationTests.settings(algorithm, $0) }
            for port in 0..<9 {
                simulation.addBackend(
                    cluster: port % 3,
                    port: 9_000 + UInt16(port),
                    failurePercent: port % 2 == 0 ? 30 : 0
                )
            }
            simulation.install(clusterCount: 3)
            for index in 0..<8 {
                simulation.addClient(requestCount: 6, clusterCount: 3, pipelines: index % 2 == 0)
            }
            let isFinished = run(simulation)
            simulation.conclude()
            #expect(isFinished, "seed \(seed)")
            let outcome = simulation.outcome
            #expect(outcome.mixUps.isEmpty, "seed \(seed)")
            #expect(outcome.completed + outcome.failed + outcome.cut == 48, "seed \(seed)")
            for counter in EngineCounter.allCases {
                counts[counter, default: 0] += simulation.proxy.counters[counter]
            }
            expectNothingLeft(simulation, seed)
        }
        let expected: [EngineCounter] = [
            .outlierEjections, .outlierReturns, .breakerRequestOverflows,
            .breakerConnectionOverflows, .panicChoices,
        ]
        for counter in expected { #expect(counts[counter, default: 0] > 0, "\(counter)") }
    }

    private func run(_ simulation: ProxySimulation) -> Bool {
        for turn in 0..<200_000 {
            if simulation.isDone { return true }
            if turn < 3_000 { disturb(simulation) }
            simulation.step()
        }
        return false
    }

    private func disturb(_ simulation: ProxySimulation) {
        let choice = simulation.network.choose(80)
        let backend = simulation.network.choose(simulation.backendCount)
        switch choice {
        case 0: simulation.killBackend(backend)
        case 1, 2: simulation.reviveBackend(backend)
        case 3: simulation.install(clusterCount: 3)
        case 4: simulation.install(clusterCount: 3, leaving: [backend])
        case 5: simulation.setHealth(backend, isHealthy: false)
        case 6, 7: simulation.setHealth(backend, isHealthy: true)
        default: break
        }
    }

    /// What is counted under way has come back to nothing, and connections that are counted are
    /// those that there are.
    private func expectNothingLeft(_ simulation: ProxySimulation, _ seed: UInt64) {
        let proxy = simulation.proxy
        var counted: [UInt32] = [0, 0, 0]
        for index in 0..<proxy.connections.endIndex {
            guard let handle = proxy.connections.handle(at: index),
                proxy.connections[handle].flags.contains(.counted)
            else { continue }
            let vitals = proxy.endpoints.vitals[Int(proxy.connections[handle].endpoint)]
            if vitals.generation == proxy.connections[handle].endpointGeneration {
                counted[Int(vitals.cluster)] += 1
            }
        }
        for cluster in 0..<3 {
            let state = proxy.endpoints.clusters[cluster]
            #expect(state.activeCount == 0, "seed \(seed)")
            #expect(state.pendingCount == 0, "seed \(seed)")
            #expect(proxy.waitingLines.isEmpty, "seed \(seed)")
            #expect(state.connectionCount == counted[cluster], "seed \(seed)")
        }
    }
}
