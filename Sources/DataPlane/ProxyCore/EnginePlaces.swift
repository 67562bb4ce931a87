import Addressing
import MeshModel
import TrafficPolicy

/// Where this node is among all.
package struct EngineLocality: Hashable, Sendable {
    /// The own zone; empty when unknown.
    package var zone: String
    /// Nodes by zone.
    package var nodeCounts: [String: Int]

    /// Makes a place; by default an unknown one.
    package init(zone: String = "", nodeCounts: [String: Int] = [:]) {
        self.zone = zone
        self.nodeCounts = nodeCounts
    }

    /// Where a snapshot's own node is.
    package init(_ snapshot: MeshSnapshot) {
        let zone = snapshot.nodes.first { $0.name == snapshot.nodeName }?.zone ?? ""
        self.init(
            zone: zone,
            nodeCounts: snapshot.nodes.reduce(into: [:]) { $0[$1.zone, default: 0] += 1 }
        )
    }

    /// Nodes of the own zone, this one included; 0 when it is unknown.
    package var localNodeCount: Int { zone.isEmpty ? 0 : nodeCounts[zone] ?? 0 }

    /// All nodes.
    package var nodeCount: Int { nodeCounts.values.reduce(0, +) }
}

/// What is known of an endpoint besides its address.
package struct EndpointPlace: Hashable, Sendable {
    /// Its zone; empty when unknown.
    package var zone: String
    /// Its node; empty when unknown.
    package var node: String
    /// Its pod's UID, which no client knows; empty when it is no pod.
    package var podUID: String
    /// The zones that it is to serve by its EndpointSlice's hints; empty without.
    package var hintZones: [String]

    /// Makes a place; by default an unknown one.
    package init(
        zone: String = "",
        node: String = "",
        podUID: String = "",
        hintZones: [String] = []
    ) {
        self.hintZones = hintZones
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
        let followsHints = followsHints(places, settings, locality)
        guard settings.balancing.prefersZone || settings.balancing.subset != nil || followsHints
        else { return (endpoints, places) }
        func rank(_ index: Int) -> (Int, String, String, Int) {
            let place = places[index]
            let isLocal =
                followsHints
                ? place.hintZones.contains(locality.zone)
                : !locality.zone.isEmpty && place.zone == locality.zone
            return (isLocal ? 0 : 1, place.zone, place.node, index)
        }
        let order = endpoints.indices.sorted { rank($0) < rank($1) }
        return (order.map { endpoints[$0] }, order.map { places[$0] })
    }

    /// Whether the endpoints' hints hold, as for kube-proxy: all have some, and some have the node's
    /// zone. A subset asked for by the client comes before them.
    static func followsHints(
        _ places: [EndpointPlace],
        _ settings: BackendSettings,
        _ locality: EngineLocality
    ) -> Bool {
        guard !locality.zone.isEmpty, settings.balancing.subset == nil else { return false }
        return places.allSatisfy { !$0.hintZones.isEmpty }
            && places.contains { $0.hintZones.contains(locality.zone) }
    }

    /// Endpoints that the own zone has, which come first; 0 where zones are not preferred.
    var localCount: Int {
        if followsHints { return places.count { $0.hintZones.contains(locality.zone) } }
        guard settings.balancing.prefersZone, !locality.zone.isEmpty else { return 0 }
        return places.count { $0.zone == locality.zone }
    }
}
