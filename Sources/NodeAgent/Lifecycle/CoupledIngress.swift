import Addressing
import DataPlane
import Ingress
import MeshModel
import PluginRuntime
import TrafficPolicy
import XDPEngine

/// The ingress layer with what verdicts need of the same snapshot: once listeners are in force, the
/// workers' desks learn their slots, their addresses and the never-list.
final class CoupledIngress: SnapshotConsumer {
    /// `ingress`.
    let layer = Layer.ingress
    private let ingress: IngressLayer
    private let assembler: EngineAssembler
    private let blocks: BlockService
    private let engine: XDPEngine
    private let plugins: PluginRuntime
    private let protection: @Sendable () -> ProtectionSources
    private let workerCount: Int
    private let health: HealthChecker

    /// Couples the parts.
    init(
        ingress: IngressLayer,
        assembler: EngineAssembler,
        blocks: BlockService,
        engine: XDPEngine,
        plugins: PluginRuntime,
        health: HealthChecker,
        workerCount: Int,
        protection: @escaping @Sendable () -> ProtectionSources
    ) {
        self.ingress = ingress
        self.assembler = assembler
        self.blocks = blocks
        self.engine = engine
        self.plugins = plugins
        self.health = health
        self.workerCount = workerCount
        self.protection = protection
    }

    /// Puts the listeners in force, then the rules of verdicts about them.
    func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
        plugins.set(consumers: Array(snapshot.consumers.values))
        var report = await ingress.apply(snapshot, delta: delta)
        report.faults += pluginFaults
        await health.update(snapshot)
        let names = await assembler.slotNames
        var settings = VerdictDesk.Settings()
        let policies = snapshot.sourcePolicies.values.sorted { $0.key < $1.key }
        settings.neverList = NeverList(
            protected: protection().protectedSources(snapshot),
            policies: policies
        )
        if let least = policies.map(\.pluginBlocksPerMinute).min() {
            settings.blocksPerMinuteMax = max(1, least / UInt32(workerCount))
        }
        for listener in snapshot.listeners {
            guard let slot = names.listeners[listener.id.description] else { continue }
            settings.listeners[slot] = listener.id
        }
        settings.addresses = await ingress.listenerScopes
        settings.writer = engine.blockWriter
        settings.sources = engine.sourceCounters
        await blocks.install(settings)
        return report
    }

    /// Tries again to listen where that failed.
    func retry() async -> AppliedReport? {
        var report = await ingress.retry()
        report?.faults += pluginFaults
        return report
    }

    private var pluginFaults: [String] {
        plugins.invalid.map { "\($0.key): \($0.value)" }.sorted()
    }
}
