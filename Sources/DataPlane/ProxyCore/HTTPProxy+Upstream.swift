import Addressing
import LinuxSystem

/// Endpoints: connecting and pooling.
extension HTTPProxy {
    // MARK: Choosing

    /// Chooses an endpoint and gives the exchange a connection to it.
    func connectUpstream(_ exchange: ExchangeHandle) {
        guard let endpoint = chooseNextEndpoint(exchange) else {
            refuseOrWait(exchange)
            return
        }
        connectUpstream(exchange, to: endpoint)
    }

    /// Gives the exchange a connection to an endpoint that was chosen for it.
    @inline(__always)
    func connectUpstream(_ exchange: ExchangeHandle, to endpoint: EngineEndpoint) {
        let it = exchanges.place(exchange)
        it.value.tries += 1
        it.value.upstreamAddress = endpoint.address
        it.value.upstreamStartNanoseconds = loop.nowNanoseconds
        own(endpoint)
        let transport = self.transport(of: it)
        let origin = transport < 0 ? self.origin(of: it) : owner(of: exchange)
        if it.value.tries == 1 || transport >= 0, it.value.head.tunnel != .connect,
            let idle = takeIdle(endpoint, origin, transport)
        {
            bind(idle, to: exchange)
            sendRequestHead(exchange, on: idle)
        } else {
            connectAnew(exchange, to: endpoint, origin, transport)
        }
    }

    @inline(never)
    private func connectAnew(
        _ exchange: ExchangeHandle,
        to endpoint: EngineEndpoint,
        _ origin: Int32,
        _ transport: Int32
    ) {
        exchanges[exchange].upstreamText = AddressText()
        guard let opened = openUpstream(endpoint, origin, transport) else {
            connectFailedAtOnce(exchange)
            return
        }
        awaitConnection(opened, exchange)
        bind(opened, to: exchange)
        sendRequestHead(exchange, on: opened)
    }

    /// How the endpoints of an exchange's cluster are spoken to.
    @inline(__always)
    func transport(of exchange: ExchangeHandle) -> Int32 {
        transport(of: exchanges.place(exchange))
    }

    @inline(__always)
    private func transport(of it: Place<Exchange>) -> Int32 {
        let cluster = Int(it.value.action.cluster)
        // What CONNECT carries is the client's own.
        guard cluster < view.clusters.count, it.value.head.tunnel != .connect else { return -1 }
        let transport = view.clusters[cluster].transport
        guard transport >= 0, it.value.head.tunnel != .none else { return transport }
        return tunnelTransport(transport)
    }

    /// Whether a head can be written to a connection now.
    func isReady(_ upstream: ConnectionHandle) -> Bool { streams(upstream)?.session != nil }

    @inline(__always)
    func bind(_ upstream: ConnectionHandle, to exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        let server = connections.place(upstream)
        server.value.exchange = exchange
        server.value.exchangeCount &+= 1
        it.value.upstream = upstream
        it.value.upstreamText = server.value.peerText
        endpoints[server.value.endpoint].activeCount &+= 1
        if it.value.flags.contains(.tracked) { trackBound(exchange, upstream) }
        if server.value.flags.contains(.multiplexed) {
            server.value.exchange = .none
            bindStream(upstream, to: exchange)
        } else if !server.value.flags.contains(.connecting) {
            setDeadline(upstream, upstreamTimeout(exchange))
        }
    }

    /// How long an exchange waits for its endpoint, nanoseconds.
    @inline(__always)
    func upstreamTimeout(_ exchange: ExchangeHandle) -> UInt64 {
        exchanges[exchange].flags.contains(.ruled) ? beginTryTime(exchange) : timeouts.upstreamIdle
    }

    /// Takes the exchange off its upstream connection.
    ///
    /// - Returns: the connection, where it was the exchange's alone.
    @inline(__always)
    func unbind(_ exchange: ExchangeHandle) -> ConnectionHandle? {
        let it = exchanges.place(exchange)
        let upstream = it.value.upstream
        it.value.upstream = .none
        guard let server = connections.find(upstream) else { return nil }
        let isStream = it.value.upstreamStream != 0
        var isTry = true
        if isStream {
            isTry = unbindStream(exchange, from: upstream)
        } else {
            server.value.exchange = .none
        }
        let slot = server.value.endpoint
        if endpoints.isOwned(slot, by: server.value.endpointGeneration) {
            endpoints[slot].activeCount &-= 1
        }
        if isTry { countTry(it, server) }
        if it.value.flags.contains(.tracked) { trackUnbound(exchange) }
        return isStream ? nil : upstream
    }

    // MARK: Connecting

    /// The namespace that an exchange's client lives in.
    @inline(__always)
    func origin(of exchange: ExchangeHandle) -> Int32 { origin(of: exchanges.place(exchange)) }

    @inline(__always)
    private func origin(of it: Place<Exchange>) -> Int32 {
        connections.find(it.value.downstream)?.value.origin ?? -1
    }

