import Addressing
import MeshModel
import Synchronization

/// What health checks found last, for status and metrics. From any thread.
final class HealthBoard: Sendable {
    /// An endpoint of a cluster.
    struct Key: Hashable {
        var cluster: ClusterID
        var address: SocketAddress
    }

    /// What there is to see.
    struct Content {
        /// Whether an endpoint lives; of those that are checked.
        var isHealthy: [Key: Bool] = [:]
        /// Probes that succeeded, since the start.
        var successCount: UInt64 = 0
        /// Probes that failed, since the start.
        var failureCount: UInt64 = 0
    }

    private let state = Mutex(Content())

    /// What is known now.
    var content: Content { state.withLock(\.self) }

    /// Notes a probe's end and what it makes of its endpoint.
    func note(_ key: Key, succeeded: Bool, isHealthy: Bool) {
        state.withLock { content in
            if succeeded { content.successCount += 1 } else { content.failureCount += 1 }
            content.isHealthy[key] = isHealthy
        }
    }

    /// Forgets all but some endpoints.
    func keep(_ keys: Set<Key>) {
        state.withLock { content in
            content.isHealthy = content.isHealthy.filter { keys.contains($0.key) }
        }
    }
}
