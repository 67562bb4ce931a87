import TrafficPolicy

/// Retries by policy: what is tried again, when, and with which body.
extension HTTPProxy {
    /// Gives an exchange what its share of an action has by policy.
    @inline(never)
    func takeRules(_ index: Int32, for exchange: ExchangeHandle) {
        let annex = annex(exchange)
        annexes[annex].tries.row = view.tries[Int(index)]
        annexes[annex].tries.viewVersion = view.version
        exchanges[exchange].flags.insert(.ruled)
        if view.tries[Int(index)].mirrors.count > 0 { drawMirrors(exchange, annex) }
    }

    // MARK: Failures

    /// A try came to nothing: another follows, or the exchange fails. Whatever is left of the try
    /// is given up.
    ///
    /// - Parameter flag: what the log says of it, where that is more than the failure's own.
    func tryFailed(
        _ exchange: ExchangeHandle,
        _ failure: TryFailure,
        _ flag: ResponseFlags? = nil
    ) {
        if let upstream = unbind(exchange) { close(upstream) }
        if exchanges[exchange].flags.contains(.ruled) && triesAgain(exchange, after: failure) {
            return
        }
        fail(exchange, status: failure.status, flag ?? failure.flag)
    }

    private func triesAgain(_ exchange: ExchangeHandle, after failure: TryFailure) -> Bool {
        if hasHedges(exchange) { return true }
        let rule = annexes[exchanges[exchange].annex].tries.row.retry
        guard RetryMachine.wants(rule, failure),
            mayRepeat(exchange, rule, isHarmless: failure.isHarmless), takeTry(exchange, rule)
        else { return false }
        waitForRetry(exchange, rule)
        return true
    }

