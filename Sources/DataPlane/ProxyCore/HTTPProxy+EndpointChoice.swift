import Addressing
import TrafficPolicy

/// Which endpoint gets a request.
extension HTTPProxy {
    /// Chooses an endpoint for an exchange: in turn, or as the cluster's policies say.
    ///
    /// - Returns: `nil` when there is none to be had; `choiceRefusal` then says why.
    @inline(__always)
    func chooseEndpoint(_ exchange: ExchangeHandle) -> EngineEndpoint? {
        let cluster = exchanges[exchange].action.cluster
        guard Int(cluster) < view.clusters.count else { return nil }
        let endpointRange = view.clusters[Int(cluster)].endpoints
        let count = UInt32(truncatingIfNeeded: endpointRange.count)
        guard count > 0 else {
            choiceRefusal = .noHealthyUpstream
            return nil
        }
        guard view.clusters[Int(cluster)].balancing < 0 else {
            return chooseByPolicy(exchange, view.clusters[Int(cluster)])
        }
        let turn = count > 1 ? endpoints.nextTurn(cluster) % count : 0
        return view.endpoints[Int(endpointRange.first) &+ Int(turn)]
    }

    /// Makes the slot's state this endpoint's: what an earlier owner left is closed.
    @inline(__always)
    func own(_ endpoint: EngineEndpoint) {
        guard !endpoints.isOwned(endpoint.slot, by: endpoint.generation) else { return }
        dropIdle(endpoint.slot)
        endpoints[endpoint.slot] = EndpointState(generation: endpoint.generation)
    }

    // MARK: By policy

    @inline(never)
    private func chooseByPolicy(_ exchange: ExchangeHandle, _ row: ClusterRow) -> EngineEndpoint? {
        let policy = view.balancing[Int(row.balancing)]
        let cluster = Int(exchanges[exchange].action.cluster)
        exchanges[exchange].flags.insert(.tracked)
        refresh(cluster, row, policy)
        choiceRefusal = .noHealthyUpstream
        guard
            policy.breakers.requests == 0
                || endpoints.clusters[cluster].activeCount < policy.breakers.requests
        else {
            refuse(.breakerRequestOverflows)
            return nil
        }
        var choice = EndpointChoice(row, policy, cluster: Int32(cluster), now: loop.nowNanoseconds)
        setBounds(&choice, exchange)
        let key = hashKey(exchange, policy)
        let affinity = affinityRow(exchange, policy)
        let token = affinityToken(exchange, affinity)
        let tied = affineEndpoint(token, affinity.tags, choice)
        guard var index = tied ?? choose(&choice, row, key) else {
            if choice.metBreaker { refuse(overflow(choice)) }
            return nil
        }
        if policy.racesFamilies { index = preferredAddress(index, &choice) }
        noteAffinity(exchange, affinity, index: index, token, isKept: tied == index)
        return view.endpoints[choice.first + index]
    }

    private func overflow(_ choice: EndpointChoice) -> EngineCounter {
        let limit = choice.policy.breakers.pending
        let waiting = endpoints.clusters[Int(choice.cluster)].pendingCount
        return limit > 0 && waiting >= limit
            ? .breakerPendingOverflows : .breakerConnectionOverflows
    }

    private func refuse(_ counter: EngineCounter) {
        choiceOverflow = counter
        choiceRefusal = .overflow
    }

    /// What of the endpoints may be taken, and by what they are judged.
    private func setBounds(_ choice: inout EndpointChoice, _ exchange: ExchangeHandle) {
        let state = endpoints.clusters[Int(choice.cluster)]
        let count = choice.count
        choice.weighs = state.slowUntilNanoseconds > choice.now
        if state.unavailableCount > 0 {
            let healthy = count - Int(state.unavailableCount)
            choice.checksHealth = healthy * 100 >= count * Int(choice.policy.panicPercent)
            choice.isPanic = !choice.checksHealth
            if choice.isPanic { counters.count(.panicChoices) }
        }
        let breakers = choice.policy.breakers
        choice.checksConnections = breakers.connectionsPerEndpoint > 0
        if breakers.connections > 0 && state.connectionCount >= breakers.connections
            || breakers.pending > 0 && state.pendingCount >= breakers.pending
        {
            choice.needsIdle = true
        }
        if exchanges[exchange].tries > 0 { choice.avoided = exchanges[exchange].upstreamAddress }
        setPart(&choice, exchange)
    }

