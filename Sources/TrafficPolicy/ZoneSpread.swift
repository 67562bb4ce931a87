/// How much of a zone's traffic stays in the zone: all, where the zone has as large a share of the
/// endpoints as of the traffic, else as much as its endpoints can take in proportion. The traffic is
/// taken to be spread like the nodes.
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
}
