import TrafficPolicy

/// How much of a cluster's traffic stays in the node's zone, and which zones take the rest.
extension HTTPProxy {
    /// Takes a cluster's shares anew: its endpoints, or what is known of them, have changed.
    func refreshZones(_ cluster: Int, _ row: ClusterRow, _ policy: BalancingRow) {
        guard policy.localCount > 0 else { return }
        let local = soundCount(row, 0, Int(policy.localCount))
        let count = Int(row.endpoints.count)
        let sound = count - Int(endpoints.clusters[cluster].unavailableCount)
        endpoints.clusters[cluster].residualSum = 0
        if policy.followsHints {
            endpoints.clusters[cluster].spreadsByZone = local > 0
            endpoints.clusters[cluster].localShare = ZoneSpread.whole
            return
        }
        endpoints.clusters[cluster].spreadsByZone = sound >= Int(policy.zoneEndpointMin)
        endpoints.clusters[cluster].localShare = ZoneSpread.localShare(
            localEndpoints: local,
            endpoints: sound,
            localNodes: Int(policy.localNodeCount),
            nodes: Int(policy.nodeCount)
        )
        for index in 0..<Int(policy.zones.count) {
            endpoints.clusters[cluster].residualSum += residual(index, row, policy, sound)
        }
    }

    /// Takes the zone that a request is to go to; all where zones do not matter.
    func setZone(_ choice: inout EndpointChoice, _ row: ClusterRow, _ key: UInt64?) {
        let state = endpoints.clusters[Int(choice.cluster)]
        // In panic few endpoints are left: those of one zone would be run over.
        guard choice.policy.localCount > 0, state.spreadsByZone, !choice.isPanic else { return }
        if ticket(key, 48) < state.localShare {
            choice.upper = Int(choice.policy.localCount)
            return
        }
        let policy = choice.policy
        let sound = choice.count - Int(state.unavailableCount)
        let drawn = ZoneSpread.zone(
            ticket: ticket(key, 32),
            sum: state.residualSum,
            count: Int(policy.zones.count)
        ) { residual($0, row, policy, sound) }
        guard let drawn else { return }
        let zone = view.zones[Int(policy.zones.first) + drawn]
        choice.lower = Int(zone.endpoints.first)
        choice.upper = choice.lower + Int(zone.endpoints.count)
    }

    /// A hash decides by bits of its own, so that a key does not wander between zones.
    private func ticket(_ key: UInt64?, _ bits: UInt64) -> UInt32 {
        guard let key else { return random.next(below: ZoneSpread.whole) }
        return UInt32(truncatingIfNeeded: key >> bits) & 0xffff
    }

    private func residual(
        _ index: Int,
        _ row: ClusterRow,
        _ policy: BalancingRow,
        _ sound: Int
    ) -> UInt64 {
        let zone = view.zones[Int(policy.zones.first) + index]
        return ZoneSpread.residual(
            zoneEndpoints: soundCount(row, Int(zone.endpoints.first), Int(zone.endpoints.count)),
            endpoints: sound,
            zoneNodes: Int(zone.nodeCount),
            nodes: Int(policy.nodeCount)
        )
    }

    /// Endpoints of a run that can be used.
    private func soundCount(_ row: ClusterRow, _ start: Int, _ count: Int) -> Int {
        var sound = 0
        for offset in start..<(start + count) {
            let slot = Int(view.endpoints[Int(row.endpoints.first) + offset].slot)
            if !endpoints.vitals[slot].isUnavailable { sound += 1 }
        }
        return sound
    }
}