    /// Takes the part of the endpoints that the request names.
    private func setPart(_ choice: inout EndpointChoice, _ exchange: ExchangeHandle) {
        let subset = choice.policy.subset
        guard subset.isActive else { return }
        choice.isSubset = true
        choice.fallsBack = subset.fallsBack
        let name = field(exchange, subset.id, view.bytes(subset.name))
        guard name.byteCount > 0 else {
            choice.isNamed = false
            return
        }
        let hash = KeyedHash.of(byteCount: name.byteCount, key: PartRow.hashKey) {
            name.byte(at: $0)
        }
        let first = Int(subset.parts.first)
        let count = Int(subset.parts.count)
        choice.isNamed = false
        guard count > 0 else { return }
        let place = HashRing.place(hash, count) { view.parts[first + $0].hash }
        let part = view.parts[first + place]
        guard part.hash == hash else { return }
        choice.isNamed = true
        choice.lower = Int(part.endpoints.first)
        choice.upper = choice.lower + Int(part.endpoints.count)
    }

    /// Chooses within the part, then, where that may be, among all.
    private func choose(
        _ choice: inout EndpointChoice,
        _ row: ClusterRow,
        _ key: UInt64?
    ) -> Int? {
        if choice.isSubset {
            if choice.isNamed, let index = pickAvoiding(&choice, key) { return index }
            guard choice.fallsBack else { return nil }
            choice.takeAll()
            return pickAvoiding(&choice, key)
        }
        setZone(&choice, row, key)
        if let index = pickAvoiding(&choice, key) { return index }
        guard choice.isPart else { return nil }
        choice.takeAll()
        return pickAvoiding(&choice, key)
    }

    /// Chooses another than the endpoint that has just failed, unless it is the only one.
    private func pickAvoiding(_ choice: inout EndpointChoice, _ key: UInt64?) -> Int? {
        if let index = pick(&choice, key) { return index }
        guard choice.avoided != nil else { return nil }
        choice.avoided = nil
        return pick(&choice, key)
    }

    private func pick(_ choice: inout EndpointChoice, _ key: UInt64?) -> Int? {
        switch choice.policy.algorithm {
        case .roundRobin: return choice.weighs ? smoothTurn(&choice) : plainTurn(&choice)
        case .random: return drawn(&choice)
        case .leastRequest:
            guard let (one, two) = twoDrawn(&choice) else { return nil }
            return loadCost(choice, one) <= loadCost(choice, two) ? one : two
        case .peakEWMA:
            guard let (one, two) = twoDrawn(&choice) else { return nil }
            return latencyCost(choice, one) <= latencyCost(choice, two) ? one : two
        case .ringHash: return key.map { onRing(&choice, $0) } ?? drawn(&choice)
        case .maglev: return key.map { inTable(&choice, $0) } ?? drawn(&choice)
        }
    }

    // MARK: Algorithms

    /// In turn; one that is skipped gives its turn away, so that its successor gets no second one.
    private func plainTurn(_ choice: inout EndpointChoice) -> Int? {
        for _ in choice.lower..<choice.upper {
            let turn = endpoints.nextTurn(choice.cluster)
            let index = choice.lower + Int(turn) % (choice.upper - choice.lower)
            if isEligible(index, &choice) { return index }
        }
        return following(choice.lower, &choice)
    }

    private func smoothTurn(_ choice: inout EndpointChoice) -> Int? {
        var turn = SmoothTurn()
        for index in choice.lower..<choice.upper where isEligible(index, &choice) {
            let slot = Int(view.endpoints[choice.first + index].slot)
            turn.offer(index, &endpoints.vitals[slot].credit, weight: Int64(share(choice, index)))
        }
        guard turn.taken >= 0 else { return nil }
        let slot = Int(view.endpoints[choice.first + turn.taken].slot)
        endpoints.vitals[slot].credit -= turn.sum
        return turn.taken
    }

    /// At random, by share while endpoints are in their slow start.
    private func drawn(_ choice: inout EndpointChoice) -> Int? {
        let count = UInt32(choice.upper - choice.lower)
        for _ in 0..<EndpointChoice.drawMax {
            let index = choice.lower + Int(random.next(below: count))
            guard isEligible(index, &choice) else { continue }
            guard choice.weighs, random.next(below: SlowStart.whole) >= share(choice, index) else {
                return index
            }
        }
        return following(choice.lower + Int(random.next(below: count)), &choice)
    }

    /// Two different ones drawn at random (Mitzenmacher, 2001); the same twice where there is one.
    private func twoDrawn(_ choice: inout EndpointChoice) -> (Int, Int)? {
        let count = UInt32(choice.upper - choice.lower)
        let start = choice.lower + Int(random.next(below: count))
        guard let one = following(start, &choice) else { return nil }
        guard count > 1 else { return (one, one) }
        var other = choice.lower + Int(random.next(below: count - 1))
        if other >= one { other += 1 }
        if let two = following(other, &choice), two != one { return (one, two) }
        return (one, following(choice.after(one), &choice) ?? one)
    }

