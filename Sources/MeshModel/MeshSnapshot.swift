import Addressing

/// Everything this node is to do, as one immutable value. Versions count up on one node and never
/// leave it.
package struct MeshSnapshot: Equatable, Sendable {
    /// Counts up from 1 with every change; 0 is the empty snapshot before the first.
    package var version: UInt64
    /// Listeners of Gateways of ours, sorted by id.
    package var listeners: [Listener]
    /// Routes in use.
    package var httpRoutes: [ObjectKey: HTTPRoute]
    /// TCP routes in use.
    package var tcpRoutes: [ObjectKey: TCPRoute]
    /// Clusters that a route, a Service or a captured pod may use.
    package var clusters: [ClusterID: Cluster]
    /// Services with ClusterIPs.
    package var services: [ObjectKey: Service]
    /// Pods of this node.
    package var workloads: [ObjectKey: Workload]
    /// Certificates named by listeners.
    package var certificates: [ObjectKey: Certificate]
    /// Consumers.
    package var consumers: [ObjectKey: Consumer]
    /// Packet-layer policies.
    package var sourcePolicies: [ObjectKey: SourcePolicy]
    /// Nodes of the cluster.
    package var nodes: [Node]
    /// The node this agent runs on.
    package var nodeName: String
    /// Addresses of all known pods: those of this node and endpoint addresses.
    package var podAddresses: Set<IPAddress>
    /// Every object in use or refused.
    package var objects: [ObjectKey: ObjectRecord]

    /// Makes an empty snapshot of version 0.
    package init() {
        version = 0
        listeners = []
        httpRoutes = [:]
        tcpRoutes = [:]
        clusters = [:]
        services = [:]
        workloads = [:]
        certificates = [:]
        consumers = [:]
        sourcePolicies = [:]
        nodes = []
        nodeName = ""
        podAddresses = []
        objects = [:]
    }
}

/// What differs between two snapshots, coarse enough to be cheap and fine enough to skip work.
package struct SnapshotDelta: Equatable, Sendable {
    /// The version before.
    package var from: UInt64
    /// The version after.
    package var to: UInt64
    /// Listeners, certificates, routes, plugins, consumers or Services differ.
    package var routingChanged: Bool
    /// Clusters added, removed or changed.
    package var changedClusters: Set<ClusterID>
    /// Pods of this node differ.
    package var workloadsChanged: Bool
    /// Packet-layer policies, listeners or protected addresses differ.
    package var packetLayerChanged: Bool

    /// Compares two snapshots.
    package init(from old: MeshSnapshot, to new: MeshSnapshot) {
        from = old.version
        to = new.version
        routingChanged =
            old.listeners != new.listeners || old.httpRoutes != new.httpRoutes
            || old.tcpRoutes != new.tcpRoutes || old.certificates != new.certificates
            || old.consumers != new.consumers || old.services != new.services
        changedClusters = Set(
            Set(old.clusters.keys).union(new.clusters.keys).filter {
                old.clusters[$0] != new.clusters[$0]
            }
        )
        workloadsChanged = old.workloads != new.workloads
        packetLayerChanged =
            old.sourcePolicies != new.sourcePolicies || old.listeners != new.listeners
            || old.nodes != new.nodes || old.podAddresses != new.podAddresses
    }
}

/// A part of the agent that applies snapshots.
package enum Layer: String, Hashable, Sendable, CaseIterable {
    /// Listeners, routes and clusters of the HTTP and TCP proxies.
    case ingress
    /// Capture of pods.
    case capture
    /// The packet layer.
    case xdp
    /// Plugin instances.
    case plugins
}

/// What a layer says after it applied a snapshot.
package struct AppliedReport: Equatable, Sendable {
    /// The snapshot's version.
    package var version: UInt64
    /// What of it could not be applied: one sentence each, naming the object.
    package var faults: [String]
    /// What became of objects at this layer: it stands in place of the conditions of the same
    /// subject and type that were computed from the objects alone.
    package var conditions: [ObjectKey: [Condition]]
    /// Whether something that could not be applied may be possible later, without a newer snapshot.
    package var wantsRetry: Bool
    /// When time alone will have changed what the report says; `nil` for never.
    package var looksAgainAfter: Duration?

    /// Makes a report.
    package init(
        version: UInt64,
        faults: [String] = [],
        conditions: [ObjectKey: [Condition]] = [:],
        wantsRetry: Bool = false,
        looksAgainAfter: Duration? = nil
    ) {
        self.version = version
        self.faults = faults
        self.conditions = conditions
        self.wantsRetry = wantsRetry
        self.looksAgainAfter = looksAgainAfter
    }
}

/// A layer that applies snapshots, one at a time, on the control side.
package protocol SnapshotConsumer: AnyObject, Sendable {
    /// Which layer it is.
    var layer: Layer { get }

    /// Applies a snapshot and returns once it is in force everywhere on this node.
    func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport

    /// Tries again what the last report wanted tried again; never while `apply` runs.
    ///
    /// - Returns: the report that stands now; `nil` where nothing was tried.
    func retry() async -> AppliedReport?
}

extension SnapshotConsumer {
    /// Nothing is tried again.
    package func retry() async -> AppliedReport? { nil }
}
