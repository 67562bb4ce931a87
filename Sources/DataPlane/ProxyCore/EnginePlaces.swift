import Addressing
import MeshModel
import TrafficPolicy

/// Where this node is among all.
package struct EngineLocality: Hashable, Sendable {
    /// The own zone; empty when unknown.
    package var zone: String
    /// Nodes of the own zone, this one included.
    package var localNodeCount: Int
    /// All nodes.
    package var nodeCount: Int

    /// Makes a place; by default an unknown one.
    package init(zone: String = "", localNodeCount: Int = 0, nodeCount: Int = 0) {
        self.zone = zone
        self.localNodeCount = localNodeCount
        self.nodeCount = nodeCount
    }

    /// Where a snapshot's own node is.
    package init(_ snapshot: MeshSnapshot) {
        let zone = snapshot.nodes.first { $0.name == snapshot.nodeName }?.zone ?? ""
        self.init(
            zone: zone,
            localNodeCount: zone.isEmpty ? 0 : snapshot.nodes.count { $0.zone == zone },
            nodeCount: snapshot.nodes.count
        )
    }
}

/// What is known of an endpoint besides its address.
package struct EndpointPlace: Hashable, Sendable {
    /// Its zone; empty when unknown.
    package var zone: String
    /// Its node; empty when unknown.
    package var node: String
    /// Its pod's UID, which no client knows; empty when it is no pod.
    package var podUID: String

    /// Makes a place; by default an unknown one.
    package init(zone: String = "", node: String = "", podUID: String = "") {
        self.zone = zone
        self.node = node
        self.podUID = podUID
    }

    /// What is the same for the endpoint in every worker, run and node: what it has on rings and in
    /// tables.
    static func identity(of address: SocketAddress) -> UInt64 {
        KeyedHash.of(address.ip.high, address.ip.low, key: 0x656e_6470 ^ UInt64(address.port))
    }

    /// What names the endpoint to clients: from its pod's UID, so that nobody can try addresses until
    /// one fits.
    func tag(of address: SocketAddress, cluster: String) -> UInt64 {
        let secret = KeyedHash.of(podUID, key: KeyedHash.of(cluster, key: 0x7469_6573))
        return KeyedHash.of(secret, EndpointPlace.identity(of: address), key: secret)
    }
}

/// A table for consistent hashing over a cluster's endpoints, made once on the control side.
package struct ConsistentTable: Sendable {
    let identities: [UInt64]
    let isRing: Bool
    let size: UInt32
    let points: [HashRing.Point]
    let entries: [UInt16]

    /// The table that settings ask for; `nil` when they ask for none.
    ///
    /// - Parameter earlier: taken where it is of the same endpoints.
    init?(
        _ settings: BackendSettings,
        _ identities: [UInt64],
        reusing earlier: ConsistentTable?
    ) {
        let algorithm = settings.balancing.algorithm
        guard algorithm == .ringHash || algorithm == .maglev || settings.affinity?.kind == .source
        else { return nil }
        let isRing = algorithm == .ringHash
        let size = settings.balancing.tableSize
        if let earlier, earlier.isRing == isRing, earlier.size == size,
            earlier.identities == identities
        {
            self = earlier
            return
        }
        self.identities = identities
        self.isRing = isRing
        self.size = size
        points = isRing ? HashRing.points(of: identities, size: Int(size)) : []
        entries = isRing ? [] : MaglevTable.entries(of: identities, size: Int(size))
    }
}

extension EngineCluster {
    /// Endpoints by place where places matter: those of the own zone first, then zone by zone, node
    /// by node, so that every part is one run.
    static func arranged(
        _ endpoints: [EngineEndpoint],
        _ places: [EndpointPlace],
        _ settings: BackendSettings,
        _ locality: EngineLocality
    ) -> (endpoints: [EngineEndpoint], places: [EndpointPlace]) {
        guard places.count == endpoints.count else {
            return (endpoints, Array(repeating: EndpointPlace(), count: endpoints.count))
        }
        guard settings.balancing.prefersZone || settings.balancing.subset != nil else {
            return (endpoints, places)
        }
        func rank(_ index: Int) -> (Int, String, String, Int) {
            let place = places[index]
            let isLocal = !locality.zone.isEmpty && place.zone == locality.zone
            return (isLocal ? 0 : 1, place.zone, place.node, index)
        }
        let order = endpoints.indices.sorted { rank($0) < rank($1) }
        return (order.map { endpoints[$0] }, order.map { places[$0] })
    }

    /// Endpoints of the own zone, which come first; 0 where zones are not preferred.
    var localCount: Int {
        guard settings.balancing.prefersZone, !locality.zone.isEmpty else { return 0 }
        return places.count { $0.zone == locality.zone }
    }
}
