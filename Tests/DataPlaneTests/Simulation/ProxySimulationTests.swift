import Addressing
import DataPlane
import Testing

@Suite struct ProxySimulationTests {
    /// Turns until all clients are done.
    private func run(_ simulation: ProxySimulation, _ disturb: (Int) -> Void) -> Bool {
        for turn in 0..<200_000 {
            if simulation.isDone { return true }
            disturb(turn)
            simulation.step()
        }
        return false
    }

    @Test func undisturbedEveryRequestIsAnsweredByItsCluster() throws {
        let simulation = try ProxySimulation(seed: 7)
        for port in 0..<4 {
            simulation.addBackend(
                cluster: port % 2,
                port: 9_000 + UInt16(port),
                closesIdle: false
            )
        }
        simulation.install(clusterCount: 2)
        for index in 0..<8 {
            simulation.addClient(requestCount: 20, clusterCount: 2, pipelines: index % 2 == 0)
        }
        #expect(run(simulation) { _ in })
        simulation.conclude()
        #expect(simulation.outcome.mixUps.isEmpty)
        #expect(simulation.outcome.completed == 160)
    }

    @Test func underDeathsAndSwapsNoResponseBelongsToAnotherRequestOrCluster() throws {
        for seed in 1...1_000 as ClosedRange<UInt64> {
            let simulation = try ProxySimulation(seed: seed)
            for port in 0..<6 {
                simulation.addBackend(cluster: port % 3, port: 9_000 + UInt16(port))
            }
            simulation.install(clusterCount: 3)
            for index in 0..<5 {
                simulation.addClient(requestCount: 6, clusterCount: 3, pipelines: index % 2 == 0)
            }
            let finished = run(simulation) { turn in
                guard turn < 3_000 else { return }
                let choice = simulation.network.choose(60)
                let backend = simulation.network.choose(simulation.backendCount)
                if choice == 0 { simulation.killBackend(backend) }
                if choice <= 2 { simulation.reviveBackend(backend) }
                if choice == 3 { simulation.install(clusterCount: 3) }
            }
            simulation.conclude()
            #expect(finished, "seed \(seed)")
            #expect(simulation.outcome.mixUps.isEmpty, "seed \(seed)")
            let total =
                simulation.outcome.completed + simulation.outcome.failed + simulation.outcome.cut
            #expect(total == 30, "seed \(seed)")
        }
    }
}
