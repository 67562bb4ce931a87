import LinuxSystem
import Logging
import MeshModel
import Synchronization

/// Hands every snapshot to the layers, in lanes: the consumers of a lane apply one after the other,
/// lanes do not wait for one another, and a slow one goes straight to the newest snapshot.
final class SnapshotLoop: Sendable {
    /// How long after a report that wants it something is tried again.
    static let retryInterval = Duration.seconds(1)

    private let lanes: [[any SnapshotConsumer]]
    private let progress: LayerProgress
    private let logger: Logger
    private let newest = Mutex(MeshSnapshot())

    /// Makes a loop over lanes.
    init(lanes: [[any SnapshotConsumer]], progress: LayerProgress, logger: Logger) {
        self.lanes = lanes
        self.progress = progress
        self.logger = logger
    }

    /// Runs until the snapshots end.
    ///
    /// - Parameters:
    ///   - received: called with each snapshot before it is handed on.
    func run(
        _ snapshots: AsyncStream<(MeshSnapshot, SnapshotDelta)>,
        received: @Sendable (MeshSnapshot) -> Void
    ) async {
        let wakes = lanes.map { _ in
            AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        }
        await withTaskGroup { group in
            for (lane, wake) in zip(lanes, wakes) {
                group.addTask { await self.run(lane, wake.stream) { wake.continuation.yield() } }
            }
            for await (snapshot, _) in snapshots {
                progress.received(snapshot.version)
                received(snapshot)
                newest.withLock { $0 = snapshot }
                for wake in wakes { wake.continuation.yield() }
            }
            for wake in wakes { wake.continuation.finish() }
        }
    }

    private func run(
        _ lane: [any SnapshotConsumer],
        _ wakes: AsyncStream<Void>,
        wake: @escaping @Sendable () -> Void
    ) async {
        var last = MeshSnapshot()
        var faults: [Layer: [String]] = [:]
        var sleeper: Task<Void, Never>?
        defer { sleeper?.cancel() }
        for await _ in wakes {
            let snapshot = newest.withLock(\.self)
            let delta = SnapshotDelta(from: last, to: snapshot)
            var waits: [Duration] = []
            for consumer in lane {
                let report =
                    snapshot.version == last.version
                    ? await consumer.retry()
                    : await consumer.apply(snapshot, delta: delta)
                guard let report else { continue }
                if report.wantsRetry { waits.append(SnapshotLoop.retryInterval) }
                if let wait = report.looksAgainAfter { waits.append(wait) }
                progress.applied(consumer.layer, snapshot, report, at: Clock.wallNanoseconds())
                if faults.updateValue(report.faults, forKey: consumer.layer) != report.faults {
                    for fault in report.faults {
                        logger.warning("\(consumer.layer.rawValue): \(fault)")
                    }
                }
            }
            last = snapshot
            sleeper?.cancel()
            guard let wait = waits.min() else { continue }
            sleeper = Task {
                try? await Task.sleep(for: wait)
                if !Task.isCancelled { wake() }
            }
        }
    }
}
