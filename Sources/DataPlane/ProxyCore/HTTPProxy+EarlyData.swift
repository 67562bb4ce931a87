/// Early data (RFC 8446 section 2.3): requests that come before the client has shown, by the end of
/// its handshake, that it is not an attacker who repeats what he recorded (RFC 8470).
extension HTTPProxy {
    private static let field: StaticString = "early-data"

    /// The first early data of a connection has come: it is served from here on.
    func noteEarlyData(_ handle: ConnectionHandle, _ session: TLSSession) {
        guard session.hasEarlyData, !connections[handle].flags.contains(.early) else { return }
        handshakeEnded(handle, session)
        connections[handle].flags.insert(.early)
    }

    /// The client has completed its handshake: what it sent is no replay. Requests that endpoints
    /// wanted after it are sent again.
    func earlyDataEnded(_ handle: ConnectionHandle) {
        connections[handle].flags.remove(.early)
        for exchange in earlyExchanges.removeValue(forKey: handle.index) ?? []
        where exchanges.contains(exchange) && exchanges[exchange].downstream == handle {
            repeatAfterHandshake(exchange)
        }
    }

    /// Whether a request that came as early data may be sent to its endpoint: it asks for nothing to
    /// be done, and the cluster's policy says that its endpoints know what that means. The endpoint
    /// is told.
    ///
    /// - Returns: `false` when it was answered here.
    func admitsEarly(_ exchange: ExchangeHandle) -> Bool {
        let downstream = exchanges[exchange].downstream
        guard connections.contains(downstream), connections[downstream].flags.contains(.early)
        else {
            annexes[exchanges[exchange].annex].isEarly = false
            return true
        }
        let head = exchanges[exchange].head
        let cluster = Int(exchanges[exchange].action.cluster)
        guard head.method.isSafe, head.framing == .none, head.tunnel == .none,
            cluster < view.clusters.count, view.clusters[cluster].takesEarlyData
        else {
            counters.count(.earlyRequestsRefused)
            fail(exchange, status: 425, .downstreamProtocolError)
            return false
        }
        counters.count(.earlyRequests)
        let isTold = HTTPProxy.field.withUTF8Bytes { name in
            !field(exchange, .other, name).isEmpty
        }
        // A proxy before this one has told of it: a 425 is for that one to hear.
        guard !isTold else {
            annexes[exchanges[exchange].annex].isEarly = false
            return true
        }
        let isAdded = HTTPProxy.field.withUTF8Bytes { name in
            "1".withBytes { addField(exchange, .other, name, $0) }
        }
        if !isAdded { fail(exchange, status: 431, .overflow) }
        return isAdded
    }

    /// The endpoint does not want a request that may be a replay: it gets it once it is known to be
    /// none.
    func askAgain(_ exchange: ExchangeHandle) {
        // Not to be used for the repeated request: what stands behind this answer is not its own.
        if let upstream = unbind(exchange) { close(upstream) }
        exchanges[exchange].status = 0
        annexes[exchanges[exchange].annex].isEarly = false
        HTTPProxy.field.withUTF8Bytes { removeFields(exchange, .other, $0) }
        let downstream = exchanges[exchange].downstream
        guard connections.contains(downstream), connections[downstream].flags.contains(.early)
        else {
            repeatAfterHandshake(exchange)
            return
        }
        earlyExchanges[downstream.index, default: []].append(exchange)
    }

    private func repeatAfterHandshake(_ exchange: ExchangeHandle) {
        counters.count(.earlyRequestsRepeated)
        exchanges[exchange].tries = 0
        repeatRequest(exchange)
        finishGathering()
    }
}
