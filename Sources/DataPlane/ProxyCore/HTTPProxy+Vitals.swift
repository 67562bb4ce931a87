import TrafficPolicy

/// What the worker remembers of endpoints whose clusters have policies: health, ejections, slow
/// starts.
extension HTTPProxy {
    // MARK: Views

    /// Takes a new view's endpoints into what is remembered.
    func adoptEndpoints() {
        endpoints.grow(
            clusterCount: view.clusters.count,
            endpointCount: view.balancing.count > 0 ? view.endpointGenerations.count : 0
        )
        for slot in 0..<view.clusters.count where view.clusters[slot].balancing >= 0 {
            adoptEndpoints(of: Int32(slot), view.clusters[slot])
        }
    }

    private func adoptEndpoints(of cluster: Int32, _ row: ClusterRow) {
        let window = view.balancing[Int(row.balancing)].slowStartNanoseconds
        let first = Int(row.endpoints.first)
        var newCount = 0
        for offset in 0..<Int(row.endpoints.count) {
            let endpoint = view.endpoints[first + offset]
            if isStranger(endpoint, cluster) { newCount += 1 }
        }
        // Where every endpoint is new there is nobody to relieve them.
        let startsSlowly = window > 0 && newCount < Int(row.endpoints.count)
        for offset in 0..<Int(row.endpoints.count) {
            let endpoint = view.endpoints[first + offset]
            let isNew = isStranger(endpoint, cluster)
            endpoints.adopt(endpoint.slot, generation: endpoint.generation)
            endpoints.vitals[Int(endpoint.slot)].cluster = cluster
            if isNew && startsSlowly { startSlowly(endpoint.slot, cluster, window) }
        }
        endpoints.clusters[Int(cluster)].isStale = true
    }

    private func isStranger(_ endpoint: EngineEndpoint, _ cluster: Int32) -> Bool {
        let vitals = endpoints.vitals[Int(endpoint.slot)]
        return vitals.generation != endpoint.generation || vitals.cluster != cluster
    }

    private func startSlowly(_ slot: Int32, _ cluster: Int32, _ window: UInt64) {
        guard window > 0 else { return }
        endpoints.vitals[Int(slot)].slowStartNanoseconds = loop.nowNanoseconds
        let until = loop.nowNanoseconds &+ window
        endpoints.clusters[Int(cluster)].slowUntilNanoseconds = max(
            endpoints.clusters[Int(cluster)].slowUntilNanoseconds,
            until
        )
    }

    /// Connections to endpoints that the next view has no more end with the exchange in hand, and
    /// are not kept for another.
    func disownEndpoints(absentIn next: borrowing RoutingView) {
        for index in 0..<view.endpoints.count {
            let endpoint = view.endpoints[index]
            let slot = Int(endpoint.slot)
            let isKept =
                slot < next.endpointGenerations.count
                && next.endpointGenerations[slot] == endpoint.generation
            if !isKept && endpoints.isOwned(endpoint.slot, by: endpoint.generation) {
                endpoints.disown(endpoint.slot)
            }
        }
    }

    // MARK: Health from outside

    /// Says what a health check found of an endpoint. Unhealthy endpoints get no requests while
    /// enough others are healthy; what they have in hand goes on. On the worker's thread.
    ///
    /// - Parameters:
    ///   - slot: the endpoint's number of `EngineSlots`.
    ///   - generation: its generation; of an earlier owner of the slot nothing is believed.
    package func setHealth(_ slot: Int32, generation: UInt32, isHealthy: Bool) {
        guard slot >= 0, Int(slot) < endpoints.count else { return }
        endpoints.grow(clusterCount: 0, endpointCount: Int(slot) + 1)
        guard endpoints.vitals[Int(slot)].generation <= generation else { return }
        endpoints.adopt(slot, generation: generation)
        let was = endpoints.vitals[Int(slot)]
        guard was.isUnhealthy == isHealthy else { return }
        endpoints.vitals[Int(slot)].isUnhealthy = !isHealthy
        guard was.cluster >= 0 else { return }
        endpoints.clusters[Int(was.cluster)].isStale = true
        if isHealthy { startSlowly(slot, was.cluster, slowStart(of: was.cluster)) }
    }

    private func slowStart(of cluster: Int32) -> UInt64 {
        guard Int(cluster) < view.clusters.count else { return 0 }
        let row = view.clusters[Int(cluster)]
        return row.balancing < 0 ? 0 : view.balancing[Int(row.balancing)].slowStartNanoseconds
    }

    /// What this worker knows of an endpoint, for the status. On the worker's thread.
    package func condition(of endpoint: EngineEndpoint) -> EndpointCondition {
        var condition = EndpointCondition()
        if endpoints.isOwned(endpoint.slot, by: endpoint.generation) {
            condition.requestCount = Int(endpoints[endpoint.slot].activeCount)
        }
        let slot = Int(endpoint.slot)
        guard slot < endpoints.vitals.count,
            endpoints.vitals[slot].generation == endpoint.generation
        else { return condition }
        let vitals = endpoints.vitals[slot]
        condition.unhealthyCount = vitals.isUnhealthy ? 1 : 0
        condition.ejectedCount = vitals.outlier.ejectedUntil > loop.nowNanoseconds ? 1 : 0
        return condition
    }

    // MARK: Outliers