    /// Looks at a response before anything of it goes to the client.
    ///
    /// - Returns: `false` when another try takes its place.
    @inline(never)
    func admitsResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) -> Bool {
        let rule = annexes[exchanges[exchange].annex].tries.row.retry
        let code = head.framing.isBodyless ? grpcStatus(head, bytes) : nil
        let asked = rule.retryAfterMaxNanoseconds > 0 ? retryAfter(head, bytes) : 0
        guard RetryMachine.wants(rule, status: head.status, grpcStatus: code),
            asked <= rule.retryAfterMaxNanoseconds,
            mayRepeat(exchange, rule, isHarmless: false), takeTry(exchange, rule)
        else {
            endHedges(exchange)
            return true
        }
        if let upstream = unbind(exchange) {
            let isWhole =
                connections[upstream].body.isComplete
                && exchanges[exchange].flags.contains(.requestEnded)
            if isWhole { release(upstream) } else { close(upstream) }
        }
        waitForRetry(exchange, rule, asked: asked)
        return false
    }

    /// The seconds of a response's `retry-after` (RFC 9110 section 10.2.3), as nanoseconds; 0 for
    /// none, and for a date.
    private func retryAfter(_ head: HTTP1ResponseHead, _ bytes: RawSpan) -> UInt64 {
        let fields = responseFields.span
        for index in 0..<head.fieldCount where fields[index].id == .retryAfter {
            let value = bytes.extracting(fields[index].valueRange)
            guard (1...9).contains(value.byteCount) else { return 0 }
            var seconds: UInt64 = 0
            for offset in 0..<value.byteCount {
                let digit = value.byte(at: offset) &- UInt8(ascii: "0")
                guard digit <= 9 else { return 0 }
                seconds = seconds * 10 + UInt64(digit)
            }
            return seconds * 1_000_000_000
        }
        return 0
    }

    /// The `grpc-status` among a response's own fields.
    private func grpcStatus(_ head: HTTP1ResponseHead, _ bytes: RawSpan) -> UInt8? {
        let fields = responseFields.span
        for index in 0..<head.fieldCount where fields[index].nameLength == 11 {
            let isNamed = HTTPProxy.grpcStatusName.withBytes { name in
                fields[index].isNamed(.other, name, in: bytes)
            }
            guard isNamed else { continue }
            let value = bytes.extracting(fields[index].valueRange)
            guard (1...2).contains(value.byteCount) else { return nil }
            var code: UInt8 = 0
            for offset in 0..<value.byteCount {
                let digit = value.byte(at: offset) &- UInt8(ascii: "0")
                guard digit <= 9 else { return nil }
                code = code * 10 + digit
            }
            return code
        }
        return nil
    }

    private static let grpcStatusName = "grpc-status"

    // MARK: Repeating

    /// Whether a request can be sent again, nothing of a response having gone out.
    private func mayRepeat(
        _ exchange: ExchangeHandle,
        _ rule: RetryRule,
        isHarmless: Bool
    ) -> Bool {
        let state = exchanges[exchange]
        guard state.stream >= 0, state.flags.isDisjoint(with: [.responseStarted, .responseHeld])
        else { return false }
        let request = RetryMachine.Request(
            isIdempotent: state.head.method.isIdempotent,
            bodyIsHeld: holdsBody(exchange)
        )
        return RetryMachine.mayRepeat(rule, request, isHarmless: isHarmless)
    }

    /// Whether all that was sent of a request's body can be sent again.
    func holdsBody(_ exchange: ExchangeHandle) -> Bool {
        let flags = exchanges[exchange].flags
        guard flags.contains(.ruled), exchanges[exchange].requestBody.isEmpty else {
            return !flags.contains(.bodyForwarded) && exchanges[exchange].head.framing == .none
        }
        let annex = exchanges[exchange].annex
        guard
            !flags.contains(.usesChain) || annexes[annex].request.isConcluded
                || exchanges[exchange].head.framing == .none
        else { return false }
        return annexes[annex].tries.bodyIsWhole
    }

    /// Takes one of the rule's attempts, and a retry of the cluster's budget.
    private func takeTry(_ exchange: ExchangeHandle, _ rule: RetryRule) -> Bool {
        let annex = exchanges[exchange].annex
        giveBudgetBack(exchange, annex)
        guard annexes[annex].tries.retryCount < rule.attempts else {
            counters.count(.retriesExhausted)
            exchanges[exchange].responseFlags.insert(.triesUsedUp)
            return false
        }
        guard takeRetry(exchanges[exchange].action.cluster) else {
            exchanges[exchange].responseFlags.insert(.overflow)
            return false
        }
        annexes[annex].tries.holdsRetry = true
        return true
    }

    private func giveBudgetBack(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        guard annexes[annex].tries.holdsRetry else { return }
        annexes[annex].tries.holdsRetry = false
        returnRetry(exchanges[exchange].action.cluster)
    }

    private func waitForRetry(
        _ exchange: ExchangeHandle,
        _ rule: RetryRule,
        asked: UInt64 = 0
    ) {
        let annex = exchanges[exchange].annex
        let count = annexes[annex].tries.retryCount
        let drawn = RetryMachine.wait(rule, retry: count, random: random.next())
        // Who is asked to wait waits as long, and those who are asked at once do not come at once.
        let wait = asked &+ drawn
        annexes[annex].tries.retryCount = count + 1
        annexes[annex].tries.retryNanoseconds = loop.nowNanoseconds &+ max(wait, 1)
        exchanges[exchange].flags.insert(.awaitsRetry)
        exchanges[exchange].status = 0
        let downstream = exchanges[exchange].downstream
        if exchanges[exchange].stream == 0, connections.contains(downstream),
            !exchanges[exchange].flags.contains(.requestEnded)
        {
            connections[downstream].flags.insert(.readPaused)
            connectionTimers.set(downstream.index, 0)
        }
        setExchangeTimer(exchange)
    }

    /// Begins what is due of an exchange's tries.
    ///
    /// - Returns: whether anything was.
    func beginDueTry(_ exchange: ExchangeHandle) -> Bool {
        if beginDueHedge(exchange) { return true }
        guard exchanges[exchange].flags.contains(.awaitsRetry) else { return false }
        let annex = exchanges[exchange].annex
        guard annexes[annex].tries.retryNanoseconds <= loop.nowNanoseconds else { return false }
        annexes[annex].tries.retryNanoseconds = 0
        exchanges[exchange].flags.remove(.awaitsRetry)
        setExchangeTimer(exchange)
        guard exchanges[exchange].requestBody.isEmpty else {
            fail(exchange, status: 503, .overflow)
            return true
        }
        counters.count(.retries)
        repeatRequest(exchange)
        finishGathering()
        return true
    }

    /// Sends a request again as it was sent.
    func repeatRequest(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.ruled) {
            let annex = exchanges[exchange].annex
            exchanges[exchange].requestBody = annexes[annex].tries.body
            annexes[annex].tries.body = ByteQueue()
            exchanges[exchange].flags.remove(.bodyForwarded)
        }
        connectUpstream(exchange)
    }

    /// Whether an exchange's policy, rather than the engine itself, says what follows a failure.
    func isRetried(_ exchange: ExchangeHandle, _ failure: TryFailure) -> Bool {
        exchanges[exchange].flags.contains(.ruled)
            && RetryMachine.wants(
                annexes[exchanges[exchange].annex].tries.row.retry,
                failure
            )
    }

    /// Chooses an endpoint, another one than the last where there are several.
    @inline(__always)
    func chooseNextEndpoint(_ exchange: ExchangeHandle) -> EngineEndpoint? {
        exchanges[exchange].tries == 0 ? chooseEndpoint(exchange) : chooseOther(exchange)
    }

    @inline(never)
    private func chooseOther(_ exchange: ExchangeHandle) -> EngineEndpoint? {
        let last = exchanges[exchange].upstreamAddress
        guard let endpoint = chooseEndpoint(exchange) else { return nil }
        return endpoint.address == last ? chooseEndpoint(exchange) : endpoint
    }

    // MARK: The body

    /// Keeps a piece of a request's body that is being sent, while half of the buffers are free: who
    /// has nothing to repeat is not to run out of them.
    @inline(never)
    func keepBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        let annex = exchanges[exchange].annex
        if annexes[annex].tries.mirrorCount > 0 && annexes[annex].tries.retryCount == 0 {
            mirrorBody(exchange, annex, bytes)
        }
        guard annexes[annex].tries.row.retry.attempts > 0, annexes[annex].tries.bodyIsWhole else {
            return
        }
        let byteCount = annexes[annex].tries.body.byteCount + bytes.byteCount
        let hasRoom = pool.usedCount <= limits.bufferBlockMax / 2
        if byteCount <= limits.retryBodyByteLimit && hasRoom {
            if annexes[annex].tries.body.append(bytes, pool) { return }
            counters.count(.bufferLimitHits)
        } else {
            counters.count(.retryBodyLimitHits)
        }
        annexes[annex].tries.body.clear(pool)
        annexes[annex].tries.bodyIsWhole = false
    }

    /// Gives back what an exchange's tries hold.
    func releaseTries(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        giveBudgetBack(exchange, annex)
        annexes[annex].tries.body.clear(pool)
        annexes[annex].tries.hedgeNanoseconds = 0
        endHedges(exchange)
        if annexes[annex].tries.mirrorCount > 0 { endMirrors(exchange, annex) }
    }

    // MARK: Times

    /// Begins a try's time.
    ///
    /// - Returns: how long its endpoint may be silent now.
    @inline(never)
    func beginTryTime(_ exchange: ExchangeHandle) -> UInt64 {
        let annex = exchanges[exchange].annex
        let own = annexes[annex].tries.row.tryNanoseconds
        annexes[annex].tries.endNanoseconds = own == 0 ? 0 : loop.nowNanoseconds &+ own
        return tryTimeLeft(exchange)
    }

    /// How long a try's endpoint may be silent: the least of its idle time and what is left of the
    /// try.
    @inline(never)
    func tryTimeLeft(_ exchange: ExchangeHandle) -> UInt64 {
        let tries = annexes[exchanges[exchange].annex].tries
        let idle =
            tries.row.idleNanoseconds == 0 ? timeouts.upstreamIdle : tries.row.idleNanoseconds
        guard tries.endNanoseconds > 0 else { return idle }
        let now = loop.nowNanoseconds
        return min(idle, tries.endNanoseconds > now ? tries.endNanoseconds - now : 1)
    }

    /// How long an endpoint that owes a response may be silent.
    @inline(__always)
    func silenceLimit(_ exchange: ExchangeHandle) -> UInt64 {
        exchanges[exchange].flags.contains(.ruled) ? tryTimeLeft(exchange) : timeouts.upstreamIdle
    }

    /// Gives a connection that has become idle its cluster's time.
    @inline(never)
    func setPoolTime(_ handle: ConnectionHandle, _ exchange: ExchangeHandle) {
        let own = annexes[exchanges[exchange].annex].tries.row.poolNanoseconds
        guard own > 0, connections.contains(handle), connections[handle].flags.contains(.pooled)
        else { return }
        setDeadline(handle, own)
    }

    /// How long a connection to an exchange's endpoint may take to be made.
    func connectLimit(_ exchange: ExchangeHandle) -> UInt64 {
        guard exchanges[exchange].flags.contains(.ruled) else { return timeouts.connect }
        let own = annexes[exchanges[exchange].annex].tries.row.connectNanoseconds
        return own > 0 ? own : timeouts.connect
    }
}

extension TryFailure {
    /// The status of the answer where no other try follows.
    var status: UInt16 {
        switch self {
        case .connectFailure, .refused: 503
        case .reset: 502
        case .tryTimeout: 504
        }
    }

    /// What is said of it in the log.
    var flag: ResponseFlags {
        switch self {
        case .connectFailure: .upstreamConnectFailure
        case .refused, .reset: .upstreamClosed
        case .tryTimeout: .upstreamTimeout
        }
    }
}
