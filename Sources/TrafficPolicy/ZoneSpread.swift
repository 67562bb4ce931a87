/// How a zone's traffic is spread over zones: it stays where the zone has as large a share of the
/// endpoints as of the traffic; else as much stays as its endpoints can take in proportion, and the
/// rest goes to zones by what each can take besides its own (Envoy's zone aware routing). The traffic
/// is taken to be spread like the nodes.
package enum ZoneSpread {
    /// The whole.
    package static let whole: UInt32 = 65_536

    /// The share that stays, of 65,536.
    ///
    /// - Parameters:
    ///   - localEndpoints: endpoints of the own zone that can be used.
    ///   - endpoints: all that can be used.
    ///   - localNodes: nodes of the own zone, this one included.
    ///   - nodes: all nodes.
    package static func localShare(
        localEndpoints: Int,
        endpoints: Int,
        localNodes: Int,
        nodes: Int
    ) -> UInt32 {
        guard localEndpoints > 0, endpoints > 0 else { return 0 }
        guard localEndpoints < endpoints, localNodes > 0, nodes > 0 else { return whole }
        let had = localEndpoints * nodes
        let needed = localNodes * endpoints
        return had >= needed ? whole : UInt32(Int(whole) * had / needed)
    }

    /// What another zone can take besides its own traffic; in units that are the same for all zones
    /// of a cluster.
    ///
    /// - Parameters:
    ///   - zoneEndpoints: endpoints of that zone that can be used.
    ///   - endpoints: all that can be used.
    ///   - zoneNodes: nodes of that zone.
    ///   - nodes: all nodes; 0 when they are not known, which gives zones what their endpoints take.
    package static func residual(
        zoneEndpoints: Int,
        endpoints: Int,
        zoneNodes: Int,
        nodes: Int
    ) -> UInt64 {
        UInt64(max(zoneEndpoints * max(nodes, 1) - zoneNodes * endpoints, 0))
    }

    /// The zone that a ticket falls to, by what each can take.
    ///
    /// - Parameters:
    ///   - ticket: of 65,536.
    ///   - sum: of all residuals.
    ///   - residual: of each zone.
    /// - Returns: `nil` where no zone can take anything.
    package static func zone(
        ticket: UInt32,
        sum: UInt64,
        count: Int,
        residual: (Int) -> UInt64
    ) -> Int? {
        let place = sum * UInt64(ticket) / UInt64(whole)
        var passed: UInt64 = 0
        for index in 0..<count {
            passed += residual(index)
            if place < passed { return index }
        }
        return nil
    }
}