    private func connect(to address: SocketAddress, from origin: Int32) throws(Errno) -> Int32 {
        let network = loop.network
        guard origin >= 0, let gate else {
            return try network.connect(to: address, from: nil, SocketConfiguration())
        }
        var configuration = SocketConfiguration()
        configuration.mark = originMark
        return try gate.inside(origin) { () throws(Errno) -> Int32 in
            try network.connect(to: address, from: nil, configuration)
        }
    }

    func openUpstream(
        _ endpoint: EngineEndpoint,
        _ origin: Int32,
        _ transport: Int32
    ) -> ConnectionHandle? {
        guard transport < 0 || transports[transport].map({ $0.fault == nil }) == true,
            let fd = try? connect(to: endpoint.address, from: namespace(of: origin))
        else { return nil }
        var connection = Connection(
            fd: fd,
            role: .upstream,
            peer: endpoint.address,
            local: SocketAddress(.anyIPv6, 0)
        )
        connection.flags = [.connecting]
        connection.origin = origin
        connection.transport = transport
        connection.peerText = AddressText(endpoint.address, addressScratch)
        connection.endpoint = endpoint.slot
        connection.endpointGeneration = endpoint.generation
        guard let handle = connections.insert(connection) else {
            counters.count(.connectionLimitHits)
            loop.network.close(fd)
            return nil
        }
        counters.count(.upstreamConnections)
        do {
            try loop.watch(fd, self, handle)
        } catch {
            close(handle)
            return nil
        }
        if transport >= 0 && !beginTransport(handle) {
            close(handle)
            return nil
        }
        return handle
    }

    @inline(__always)
    func upstreamReady(_ handle: ConnectionHandle, _ readiness: Readiness) {
        let it = connections.place(handle)
        if !it.value.flags.isDisjoint(with: [.connecting, .pooled, .multiplexed]) {
            guard handleSpecially(handle, readiness) else { return }
        }
        if readiness.contains(.peerEnded) { it.value.flags.insert(.peerEnded) }
        if !readiness.isDisjoint(with: [.readable, .error, .hangUp]) {
            it.value.flags.insert(.readable)
        }
        if readiness.contains(.writable) && !it.value.output.isEmpty {
            guard flush(handle) else { return }
            upstreamSent(handle)
            guard connections.contains(handle) else { return }
        }
        if canReceive(it) { receiveUpstream(handle) }
    }

    /// Handles the readiness of a connection that is being made, idle, or not of HTTP/1.1.
    ///
    /// - Returns: whether it goes on as one with a response to come.
    private func handleSpecially(_ handle: ConnectionHandle, _ readiness: Readiness) -> Bool {
        if connections[handle].flags.contains(.racing) && raceReady(handle, readiness) {
            return false
        }
        if connections[handle].flags.contains(.multiplexed) {
            multiplexedReady(handle, readiness)
            return false
        }
        if connections[handle].flags.contains(.connecting) {
            return finishConnecting(handle, readiness)
        }
        if !readiness.isDisjoint(with: [.readable, .peerEnded, .error, .hangUp]) {
            retireIdle(handle)
        }
        return false
    }

