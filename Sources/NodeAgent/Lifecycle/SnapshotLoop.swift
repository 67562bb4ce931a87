import LinuxSystem
import Logging
import MeshModel

/// Hands every snapshot to the layers, in lanes: the consumers of a lane apply one after the other,
/// lanes do not wait for one another, and a slow one goes straight to the newest snapshot.
final class SnapshotLoop: Sendable {
    private let lanes: [[any SnapshotConsumer]]
    private let progress: LayerProgress
    private let logger: Logger

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
        let feeds = lanes.map { _ in
            AsyncStream<MeshSnapshot>.makeStream(bufferingPolicy: .bufferingNewest(1))
        }
        await withTaskGroup { group in
            for (lane, feed) in zip(lanes, feeds) {
                group.addTask { await self.run(lane, feed.stream) }
            }
            for await (snapshot, _) in snapshots {
                progress.received(snapshot.version)
                received(snapshot)
                for feed in feeds { feed.continuation.yield(snapshot) }
            }
            for feed in feeds { feed.continuation.finish() }
        }
    }

    private func run(_ lane: [any SnapshotConsumer], _ feed: AsyncStream<MeshSnapshot>) async {
        var last = MeshSnapshot()
        for await snapshot in feed {
            let delta = SnapshotDelta(from: last, to: snapshot)
            for consumer in lane {
                let report = await consumer.apply(snapshot, delta: delta)
                let now = Clock.wallNanoseconds()
                progress.applied(consumer.layer, snapshot, report, at: now)
                for fault in report.faults {
                    logger.warning("\(consumer.layer.rawValue): \(fault)")
                }
            }
            last = snapshot
        }
    }
}