    /// Brings a cluster's counts up to date: ejections that end, rates that are due.
    func refresh(_ cluster: Int, _ row: ClusterRow, _ policy: BalancingRow) {
        let now = loop.nowNanoseconds
        if policy.outliers.isActive && endpoints.clusters[cluster].judgeNanoseconds <= now {
            judge(cluster, row, policy.outliers)
        }
        let state = endpoints.clusters[cluster]
        guard state.isStale || state.returnNanoseconds <= now else { return }
        endpoints.clusters[cluster].isStale = false
        endpoints.clusters[cluster].returnNanoseconds = .max
        var unavailable: Int32 = 0
        var ejected: Int32 = 0
        for offset in 0..<row.endpoints.count {
            let slot = Int(view.endpoints[Int(row.endpoints.first + offset)].slot)
            if OutlierMachine.release(&endpoints.vitals[slot].outlier, now: now) {
                counters.count(.outlierReturns)
                startSlowly(Int32(slot), Int32(cluster), policy.slowStartNanoseconds)
            }
            let vitals = endpoints.vitals[slot]
            if vitals.isUnavailable { unavailable += 1 }
            guard vitals.outlier.isEjected else { continue }
            ejected += 1
            endpoints.clusters[cluster].returnNanoseconds = min(
                endpoints.clusters[cluster].returnNanoseconds,
                vitals.outlier.ejectedUntil
            )
        }
        endpoints.clusters[cluster].unavailableCount = unavailable
        endpoints.clusters[cluster].ejectedCount = ejected
        refreshZones(cluster, row, policy)
    }

    /// Looks at the interval's rates. Once an interval and cluster: it may take memory.
    private func judge(_ cluster: Int, _ row: ClusterRow, _ policy: OutlierPolicy) {
        let isFirst = endpoints.clusters[cluster].judgeNanoseconds == 0
        endpoints.clusters[cluster].judgeNanoseconds =
            loop.nowNanoseconds &+ policy.intervalNanoseconds
        guard !isFirst else { return }
        let slots = (0..<row.endpoints.count).map { offset in
            view.endpoints[Int(row.endpoints.first + offset)].slot
        }
        var records = slots.map { endpoints.vitals[Int($0)].outlier }
        let guilty = OutlierMachine.judge(&records, policy)
        for (slot, record) in zip(slots, records) { endpoints.vitals[Int(slot)].outlier = record }
        for index in guilty { eject(slots[index], cluster, row, policy) }
    }

    /// Takes an endpoint out for a while, if so many may be out.
    private func eject(_ slot: Int32, _ cluster: Int, _ row: ClusterRow, _ policy: OutlierPolicy) {
        guard !endpoints.vitals[Int(slot)].outlier.isEjected else { return }
        guard
            OutlierMachine.mayEject(
                ejectedCount: Int(endpoints.clusters[cluster].ejectedCount),
                endpointCount: Int(row.endpoints.count),
                policy
            )
        else {
            counters.count(.outlierEjectionsRefused)
            return
        }
        OutlierMachine.eject(&endpoints.vitals[Int(slot)].outlier, now: loop.nowNanoseconds, policy)
        counters.count(.outlierEjections)
        endpoints.clusters[cluster].ejectedCount += 1
        endpoints.clusters[cluster].isStale = true
    }

    /// An endpoint has answered a tracked exchange with a response's head.
    @inline(never)
    func endpointAnswered(_ exchange: ExchangeHandle, _ handle: ConnectionHandle) {
        let start = exchanges[exchange].upstreamStartNanoseconds
        let latency = loop.nowNanoseconds &- start
        note(EndpointOutcome(status: exchanges[exchange].status), latency, exchange, handle)
    }

    /// No connection came about for a tracked exchange, or it broke or was silent for too long.
    @inline(never)
    func endpointFailed(_ exchange: ExchangeHandle, _ handle: ConnectionHandle) {
        guard exchanges[exchange].flags.isDisjoint(with: [.responseStarted, .responseHeld]) else {
            return
        }
        note(.connectionError, 0, exchange, handle)
    }

    /// No connection came about to one address of a name, while others are tried.
    func noteConnectFailure(_ handle: ConnectionHandle, cluster: Int) {
        note(.connectionError, 0, cluster, handle)
    }

    private func note(
        _ outcome: EndpointOutcome,
        _ latency: UInt64,
        _ exchange: ExchangeHandle,
        _ handle: ConnectionHandle
    ) {
        note(outcome, latency, Int(exchanges[exchange].action.cluster), handle)
    }

    private func note(
        _ outcome: EndpointOutcome,
        _ latency: UInt64,
        _ cluster: Int,
        _ handle: ConnectionHandle
    ) {
        let slot = connections[handle].endpoint
        guard cluster < view.clusters.count, Int(slot) < endpoints.vitals.count,
            endpoints.vitals[Int(slot)].generation == connections[handle].endpointGeneration,
            Int(endpoints.vitals[Int(slot)].cluster) == cluster
        else { return }
        let row = view.clusters[cluster]
        guard row.balancing >= 0 else { return }
        let policy = view.balancing[Int(row.balancing)]
        if policy.algorithm == .peakEWMA {
            // A failure counts as the slowest answer, lest the endpoint that refuses looks quick.
            let felt = outcome == .connectionError ? PeakLatency.unknownNanoseconds : latency
            endpoints.vitals[Int(slot)].latency.observe(felt, now: loop.nowNanoseconds)
        }
        guard policy.outliers.isActive else { return }
        let isGuilty = OutlierMachine.observe(
            &endpoints.vitals[Int(slot)].outlier,
            outcome,
            latency: latency,
            policy.outliers
        )
        if isGuilty { eject(slot, cluster, row, policy.outliers) }
    }
}
