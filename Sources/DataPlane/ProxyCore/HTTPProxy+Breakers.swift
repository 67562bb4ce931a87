import TrafficPolicy

/// What is under way to clusters whose policies bound it, and the budget of retries.
extension HTTPProxy {
    /// A tracked exchange has a connection.
    @inline(never)
    func trackBound(_ exchange: ExchangeHandle, _ handle: ConnectionHandle) {
        let cluster = Int(exchanges[exchange].action.cluster)
        endpoints.clusters[cluster].activeCount &+= 1
        if !connections[handle].flags.isDisjoint(with: [.connecting, .securing]) {
            exchanges[exchange].flags.insert(.awaitsConnection)
            endpoints.clusters[cluster].pendingCount &+= 1
        }
        if !connections[handle].flags.contains(.counted) { countConnection(handle, cluster) }
    }

    /// Counts a connection among its endpoint's and its cluster's.
    func countConnection(_ handle: ConnectionHandle, _ cluster: Int) {
        let slot = Int(connections[handle].endpoint)
        guard slot < endpoints.vitals.count, cluster < endpoints.clusters.count,
            endpoints.vitals[slot].generation == connections[handle].endpointGeneration
        else { return }
        connections[handle].flags.insert(.counted)
        endpoints.vitals[slot].connectionCount &+= 1
        endpoints.clusters[cluster].connectionCount &+= 1
    }

    /// A tracked exchange has lost or given back its connection.
    @inline(never)
    func trackUnbound(_ exchange: ExchangeHandle) {
        endpoints.clusters[Int(exchanges[exchange].action.cluster)].activeCount &-= 1
        trackConnected(exchange)
    }

    /// A tracked exchange waits for its connection no longer.
    @inline(never)
    func trackConnected(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.awaitsConnection) else { return }
        exchanges[exchange].flags.remove(.awaitsConnection)
        endpoints.clusters[Int(exchanges[exchange].action.cluster)].pendingCount &-= 1
    }

    /// A counted connection ends.
    @inline(never)
    func trackClosed(_ handle: ConnectionHandle) {
        let slot = Int(connections[handle].endpoint)
        let vitals = endpoints.vitals[slot]
        guard vitals.generation == connections[handle].endpointGeneration else { return }
        endpoints.vitals[slot].connectionCount &-= 1
        guard vitals.cluster >= 0 else { return }
        endpoints.clusters[Int(vitals.cluster)].connectionCount &-= 1
    }

    // MARK: Retries

    /// Takes a retry out of a cluster's budget. Whoever is given one returns it when the try ends.
    ///
    /// - Returns: `false`, and counted, when too many retries are under way.
    func takeRetry(_ cluster: Int32) -> Bool {
        guard cluster >= 0, Int(cluster) < view.clusters.count else { return false }
        let row = view.clusters[Int(cluster)]
        let retryCount = endpoints.clusters[Int(cluster)].retryCount
        guard row.retryBudget.allows(retryCount: retryCount, activeCount: activeCount(of: row))
        else {
            counters.count(.breakerRetryOverflows)
            return false
        }
        endpoints.clusters[Int(cluster)].retryCount &+= 1
        return true
    }

    /// Gives a retry back.
    func returnRetry(_ cluster: Int32) {
        guard cluster >= 0, Int(cluster) < endpoints.clusters.count,
            endpoints.clusters[Int(cluster)].retryCount > 0
        else { return }
        endpoints.clusters[Int(cluster)].retryCount &-= 1
    }

    /// Requests that a cluster's endpoints have in hand.
    private func activeCount(of row: ClusterRow) -> UInt32 {
        var count: UInt32 = 0
        for offset in 0..<row.endpoints.count {
            let endpoint = view.endpoints[Int(row.endpoints.first + offset)]
            let state = endpoints[endpoint.slot]
            if state.generation == endpoint.generation { count &+= state.activeCount }
        }
        return count
    }
}
