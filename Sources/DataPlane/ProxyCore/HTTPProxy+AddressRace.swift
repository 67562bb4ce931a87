import Addressing

/// Clusters of a DNS name with addresses of both families (RFC 8305): while a connection is being
/// made, others to more addresses are begun beside it, and the first that comes about is used.
extension HTTPProxy {
    /// How long a family is passed over whose connections took longer than another's.
    private static let familyMemoryNanoseconds: UInt64 = 60_000_000_000

    /// Gives a connection that is being made for an exchange its time, and begins the race.
    @inline(__always)
    func awaitConnection(_ handle: ConnectionHandle, _ exchange: ExchangeHandle) {
        setDeadline(handle, connectLimit(exchange))
        if exchanges[exchange].flags.contains(.tracked) { beginRace(handle, exchange) }
    }

    @inline(never)
    private func beginRace(_ handle: ConnectionHandle, _ exchange: ExchangeHandle) {
        let cluster = exchanges[exchange].action.cluster
        guard racesFamilies(cluster), connections[handle].flags.contains(.connecting) else {
            return
        }
        let limit = connectLimit(exchange)
        var race = AddressRace(
            handle,
            cluster: cluster,
            endNanoseconds: loop.nowNanoseconds &+ limit
        )
        race.note(endpoint(of: handle))
        races.append(race)
        connections[handle].flags.insert(.racing)
        setDeadline(handle, min(limit, timeouts.raceDelay))
    }

    private func racesFamilies(_ cluster: Int32) -> Bool {
        guard Int(cluster) < view.clusters.count else { return false }
        let row = view.clusters[Int(cluster)]
        return row.balancing >= 0 && view.balancing[Int(row.balancing)].racesFamilies
    }

    /// No connection to the chosen address could even be begun, as where there is no route for its
    /// family: the other has its turn.
    @inline(never)
    func noteUnreachable(_ exchange: ExchangeHandle) {
        let cluster = exchanges[exchange].action.cluster
        guard racesFamilies(cluster) else { return }
        passOver(exchanges[exchange].upstreamAddress.ip, cluster)
    }

    private func endpoint(of handle: ConnectionHandle) -> EngineEndpoint {
        let connection = connections[handle]
        return EngineEndpoint(
            address: connection.peer,
            slot: connection.endpoint,
            generation: connection.endpointGeneration
        )
    }

    private func race(of handle: ConnectionHandle) -> Int? {
        races.firstIndex { $0.connection == handle || $0.isRival(handle) }
    }

    // MARK: Events

