/// What filters ask for, and what follows.
extension HTTPProxy {
    /// Does what a filter asked for. An action that its phase does not allow is counted as the
    /// filter's fault and taken as going on.
    ///
    /// - Returns: whether the exchange goes on now.
    func follow(
        _ action: FilterAction?,
        _ exchange: ExchangeHandle,
        _ side: FilterSide,
        _ phase: FilterPhases,
        _ step: Int
    ) -> Bool {
        let annex = exchanges[exchange].annex
        switch action {
        case .proceed: return true
        case .reply(let local):
            noteReplier(exchange, side, step)?.tally.counts.replies &+= 1
            guard !exchanges[exchange].flags.contains(.responseStarted) else {
                // Too late for an answer: what the filter objects to must not go on.
                fail(exchange, status: local.status, .localReply)
                return false
            }
            exchanges[exchange].responseFlags.insert(.localReply)
            reply(exchange, local)
            return false
        case .waitForAll(let byteLimit) where phase == side.head:
            annexes[annex][side].waitingStep = Int16(step)
            annexes[annex][side].waitsForPiece = false
            annexes[annex][side].byteLimit = min(byteLimit, limits.filterBodyByteLimit)
            return waits(exchange, annex, side)
        case .waitForData where phase == .responseHeaders:
            annexes[annex][side].waitingStep = Int16(step)
            annexes[annex][side].waitsForPiece = true
            return true
        case .waitForAll, .waitForData:
            counters.count(.filterErrors)
            filter(exchange, side, step)?.tally.counts.errors &+= 1
            return true
        case .pause(let deadline):
            pause(exchange, annex, side, phase, step, deadline)
            return false
        case nil:
            _ = noteReplier(exchange, side, step)
            fail(exchange, status: 500, .filterFailure)
            return false
        }
    }

    private func noteReplier(
        _ exchange: ExchangeHandle,
        _ side: FilterSide,
        _ step: Int
    ) -> Filter? {
        guard let chain = chain(of: exchange) else { return nil }
        exchanges[exchange].replier = Int16(side.position(step, of: chain.filters.count))
        return filter(exchange, side, step)
    }

    private func filter(_ exchange: ExchangeHandle, _ side: FilterSide, _ step: Int) -> Filter? {
        guard let chain = chain(of: exchange) else { return nil }
        return chain.filters[side.position(step, of: chain.filters.count)]
    }

    // MARK: Waiting for all

