import Logging
import MeshModel
import Synchronization
import Testing

@testable import NodeAgent

@Suite struct LayerProgressTests {
    private let key = ObjectKey(.service, namespace: "a", name: "b")

    private func snapshot(_ version: UInt64, resource: String) -> MeshSnapshot {
        var snapshot = MeshSnapshot()
        snapshot.version = version
        let object = ObjectVersion(uid: "u", resourceVersion: resource, generation: 1)
        snapshot.objects[key] = ObjectRecord(key: key, version: object)
        return snapshot
    }

    @Test func lagIsWhatALayerIsBehind() {
        let progress = LayerProgress(layers: [.ingress, .xdp])
        #expect(progress.waitingLayers == [.ingress, .xdp])
        progress.received(3)
        progress.applied(.xdp, snapshot(2, resource: "1"), AppliedReport(version: 2), at: 5)
        #expect(progress.waitingLayers == [.ingress])
        #expect(progress.rows.map(\.lag) == [3, 1])
        #expect(progress.latestVersion == 3)
    }

    @Test func anObjectsTimeIsThatOfItsVersion() {
        let progress = LayerProgress(layers: [.ingress])
        let first = snapshot(1, resource: "1")
        let later = snapshot(2, resource: "1")
        let changed = snapshot(3, resource: "2")
        progress.applied(.ingress, first, AppliedReport(version: 1), at: 10)
        progress.applied(.ingress, later, AppliedReport(version: 2), at: 20)
        let old = ObjectVersion(uid: "u", resourceVersion: "1", generation: 1)
        #expect(progress.appliedTimes(key, old).map(\.at) == [10])
        progress.applied(.ingress, changed, AppliedReport(version: 3), at: 30)
        #expect(progress.appliedTimes(key, old).isEmpty)
        let new = ObjectVersion(uid: "u", resourceVersion: "2", generation: 1)
        #expect(progress.appliedTimes(key, new).map(\.at) == [30])
    }

    private final class Recorder: SnapshotConsumer {
        let layer: Layer
        let seen = Mutex<[UInt64]>([])

        init(_ layer: Layer) { self.layer = layer }

        func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
            #expect(delta.to == snapshot.version)
            seen.withLock { $0.append(snapshot.version) }
            return AppliedReport(version: snapshot.version, faults: ["f"])
        }
    }

    @Test func everyLaneEndsAtTheNewestSnapshot() async {
        let consumers = [Recorder(.ingress), Recorder(.capture), Recorder(.xdp)]
        let progress = LayerProgress(layers: consumers.map(\.layer))
        let loop = SnapshotLoop(
            lanes: [[consumers[0], consumers[1]], [consumers[2]]],
            progress: progress,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
        let stream = AsyncStream<(MeshSnapshot, SnapshotDelta)> { continuation in
            var last = MeshSnapshot()
            for version in 1...20 {
                let next = snapshot(UInt64(version), resource: "\(version)")
                continuation.yield((next, SnapshotDelta(from: last, to: next)))
                last = next
            }
            continuation.finish()
        }
        await loop.run(stream) { _ in }
        for consumer in consumers {
            let seen = consumer.seen.withLock(\.self)
            #expect(seen.last == 20 && seen == seen.sorted())
        }
        #expect(progress.rows.allSatisfy { $0.row.version == 20 && $0.lag == 0 })
        #expect(progress.rows.allSatisfy { $0.row.faults == ["f"] })
    }
}
