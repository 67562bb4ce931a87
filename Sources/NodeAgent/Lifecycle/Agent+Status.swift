import Addressing
import Discovery
import LinuxSystem
import Logging
import MeshModel
import XDPEngine

extension Agent: StatusSubject {
    /// Since the agent started.
    var uptimeSeconds: Double {
        Double((Clock.monotonicNanoseconds() - startedAtNanoseconds) / 1_000_000) / 1_000
    }

    func metricsText() async -> String {
        await totals.refresh(workers, assembler)
        return metrics.prometheusText()
    }

    func statusDocument() async -> String {
        await totals.refresh(workers, assembler)
        let document = StatusDocument(
            configuration: configuration,
            nodeAddresses: nodeAddresses,
            uptimeSeconds: Int64(uptimeSeconds),
            unreadiness: await unreadiness(),
            isDraining: isDraining.load(ordering: .relaxed),
            sources: [await source.status],
            snapshot: snapshot.withLock(\.self),
            layers: progress.rows,
            offLayers: offLayers,
            listening: await ingress.listeningAddresses,
            capture: await capture?.statuses ?? [],
            captureFaults: await capture?.faults ?? [],
            packetLayer: engine.status(),
            plugins: totals.pluginUses,
            nowNanoseconds: Clock.wallNanoseconds()
        )
        return document.text
    }

    func configurationDocument(_ selection: ConfigurationSelection) async -> String {
        await totals.refresh(workers, assembler)
        let document = ConfigurationDocument(
            snapshot: snapshot.withLock(\.self),
            conditions: await assembler.conditions(),
            selection: selection,
            health: health.board.content.isHealthy,
            limits: limits.rows(),
            endpoints: totals.endpoints
        )
        return document.text
    }

    func objectsDocument() async -> String {
        ObjectsDocument.text(
            snapshot.withLock(\.self),
            progress,
            capture: await capture?.statuses ?? []
        )
    }

    func blocksDocument() async -> String { BlocksDocument.text(await blocks.blocks()) }

    func unreadiness() async -> [String] {
        if isDraining.load(ordering: .relaxed) { return ["the node drains"] }
        guard progress.latestVersion > 0 else { return ["sources: no snapshot has come yet"] }
        return progress.waitingLayers.map { "\($0.rawValue) has not applied the first snapshot" }
    }

    func addBlock(
        _ source: IPPrefix,
        ttl: Duration,
        reason: String
    ) async -> OperatorBlockOutcome {
        let outcome = await blocks.add(source, ttl: ttl, reason: reason)
        logger.notice("operator's block", metadata: ["source": "\(source)", "is": "\(outcome)"])
        return outcome
    }

    func removeBlock(_ source: IPPrefix) async -> OperatorBlockOutcome {
        let outcome = await blocks.remove(source)
        logger.notice("operator's lift", metadata: ["source": "\(source)", "is": "\(outcome)"])
        return outcome
    }

    var logLevel: Logger.Level {
        get { log.level }
        set { log.level = newValue }
    }

    /// The node turns unready, its listeners close, and old connections end after what they have
    /// in hand.
    func drain() async {
        guard !isDraining.exchange(true, ordering: .acquiringAndReleasing) else { return }
        logger.notice("draining")
        await ingress.stopListening()
        await workers.pool.drain()
    }
}
