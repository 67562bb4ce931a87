import Discovery
import MeshModel

/// Where snapshots come from: a manifest directory or an API server.
protocol SnapshotSource: Sendable {
    /// What is known of it.
    var status: SourceStatus { get async }

    /// Begins, and delivers the first snapshot and every newer one.
    func start() async -> AsyncStream<(MeshSnapshot, SnapshotDelta)>
}

extension ManifestSource: SnapshotSource {}

extension KubernetesSource: SnapshotSource {}