    private func finishConnecting(_ handle: ConnectionHandle, _ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return false }
        if loop.network.connectError(connections[handle].fd) != nil {
            connectFailed(handle)
            return false
        }
        connections[handle].flags.remove(.connecting)
        let exchange = connections[handle].exchange
        guard exchanges.contains(exchange) else {
            close(handle)
            return false
        }
        countConnect(exchange)
        if exchanges[exchange].flags.contains(.tracked) { trackConnected(exchange) }
        if exchanges[exchange].head.tunnel == .connect {
            beginConnectTunnel(exchange, handle)
            return connections.contains(handle)
        }
        setDeadline(handle, upstreamTimeout(exchange))
        guard flush(handle) else { return connections.contains(handle) }
        upstreamSent(handle)
        return connections.contains(handle)
    }

    /// Everything queued for an endpoint has been sent: the client may go on sending.
    func upstreamSent(_ handle: ConnectionHandle) {
        let exchange = connections[handle].exchange
        if exchanges.contains(exchange) {
            upstreamTook(exchange)
        } else if connections[handle].flags.contains(.closesWhenSent) {
            close(handle)
        }
    }

    /// The endpoint has taken what there was of a request: the client may go on sending.
    func upstreamTook(_ exchange: ExchangeHandle) {
        requestBodyDrained(exchange)
        let downstream = exchanges[exchange].downstream
        if exchanges[exchange].flags.contains(.tunnel) {
            if connections.contains(downstream) { resumeReading(downstream) }
            settleTunnel(exchange)
            return
        }
        guard connections.contains(downstream), exchanges[exchange].stream == 0,
            !exchanges[exchange].flags.contains(.requestEnded)
        else { return }
        setDeadline(downstream, bodyTime(downstream))
        resumeReading(downstream)
    }

    // MARK: Pool

    @inline(__always)
    func takeIdle(
        _ endpoint: EngineEndpoint,
        _ origin: Int32,
        _ transport: Int32
    ) -> ConnectionHandle? {
        guard let handle = connections.handle(at: endpoints[endpoint.slot].idleHead) else {
            return nil
        }
        let first = connections.place(handle)
        guard first.value.origin == origin, first.value.transport == transport,
            !first.value.flags.contains(.multiplexed)
        else { return searchIdle(endpoint, origin, transport) }
        precondition(
            first.value.endpoint == endpoint.slot
                && first.value.endpointGeneration == endpoint.generation
                && first.value.flags.contains(.pooled)
        )
        unlinkIdle(first)
        first.value.flags.insert(.reused)
        return handle
    }

    /// Looks for a connection that was made from the same namespace and is spoken to in the same
    /// way, behind the first, and for one that carries streams; or for one of the client's own.
    @inline(never)
    private func searchIdle(
        _ endpoint: EngineEndpoint,
        _ origin: Int32,
        _ transport: Int32
    ) -> ConnectionHandle? {
        if origin < -1 { return takeNamed(endpoint, origin, transport) }
        var index = endpoints[endpoint.slot].idleHead
        var left = limits.idleSearchMax
        while let handle = connections.handle(at: index) {
            guard left > 0 else {
                counters.count(.idleSearchLimitHits)
                return nil
            }
            left -= 1
            let found = connections.place(handle)
            guard found.value.origin != origin || found.value.transport != transport else {
                precondition(
                    found.value.endpoint == endpoint.slot
                        && found.value.endpointGeneration == endpoint.generation
                        && found.value.flags.contains(.pooled)
                )
                if found.value.flags.contains(.multiplexed) { return handle }
                unlinkIdle(found)
                found.value.flags.insert(.reused)
                return handle
            }
            index = found.value.poolNext
        }
        return nil
    }

    /// Gives a connection whose exchange ended well back to its endpoint's pool, or closes it.
    @inline(__always)
    func release(_ handle: ConnectionHandle) {
        let it = connections.place(handle)
        let slot = it.value.endpoint
        guard it.value.flags.isDisjoint(with: [.closesAfterExchange, .broken, .peerEnded]),
            it.value.output.isEmpty, it.value.input.isEmpty, !isDraining,
            it.value.transport < 0 || takesAnother(handle),
            endpoints.isOwned(slot, by: it.value.endpointGeneration)
        else {
            close(handle)
            return
        }
        guard Int(endpoints[slot].idleCount) < limits.idlePerEndpointMax else {
            counters.count(.poolLimitHits)
            close(handle)
            return
        }
        it.value.flags.subtract(.readPaused)
        link(handle)
        setDeadline(handle, timeouts.poolIdle)
    }

    /// Puts a connection on its endpoint's list of those that take requests.
    @inline(__always)
    func link(_ handle: ConnectionHandle) {
        let it = connections.place(handle)
        let slot = it.value.endpoint
        it.value.flags.insert(.pooled)
        let head = endpoints[slot].idleHead
        it.value.poolPrevious = -1
        it.value.poolNext = head
        if let next = connections.handle(at: head) {
            connections.place(next).value.poolPrevious = handle.index
        }
        endpoints[slot].idleHead = handle.index
        endpoints[slot].idleCount &+= 1
    }

    /// Takes a connection out of its endpoint's list of idle ones.
    func unlinkIdle(_ handle: ConnectionHandle) { unlinkIdle(connections.place(handle)) }

    @inline(__always)
    private func unlinkIdle(_ it: Place<Connection>) {
        let slot = it.value.endpoint
        let next = it.value.poolNext
        let previous = it.value.poolPrevious
        if let following = connections.handle(at: next) {
            connections.place(following).value.poolPrevious = previous
        }
        if let before = connections.handle(at: previous) {
            connections.place(before).value.poolNext = next
        } else {
            endpoints[slot].idleHead = next
        }
        endpoints[slot].idleCount &-= 1
        it.value.poolNext = -1
        it.value.poolPrevious = -1
        it.value.flags.remove(.pooled)
    }

    /// Closes an idle connection; one that carries streams takes no more and ends with them.
    func retireIdle(_ handle: ConnectionHandle) {
        if let streams = streams(handle), !streams.isEmpty {
            connections[handle].flags.insert(.closesAfterExchange)
            unlinkIdle(handle)
            return
        }
        close(handle)
    }

    func dropIdle(_ slot: Int32) {
        while let handle = connections.handle(at: endpoints[slot].idleHead),
            connections[handle].endpoint == slot, connections[handle].flags.contains(.pooled)
        {
            retireIdle(handle)
        }
    }

    /// Closes idle connections to endpoints that the view no longer has.
    func dropIdleOfAbsentEndpoints() {
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index),
                connections[handle].flags.contains(.pooled)
            else { continue }
            if !isPresent(connections[handle]) { retireIdle(handle) }
        }
    }

    private func isPresent(_ connection: Connection) -> Bool {
        let slot = Int(connection.endpoint)
        return slot < view.endpointGenerations.count
            && view.endpointGenerations[slot] == connection.endpointGeneration
    }
}