    /// Begins to hold a body. One that says it is too long is refused at once.
    private func waits(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> Bool {
        let framing: BodyFraming
        switch side {
        case .request:
            exchanges[exchange].flags.insert(.buffering)
            framing = exchanges[exchange].head.framing
        case .response: framing = annexes[annex].responseHead.framing
        }
        if case .length(let length) = framing, length > UInt64(annexes[annex][side].byteLimit) {
            refuseLength(exchange, side)
            return false
        }
        if side == .request { inviteBody(exchange) }
        return true
    }

    /// Answers an expectation here: the endpoint hears of the request only once it is whole (RFC
    /// 9110 section 10.1.1).
    private func inviteBody(_ exchange: ExchangeHandle) {
        let state = exchanges[exchange]
        guard state.stream == 0, state.head.minorVersion == 1,
            !state.flags.contains(.requestEnded)
        else { return }
        let fields = headFields(exchange)
        guard fields.indices.contains(where: { fields[$0].id == .expect }) else { return }
        "expect".withBytes { removeFields(exchange, .expect, $0) }
        let annex = annex(exchange)
        guard state.requestBody.isEmpty, !annexes[annex].isContinued else { return }
        annexes[annex].isContinued = true
        reserveGathered(for: state.downstream)
        gathered.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// A body exceeds the limit of the filter that waits for all of it.
    func refuseLength(_ exchange: ExchangeHandle, _ side: FilterSide) {
        counters.count(.bodyLimitHits)
        fail(exchange, status: side == .request ? 413 : 500, .overflow)
    }

    /// More of a request's body is held: a filter that waits for all of it has its limit, a client
    /// that sends to one that pauses is not read further.
    func heldRequestGrew(_ exchange: ExchangeHandle) {
        let held = exchanges[exchange].requestBody.byteCount
        let annex = exchanges[exchange].annex
        guard annexes.contains(annex) else { return }
        if annexes[annex].request.waitsForAll {
            if held > annexes[annex].request.byteLimit { refuseLength(exchange, .request) }
            return
        }
        let downstream = exchanges[exchange].downstream
        guard held > HTTPProxy.heldByteMax, exchanges[exchange].stream == 0,
            connections.contains(downstream)
        else { return }
        connections[downstream].flags.insert(.readPaused)
        connectionTimers.set(downstream.index, 0)
    }

    /// Bytes held for filters that wait for nothing before the sender is no longer read.
    static let heldByteMax = 65_536

    /// Keeps a piece of a response's body for the filters.
    func holdResponse(_ exchange: ExchangeHandle, _ annex: AnnexHandle, _ bytes: RawSpan) {
        guard annexes[annex].responseBody.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
            return
        }
        let progress = annexes[annex].response
        if progress.waitsForAll {
            if annexes[annex].responseBody.byteCount > progress.byteLimit {
                refuseLength(exchange, .response)
            }
        } else if progress.waitingStep >= 0 {
            advance(exchange, .response)
        }
    }

    /// Whether filters hold so much of a response that its endpoint is not read further.
    func holdsMuch(_ exchange: ExchangeHandle) -> Bool {
        let annex = exchanges[exchange].annex
        guard annexes.contains(annex), !annexes[annex].response.waitsForAll else { return false }
        return annexes[annex].responseBody.byteCount > HTTPProxy.heldByteMax
    }

    // MARK: Pauses

    private func pause(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ phase: FilterPhases,
        _ step: Int,
        _ deadline: Duration
    ) {
        annexes[annex][side].pausedCall = filterCall
        annexes[annex][side].pausedStep = Int16(step)
        annexes[annex][side].pausedPhase = phase
        annexes[annex][side].deadlineNanoseconds =
            loop.nowNanoseconds &+ max(min(deadline, limits.filterPauseMax).wholeNanoseconds, 1)
        if side == .request { exchanges[exchange].flags.insert(.paused) }
        setExchangeTimer(exchange)
    }

    /// Resumes an exchange that a filter paused; on the worker's thread, by way of its mailbox. A
    /// token whose pause is over is ignored.
    package func resume(_ token: FilterToken, _ action: FilterAction) {
        let exchange = ExchangeHandle(index: token.index, generation: token.generation)
        guard exchanges.contains(exchange) else { return }
        let annex = exchanges[exchange].annex
        guard annexes.contains(annex), token.call != 0 else { return }
        let side: FilterSide
        if annexes[annex].request.pausedCall == token.call {
            side = .request
        } else if annexes[annex].response.pausedCall == token.call {
            side = .response
        } else {
            return
        }
        let progress = annexes[annex][side]
        annexes[annex][side].pausedCall = 0
        if side == .request { exchanges[exchange].flags.remove(.paused) }
        setExchangeTimer(exchange)
        let step = Int(progress.pausedStep)
        if follow(action, exchange, side, progress.pausedPhase, step) { advance(exchange, side) }
        finishGathering()
    }

    /// Sets the exchange's timer to the first of its deadlines.
    func setExchangeTimer(_ exchange: ExchangeHandle) {
        let timeout = exchanges[exchange].action.requestTimeoutNanoseconds
        var first = timeout == 0 ? 0 : exchanges[exchange].startNanoseconds &+ timeout
        let annex = exchanges[exchange].annex
        let retry = annexes[annex].tries.retryNanoseconds
        if retry != 0 && (first == 0 || retry < first) { first = retry }
        let hedge = annexes[annex].tries.hedgeNanoseconds
        if hedge != 0 && (first == 0 || hedge < first) { first = hedge }
        for progress in [annexes[annex].request, annexes[annex].response] where progress.isPaused {
            let deadline = progress.deadlineNanoseconds
            if first == 0 || deadline < first { first = deadline }
        }
        exchangeTimers.set(exchange.index, first)
    }

    /// Ends an exchange whose filter has not been resumed in time.
    ///
    /// - Returns: whether there was one.
    func pauseTimedOut(_ exchange: ExchangeHandle) -> Bool {
        let annex = exchanges[exchange].annex
        for side in [FilterSide.request, .response] {
            let progress = annexes[annex][side]
            guard progress.isPaused, progress.deadlineNanoseconds <= loop.nowNanoseconds else {
                continue
            }
            counters.count(.pauseTimeouts)
            noteReplier(exchange, side, Int(progress.pausedStep))?.tally.counts.overruns &+= 1
            fail(exchange, status: 500, .filterFailure)
            finishGathering()
            return true
        }
        return false
    }

    // MARK: Sending on

    /// Sends on what every filter has seen.
    func sendPassed(_ exchange: ExchangeHandle, _ annex: AnnexHandle, _ side: FilterSide) {
        annexes[annex][side].passedByteCount = 0
        switch side {
        case .request: sendPassedRequest(exchange, annex)
        case .response: sendPassedResponse(exchange, annex)
        }
    }

    private func sendPassedRequest(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        let isEnded = exchanges[exchange].flags.contains(.requestEnded)
        let wasConcluded = annexes[annex].request.isConcluded
        if isEnded { annexes[annex].request.isConcluded = true }
        if !exchanges[exchange].flags.contains(.dispatched) {
            redispatch(exchange)
        } else {
            sendHeldBody(exchange)
            if isEnded && !wasConcluded { endRequestBody(exchange) }
        }
        finishGathering()
        guard exchanges.contains(exchange), !isUpstreamBlocked(exchange) else { return }
        requestBodyDrained(exchange)
        let downstream = exchanges[exchange].downstream
        guard !isEnded, exchanges[exchange].stream == 0, connections.contains(downstream) else {
            return
        }
        resumeReading(downstream)
    }

    private func sendPassedResponse(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        if !exchanges[exchange].flags.contains(.responseStarted) {
            exchanges[exchange].flags.insert(.responseStarted)
            sendHeldHead(exchange, annex)
        }
        while annexes.contains(annex), !annexes[annex].responseBody.isEmpty {
            let run = annexes[annex].responseBody.firstRun(pool)
            let count = run.byteCount
            sendResponseBody(exchange, run)
            guard exchanges.contains(exchange), annexes.contains(annex) else { return }
            annexes[annex].responseBody.consume(count, pool)
        }
        guard annexes.contains(annex), !annexes[annex].isOver else { return }
        if annexes[annex].responseIsReceived {
            annexes[annex].isOver = true
            concludeResponse(exchange)
            return
        }
        if !isDownstreamBlocked(exchange) { resumeResponse(exchange) }
    }

    /// Lets nothing more follow from what filters do with an exchange.
    func endFiltering(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        guard annexes.contains(annex) else { return }
        annexes[annex].isOver = true
        annexes[annex].request.pausedCall = 0
        annexes[annex].response.pausedCall = 0
        exchanges[exchange].flags.subtract([.paused, .buffering])
    }
}

extension BodyFraming {
    /// Whether no byte of body follows.
    var isBodyless: Bool { self == .none || self == .length(0) }
}
