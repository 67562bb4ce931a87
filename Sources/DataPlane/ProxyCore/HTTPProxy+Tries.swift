import TrafficPolicy

/// Tries: what becomes of a request when its connection does not come about, breaks or is silent.
extension HTTPProxy {
    /// No connection came about. Nothing was sent, so that what waits to be sent can go to another
    /// endpoint, whatever the method.
    func connectFailed(_ handle: ConnectionHandle) {
        let exchange = connections[handle].exchange
        guard exchanges.contains(exchange) else {
            close(handle)
            return
        }
        if exchanges[exchange].flags.contains(.tracked) { endpointFailed(exchange, handle) }
        if exchanges[exchange].stream < 0 || isRetried(exchange, .connectFailure) {
            tryFailed(exchange, .connectFailure)
            return
        }
        _ = unbind(exchange)
        let waiting = connections[handle].output
        guard exchanges[exchange].tries < limits.triesMax,
            let endpoint = chooseEndpoint(exchange)
        else {
            close(handle)
            if exchanges[exchange].tries >= limits.triesMax {
                counters.count(.triesLimitHits)
                exchanges[exchange].responseFlags.insert(.triesUsedUp)
            }
            fail(exchange, status: 503, .upstreamConnectFailure)
            return
        }
        connections[handle].output = ByteQueue()
        close(handle)
        moveOn(exchange, to: endpoint, waiting)
    }

    private func moveOn(
        _ exchange: ExchangeHandle,
        to endpoint: EngineEndpoint,
        _ waiting: ByteQueue
    ) {
        var waiting = waiting
        counters.count(.retries)
        exchanges[exchange].tries += 1
        exchanges[exchange].upstreamAddress = endpoint.address
        exchanges[exchange].upstreamText = AddressText()
        own(endpoint)
        let transport = self.transport(of: exchange)
        guard transport < 0,
            let upstream = openUpstream(endpoint, origin(of: exchange), transport)
        else {
            waiting.clear(pool)
            fail(exchange, status: 503, .upstreamConnectFailure)
            return
        }
        awaitConnection(upstream, exchange)
        connections[upstream].output = waiting
        bind(upstream, to: exchange)
    }

    /// The endpoint ended its direction.
    func upstreamEnded(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.multiplexed) {
            multiplexedFailed(handle, .upstreamClosed)
            return
        }
        let exchange = connections[handle].exchange
        guard exchanges.contains(exchange) else {
            close(handle)
            return
        }
        connections[handle].flags.insert(.closesAfterExchange)
        if exchanges[exchange].flags.contains(.tunnel) {
            tunnelEndpointEnded(exchange)
            return
        }
        if !exchanges[exchange].flags.isDisjoint(with: [.responseStarted, .responseHeld]),
            connections[handle].body.peerClosed()
        {
            responseEnded(exchange)
        } else {
            upstreamFailed(handle)
        }
    }

    /// The connection to the endpoint broke.
    func upstreamFailed(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.multiplexed) {
            multiplexedFailed(handle, .upstreamClosed)
            return
        }
        if connections[handle].flags.contains(.connecting) {
            connectFailed(handle)
            return
        }
        let exchange = connections[handle].exchange
        let wasReused = connections[handle].flags.contains(.reused)
        guard exchanges.contains(exchange) else {
            close(handle)
            return
        }
        if exchanges[exchange].flags.contains(.tracked) && !wasReused {
            endpointFailed(exchange, handle)
        }
        guard wasReused && canRepeat(exchange) else {
            tryFailed(exchange, .reset)
            return
        }
        _ = unbind(exchange)
        close(handle)
        counters.count(.retries)
        repeatRequest(exchange)
    }

    /// An exchange has lost its stream: it is sent again where that is safe.
    func upstreamLost(_ exchange: ExchangeHandle, wasReused: Bool, _ flag: ResponseFlags) {
        guard wasReused && canRepeat(exchange) else {
            tryFailed(exchange, flag == .upstreamTimeout ? .tryTimeout : .reset, flag)
            return
        }
        counters.count(.retries)
        repeatRequest(exchange)
    }

    /// Whether a request can be sent again after an idle connection turned out to be closed
    /// (RFC 9112 section 9.3.1): an idempotent method, nothing of a body or of a response passed.
    private func canRepeat(_ exchange: ExchangeHandle) -> Bool {
        let state = exchanges[exchange]
        return state.head.method.isIdempotent && holdsBody(exchange)
            && state.flags.isDisjoint(with: [.responseStarted, .responseHeld])
            && state.tries < limits.triesMax
    }

    /// No connection could even be begun.
    func connectFailedAtOnce(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.tracked) { noteUnreachable(exchange) }
        if isRetried(exchange, .connectFailure) {
            tryFailed(exchange, .connectFailure)
            return
        }
        guard exchanges[exchange].tries < limits.triesMax else {
            counters.count(.triesLimitHits)
            exchanges[exchange].responseFlags.insert(.triesUsedUp)
            fail(exchange, status: 503, .upstreamConnectFailure)
            return
        }
        counters.count(.retries)
        connectUpstream(exchange)
    }

    /// An upstream connection's deadline has passed.
    func upstreamTimedOut(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.racing) && raceTimedOut(handle) { return }
        if connections[handle].flags.contains(.multiplexed) {
            multiplexedTimedOut(handle)
            return
        }
        let flags = connections[handle].flags
        if flags.contains(.pooled) {
            counters.count(.poolIdleTimeouts)
            retireIdle(handle)
        } else if flags.contains(.connecting) {
            counters.count(.connectTimeouts)
            connectFailed(handle)
        } else {
            counters.count(.upstreamTimeouts)
            let exchange = connections[handle].exchange
            if exchanges.contains(exchange) {
                if exchanges[exchange].flags.contains(.tracked) { endpointFailed(exchange, handle) }
                tryFailed(exchange, .tryTimeout)
            } else {
                close(handle)
            }
        }
    }

    /// An exchange's own deadline has passed: a filter's pause, or the route's request timeout.
    func exchangeTimedOut(_ exchange: ExchangeHandle) {
        if exchanges[exchange].annex.isSome && pauseTimedOut(exchange) { return }
        if exchanges[exchange].flags.contains(.tunnel) {
            tunnelTimedOut(exchange)
            return
        }
        if waitTimedOut(exchange) { return }
        if exchanges[exchange].flags.contains(.ruled) && beginDueTry(exchange) { return }
        counters.count(.requestTimeouts)
        let upstream = exchanges[exchange].upstream
        if exchanges[exchange].flags.contains(.tracked), connections.contains(upstream) {
            endpointFailed(exchange, upstream)
        }
        fail(exchange, status: 504, .upstreamTimeout)
    }
}