    /// Requests in hand, as many more as the endpoint's share is less than whole.
    private func loadCost(_ choice: EndpointChoice, _ index: Int) -> UInt64 {
        let load = activeCount(choice, index)
        guard choice.weighs else { return UInt64(load) }
        return (UInt64(load) + 1) * UInt64(SlowStart.whole) / UInt64(share(choice, index))
    }

    private func latencyCost(_ choice: EndpointChoice, _ index: Int) -> UInt64 {
        let load = activeCount(choice, index)
        return vitals(choice, index).latency.cost(activeCount: load, now: choice.now)
    }

    private func activeCount(_ choice: EndpointChoice, _ index: Int) -> UInt32 {
        let endpoint = view.endpoints[choice.first + index]
        let state = endpoints[endpoint.slot]
        return state.generation == endpoint.generation ? state.activeCount : 0
    }

    /// The first point from the key on whose endpoint can be taken.
    private func onRing(_ choice: inout EndpointChoice, _ key: UInt64) -> Int? {
        let first = Int(choice.policy.table.first)
        let count = Int(choice.policy.table.count)
        guard count > 0 else { return drawn(&choice) }
        let place = HashRing.place(key, count) { view.ringPoints[first + $0].hash }
        for step in 0..<min(count, EndpointChoice.walkMax) {
            let index = Int(view.ringPoints[first + (place + step) % count].member)
            if choice.contains(index), isEligible(index, &choice), hasRoom(choice, index) {
                return index
            }
        }
        return following(choice.lower, &choice)
    }

    /// The key's entry, or the next whose endpoint can be taken.
    private func inTable(_ choice: inout EndpointChoice, _ key: UInt64) -> Int? {
        let first = Int(choice.policy.table.first)
        let count = Int(choice.policy.table.count)
        guard count > 0 else { return drawn(&choice) }
        let place = Int(key % UInt64(count))
        for step in 0..<min(count, EndpointChoice.walkMax) {
            let index = Int(view.maglevEntries[first + (place + step) % count])
            if choice.contains(index), isEligible(index, &choice), hasRoom(choice, index) {
                return index
            }
        }
        return following(choice.lower, &choice)
    }

    /// Whether an endpoint chosen by hash has no more in hand than it may (consistent hashing with
    /// bounded loads, Mirrokni and others, 2018): a key that is asked for by all overflows to the
    /// endpoints after it.
    private func hasRoom(_ choice: EndpointChoice, _ index: Int) -> Bool {
        let percent = UInt64(choice.policy.hashLoadPercent)
        guard percent > 0 else { return true }
        let all = UInt64(endpoints.clusters[Int(choice.cluster)].activeCount) + 1
        let bound = (all * percent + UInt64(choice.count) * 100 - 1) / (UInt64(choice.count) * 100)
        return UInt64(activeCount(choice, index)) < bound
    }

    /// The first endpoint of the part, from one on and around, that can be taken.
    private func following(_ start: Int, _ choice: inout EndpointChoice) -> Int? {
        var index = choice.contains(start) ? start : choice.lower
        for _ in choice.lower..<choice.upper {
            if isEligible(index, &choice) { return index }
            index = choice.after(index)
        }
        return nil
    }

    // MARK: Endpoints

    func vitals(_ choice: EndpointChoice, _ index: Int) -> EndpointVitals {
        endpoints.vitals[Int(view.endpoints[choice.first + index].slot)]
    }

    private func share(_ choice: EndpointChoice, _ index: Int) -> UInt32 {
        let start = vitals(choice, index).slowStartNanoseconds
        guard start > 0 else { return SlowStart.whole }
        let age = choice.now > start ? choice.now - start : 0
        return SlowStart.share(age: age, window: choice.policy.slowStartNanoseconds)
    }

    /// Whether an endpoint can be taken.
    func isEligible(_ index: Int, _ choice: inout EndpointChoice) -> Bool {
        let endpoint = view.endpoints[choice.first + index]
        if let avoided = choice.avoided, avoided == endpoint.address { return false }
        let vitals = endpoints.vitals[Int(endpoint.slot)]
        if choice.checksHealth && vitals.isUnavailable { return false }
        guard choice.needsIdle || choice.checksConnections else { return true }
        let state = endpoints[endpoint.slot]
        if state.generation == endpoint.generation && state.idleCount > 0 { return true }
        let isFull =
            choice.checksConnections
            && vitals.connectionCount >= choice.policy.breakers.connectionsPerEndpoint
        if choice.needsIdle || isFull { choice.metBreaker = true }
        return !choice.needsIdle && !isFull
    }
}
