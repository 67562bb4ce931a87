import TrafficPolicy

/// Second tries that are sent before the first has failed: the first response's head wins, the
/// others are given up.
extension HTTPProxy {
    /// Begins to wait for the first try of a request that may be sent twice.
    func awaitHedge(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        let state = exchanges[exchange]
        guard annexes[annex].tries.row.hedgeMax > 0, state.head.method.isIdempotent,
            state.head.framing == .none
        else { return }
        annexes[annex].tries.hedgeNanoseconds =
            loop.nowNanoseconds &+ annexes[annex].tries.row.hedgeNanoseconds
        setExchangeTimer(exchange)
    }

    /// Sends a request to another endpoint as well, if it is time to.
    ///
    /// - Returns: whether it was.
    func beginDueHedge(_ exchange: ExchangeHandle) -> Bool {
        let annex = exchanges[exchange].annex
        let due = annexes[annex].tries.hedgeNanoseconds
        guard due != 0, due <= loop.nowNanoseconds else { return false }
        annexes[annex].tries.hedgeNanoseconds = 0
        if isUnanswered(exchange) { beginHedge(exchange, annex) }
        guard exchanges.contains(exchange) else { return true }
        let tries = annexes[annex].tries
        if tries.hedgeCount < tries.row.hedgeMax && isUnanswered(exchange) {
            annexes[annex].tries.hedgeNanoseconds =
                loop.nowNanoseconds &+ tries.row.hedgeNanoseconds
        }
        setExchangeTimer(exchange)
        finishGathering()
        return true
    }

    private func isUnanswered(_ exchange: ExchangeHandle) -> Bool {
        exchanges[exchange].flags.isDisjoint(with: [.responseStarted, .responseHeld])
    }

    private func beginHedge(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        let cluster = exchanges[exchange].action.cluster
        let index = Int(annexes[annex].tries.hedgeCount)
        annexes[annex].tries.hedgeCount += 1
        guard takeRetry(cluster) else { return }
        guard let hedge = makeShadow(exchange, cluster) else {
            returnRetry(cluster)
            return
        }
        counters.count(.hedges)
        exchanges[hedge].flags.insert(.hedge)
        exchanges[hedge].upstreamAddress = exchanges[exchange].upstreamAddress
        exchanges[hedge].tries = 1
        annexes[self.annex(hedge)].tries.principal = exchange
        annexes[annex].tries.hedges[index] = hedge
        connectUpstream(hedge)
    }

    /// A second try's endpoint has answered first: its connection becomes the request's own.
    @inline(never)
    func adoptHedge(
        _ handle: ConnectionHandle,
        _ hedge: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        at start: Int
    ) {
        let principal = annexes[exchanges[hedge].annex].tries.principal
        guard exchanges.contains(principal), isUnanswered(principal) else {
            endShadow(hedge)
            return
        }
        if let first = unbind(principal) { close(first) }
        exchanges[principal].upstreamAddress = exchanges[hedge].upstreamAddress
        exchanges[principal].upstreamStartNanoseconds = exchanges[hedge].upstreamStartNanoseconds
        exchanges[principal].flags.remove(.awaitsRetry)
        annexes[exchanges[principal].annex].tries.retryNanoseconds = 0
        let isStream = exchanges[hedge].upstreamStream != 0
        if isStream { handOverStream(hedge, to: principal) } else { _ = unbind(hedge) }
        endShadow(hedge)
        endHedges(principal)
        if !isStream { bind(handle, to: principal) }
        counters.count(.hedgesWon)
        var head = head
        beginResponse(handle, principal, &head, bytes, at: start)
    }

    /// Whether an exchange's second tries may still answer.
    func hasHedges(_ exchange: ExchangeHandle) -> Bool {
        let tries = annexes[exchanges[exchange].annex].tries
        for index in 0..<Int(tries.hedgeCount) where exchanges.contains(tries.hedges[index]) {
            return true
        }
        return false
    }

    /// Gives an exchange's second tries up, and begins no others.
    func endHedges(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        guard annexes[annex].tries.row.hedgeMax > 0 else { return }
        for index in 0..<Int(annexes[annex].tries.hedgeCount) {
            let hedge = annexes[annex].tries.hedges[index]
            if exchanges.contains(hedge) { endShadow(hedge) }
        }
        annexes[annex].tries.hedgeCount = 0
        guard annexes[annex].tries.hedgeNanoseconds != 0 else { return }
        annexes[annex].tries.hedgeNanoseconds = 0
        setExchangeTimer(exchange)
    }

    /// An exchange without a client cannot go on.
    func failShadow(_ shadow: ExchangeHandle) {
        guard exchanges[shadow].flags.contains(.hedge) else {
            counters.count(.mirrorFailures)
            endShadow(shadow)
            return
        }
        let principal = annexes[exchanges[shadow].annex].tries.principal
        endShadow(shadow)
        guard exchanges.contains(principal), isUnanswered(principal),
            !connections.contains(exchanges[principal].upstream),
            !exchanges[principal].flags.contains(.awaitsRetry), !hasHedges(principal)
        else { return }
        tryFailed(principal, .reset)
    }
}