    /// A connection of a race, or one that has left it, can be looked at.
    ///
    /// - Returns: whether nothing else is to be done with it.
    func raceReady(_ handle: ConnectionHandle, _ readiness: Readiness) -> Bool {
        guard let index = race(of: handle) else {
            connections[handle].flags.remove(.racing)
            return false
        }
        guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return true }
        let hasFailed = loop.network.connectError(connections[handle].fd) != nil
        if races[index].connection == handle {
            guard hasFailed else {
                endRace(at: index)
                return false
            }
            noteRaceFailure(handle, index)
            if !replaceFailed(index) { upstreamFailed(handle) }
            return true
        }
        if hasFailed {
            noteRaceFailure(handle, index)
            races[index].remove(handle)
            closeRival(handle)
            beginRival(index)
        } else {
            win(handle, index)
        }
        return true
    }

    /// A connection of a race has waited: the next address has its turn.
    ///
    /// - Returns: whether the race goes on.
    func raceTimedOut(_ handle: ConnectionHandle) -> Bool {
        guard let index = race(of: handle) else { return false }
        guard loop.nowNanoseconds < races[index].endNanoseconds else {
            endRace(at: index)
            return false
        }
        beginRival(index)
        return true
    }

    /// A connection that is being made ends: its race, if it was the exchange's own, ends with it.
    func leaveRace(_ handle: ConnectionHandle) {
        connections[handle].flags.remove(.racing)
        guard let index = race(of: handle) else { return }
        if races[index].connection == handle {
            endRace(at: index)
        } else {
            races[index].remove(handle)
        }
    }

    // MARK: Rivals

    /// Begins a connection to the next address, and sets the time of the one after it.
    private func beginRival(_ index: Int) {
        let handle = races[index].connection
        let now = loop.nowNanoseconds
        while races[index].hasRoom, let endpoint = nextAddress(races[index]) {
            races[index].note(endpoint)
            own(endpoint)
            guard let rival = openUpstream(endpoint, connections[handle].origin, -1) else {
                continue
            }
            connections[rival].flags.insert(.racing)
            races[index].add(rival)
            counters.count(.addressRaces)
            break
        }
        let left = races[index].endNanoseconds &- now
        let hasNext = races[index].hasRoom && nextAddress(races[index]) != nil
        setDeadline(handle, hasNext ? min(left, timeouts.raceDelay) : left)
    }

    /// The next address of the name: of the other family than the last, if there is one.
    private func nextAddress(_ race: AddressRace) -> EngineEndpoint? {
        guard Int(race.cluster) < view.clusters.count else { return nil }
        let row = view.clusters[Int(race.cluster)]
        var other: EngineEndpoint?
        for offset in 0..<row.endpoints.count {
            let endpoint = view.endpoints[Int(row.endpoints.first + offset)]
            guard !race.hasTried(endpoint.slot), isSound(endpoint) else { continue }
            if endpoint.address.ip.isIPv4 != race.lastIsIPv4 { return endpoint }
            if other == nil { other = endpoint }
        }
        return other
    }

    private func isSound(_ endpoint: EngineEndpoint) -> Bool {
        let slot = Int(endpoint.slot)
        return slot >= endpoints.vitals.count || !endpoints.vitals[slot].isUnavailable
    }

    private func closeRival(_ handle: ConnectionHandle) {
        connections[handle].flags.remove(.racing)
        close(handle)
    }

    private func endRace(at index: Int) {
        let race = races[index]
        races.swapAt(index, races.count - 1)
        races.removeLast()
        connections[race.connection].flags.remove(.racing)
        let left = race.endNanoseconds > loop.nowNanoseconds
        if left { setDeadline(race.connection, race.endNanoseconds &- loop.nowNanoseconds) }
        for number in 0..<race.rivalCount { closeRival(race.rivals[number]) }
    }

    // MARK: Changing places

    /// The exchange's own connection has failed: it goes on with the oldest of the others, or with
    /// the next address at once.
    ///
    /// - Returns: whether there was one.
    private func replaceFailed(_ index: Int) -> Bool {
        beginRival(index)
        guard races[index].rivalCount > 0 else {
            endRace(at: index)
            return false
        }
        let rival = races[index].rivals[0]
        races[index].remove(rival)
        takeSocket(of: rival, for: races[index])
        return true
    }

    /// Another connection has come about first.
    private func win(_ rival: ConnectionHandle, _ index: Int) {
        let race = races[index]
        counters.count(.addressRacesWon)
        let slow = connections[race.connection].peer.ip
        if slow.isIPv4 != connections[rival].peer.ip.isIPv4 { passOver(slow, race.cluster) }
        races[index].remove(rival)
        endRace(at: index)
        takeSocket(of: rival, for: race)
    }

    /// Remembers that a family's connections do not come about in time.
    private func passOver(_ slow: IPAddress, _ cluster: Int32) {
        guard Int(cluster) < endpoints.clusters.count else { return }
        endpoints.clusters[Int(cluster)].passesOverIPv4 = slow.isIPv4
        endpoints.clusters[Int(cluster)].passesOverUntilNanoseconds =
            loop.nowNanoseconds &+ HTTPProxy.familyMemoryNanoseconds
    }

    /// An address of a race has refused: the outlier detection hears of it, and the family gives
    /// way to the other.
    private func noteRaceFailure(_ handle: ConnectionHandle, _ index: Int) {
        let race = races[index]
        noteConnectFailure(handle, cluster: Int(race.cluster))
        let failed = connections[handle].peer.ip
        if let next = nextAddress(race), next.address.ip.isIPv4 != failed.isIPv4 {
            passOver(failed, race.cluster)
        }
    }

    /// Gives a connection another's socket and endpoint, and closes its own.
    private func takeSocket(of rival: ConnectionHandle, for race: AddressRace) {
        let handle = race.connection
        let own = connections[handle].fd
        let endpoint = endpoint(of: rival)
        loop.unwatch(connections[rival].fd)
        connections[handle].fd = connections[rival].fd
        connections[rival].fd = own
        move(handle, to: endpoint, Int(race.cluster))
        closeRival(rival)
        do {
            // What it is ready for is told anew.
            try loop.watch(connections[handle].fd, self, handle)
        } catch {
            leaveRace(handle)
            upstreamFailed(handle)
        }
    }

    /// Counts a connection and its exchange with another endpoint than before.
    private func move(
        _ handle: ConnectionHandle,
        to endpoint: EngineEndpoint,
        _ cluster: Int
    ) {
        let before = connections[handle]
        let bound = exchanges(of: handle)
        let count = UInt32(bound.count)
        if endpoints.isOwned(before.endpoint, by: before.endpointGeneration) {
            endpoints[before.endpoint].activeCount &-= count
        }
        if before.flags.contains(.pooled) { unlinkIdle(handle) }
        if before.flags.contains(.counted) { trackClosed(handle) }
        connections[handle].flags.remove(.counted)
        connections[handle].peer = endpoint.address
        connections[handle].peerText = AddressText(endpoint.address, addressScratch)
        connections[handle].endpoint = endpoint.slot
        connections[handle].endpointGeneration = endpoint.generation
        if endpoints.isOwned(endpoint.slot, by: endpoint.generation) {
            endpoints[endpoint.slot].activeCount &+= count
            if before.flags.contains(.pooled) { link(handle) }
        }
        if before.flags.contains(.counted) { countConnection(handle, cluster) }
        for exchange in bound {
            exchanges[exchange].upstreamAddress = endpoint.address
            exchanges[exchange].upstreamText = connections[handle].peerText
            noteMove(exchange, to: endpoint)
        }
    }

    /// Those that wait for a connection: one, or several that are to be its streams.
    private func exchanges(of handle: ConnectionHandle) -> [ExchangeHandle] {
        guard let streams = streams(handle) else {
            return [connections[handle].exchange].filter { exchanges.contains($0) }
        }
        return (0..<streams.rowCount).map { streams[$0].exchange }
            .filter { exchanges.contains($0) }
    }

    /// Has the response tell of the endpoint that the request goes to now.
    private func noteMove(_ exchange: ExchangeHandle, to endpoint: EngineEndpoint) {
        let cluster = Int(exchanges[exchange].action.cluster)
        guard cluster < view.clusters.count, view.clusters[cluster].balancing >= 0 else { return }
        let row = view.clusters[cluster]
        let policy = view.balancing[Int(row.balancing)]
        for offset in 0..<Int(row.endpoints.count)
        where view.endpoints[Int(row.endpoints.first) + offset].slot == endpoint.slot {
            noteAffinity(exchange, affinityRow(exchange, policy), index: offset, nil, isKept: false)
        }
    }

    // MARK: Choosing

    /// The endpoint that a request begins with: not one of a family that lately took longer than
    /// the other.
    func preferredAddress(_ index: Int, _ choice: inout EndpointChoice) -> Int {
        let state = endpoints.clusters[Int(choice.cluster)]
        func isSlow(_ index: Int) -> Bool {
            view.endpoints[choice.first + index].address.ip.isIPv4 == state.passesOverIPv4
        }
        guard state.passesOverUntilNanoseconds > choice.now, isSlow(index) else { return index }
        var other = choice.contains(index) ? choice.after(index) : choice.lower
        for _ in choice.lower..<choice.upper {
            if !isSlow(other), isEligible(other, &choice) { return other }
            other = choice.after(other)
        }
        return index
    }
}
