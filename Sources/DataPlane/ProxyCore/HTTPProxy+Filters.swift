/// Filter chains: where an exchange meets its plugins.
extension HTTPProxy {
    /// Puts the chains in force that the view's actions name by index.
    package func install(chains: [FilterChain]) {
        chainSetVersion &+= 1
        chainSets[chainSetVersion] = ChainSet(chains: chains)
        retireChainSets()
    }

    /// Old sets live until their last exchange ends.
    private func retireChainSets() {
        for (version, set) in chainSets where version != chainSetVersion && set.useCount == 0 {
            chainSets[version] = nil
        }
    }

    private func chain(of exchange: ExchangeHandle) -> FilterChain? {
        let action = exchanges[exchange].action
        guard action.chain >= 0, let set = chainSets[action.chainSet],
            Int(action.chain) < set.chains.count
        else { return nil }
        return set.chains[Int(action.chain)]
    }

    private func prepareContext(_ exchange: ExchangeHandle) {
        context.exchange = exchange
        context.connection = exchanges[exchange].downstream
        context.isResponsePhase = false
    }

    // MARK: Request

    /// Runs the chain's `requestHeaders` from the start and sends the request on if none objects.
    func runRequestFilters(_ exchange: ExchangeHandle) {
        chainSets[exchanges[exchange].action.chainSet]?.useCount += 1
        exchanges[exchange].flags.insert(.usesChain)
        guard let chain = chain(of: exchange), chain.fault == nil else {
            fail(exchange, status: 500, .filterFailure)
            return
        }
        noteWishes(of: chain, exchange)
        exchanges[exchange].filterPosition = 0
        continueRequestFilters(exchange)
    }

    private func noteWishes(of chain: FilterChain, _ exchange: ExchangeHandle) {
        if !chain.phases.isDisjoint(with: [.responseHeaders, .responseData, .response]) {
            exchanges[exchange].flags.insert(.filtersResponse)
        }
        if chain.phases.contains(.requestData) {
            exchanges[exchange].flags.insert(.filtersBody)
        }
    }

    /// Puts another chain of the same set in the place of the exchange's.
    func change(_ exchange: ExchangeHandle, to chain: Int32, at position: Int) {
        exchanges[exchange].action.chain = chain
        exchanges[exchange].filterPosition = Int16(position)
        if let chain = self.chain(of: exchange) { noteWishes(of: chain, exchange) }
    }

    /// Goes on with the filter at the exchange's position.
    func continueRequestFilters(_ exchange: ExchangeHandle) {
        while let chain = chain(of: exchange) {
            guard chain.fault == nil else {
                fail(exchange, status: 500, .filterFailure)
                return
            }
            let position = Int(exchanges[exchange].filterPosition)
            guard position < chain.filters.count else { break }
            let filter = chain.filters[position]
            if filter.phases.contains(.requestHeaders) {
                prepareContext(exchange)
                let endStream = exchanges[exchange].flags.contains(.requestEnded)
                let action = call(filter) { () throws(FilterError) in
                    try filter.requestHeaders(context, endStream: endStream)
                }
                guard follow(action, exchange, at: position) else { return }
            }
            exchanges[exchange].filterPosition += 1
        }
        redispatch(exchange)
    }

    /// Does what a filter asked for.
    ///
    /// - Returns: whether the next filter is to run now.
    private func follow(
        _ action: FilterAction?,
        _ exchange: ExchangeHandle,
        at position: Int
    ) -> Bool {
        switch action {
        case .proceed: return true
        case .reply(let local):
            exchanges[exchange].replier = Int16(position)
            exchanges[exchange].responseFlags.insert(.localReply)
            reply(exchange, local)
        case .waitForAll(let byteLimit):
            exchanges[exchange].bodyByteLimit = byteLimit
            exchanges[exchange].flags.insert(.buffering)
            if exchanges[exchange].flags.contains(.requestEnded) { heldBodyEnded(exchange) }
        case .pause(let deadline):
            exchanges[exchange].flags.insert(.paused)
            let nanoseconds = loop.nowNanoseconds &+ deadline.wholeNanoseconds
            exchangeTimers.set(exchange.index, nanoseconds)
        case nil:
            exchanges[exchange].replier = Int16(position)
            fail(exchange, status: 500, .filterFailure)
        }
        return false
    }

    /// Resumes an exchange that a filter paused; on the worker's thread, by way of its mailbox. A
    /// token whose exchange is gone is ignored.
    package func resume(_ token: FilterToken, _ action: FilterAction) {
        let exchange = ExchangeHandle(index: token.index, generation: token.generation)
        guard exchanges.contains(exchange), exchanges[exchange].flags.contains(.paused) else {
            return
        }
        exchanges[exchange].flags.remove(.paused)
        exchangeTimers.set(exchange.index, routeDeadline(exchange))
        let position = Int(exchanges[exchange].filterPosition)
        guard follow(action, exchange, at: position) else {
            finishGathering()
            return
        }
        exchanges[exchange].filterPosition += 1
        continueRequestFilters(exchange)
        finishGathering()
    }

    private func routeDeadline(_ exchange: ExchangeHandle) -> UInt64 {
        let timeout = exchanges[exchange].action.requestTimeoutNanoseconds
        return timeout == 0 ? 0 : exchanges[exchange].startNanoseconds &+ timeout
    }

    /// More of a held body has come: a filter that waits for all of it has its limit.
    func heldBodyGrew(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.buffering),
            exchanges[exchange].requestBody.byteCount > exchanges[exchange].bodyByteLimit
        else { return }
        counters.count(.bodyLimitHits)
        fail(exchange, status: 413, .overflow)
    }

    /// The whole request is held: the filter that waited for it has its turn.
    func heldBodyEnded(_ exchange: ExchangeHandle) {
        guard exchanges.contains(exchange), exchanges[exchange].flags.contains(.buffering),
            let chain = chain(of: exchange)
        else { return }
        exchanges[exchange].flags.remove(.buffering)
        let position = Int(exchanges[exchange].filterPosition)
        let filter = chain.filters[position]
        let body = exchanges[exchange].requestBody.bytes(pool)
        prepareContext(exchange)
        let action = call(filter) { () throws(FilterError) in
            try filter.request(context, body: body)
        }
        guard follow(action, exchange, at: position) else { return }
        exchanges[exchange].filterPosition += 1
        continueRequestFilters(exchange)
    }

    /// Shows a piece of a body to the filters that want it: the request's in order, the
    /// response's in reverse.
    ///
    /// - Returns: whether the piece goes on.
    func runDataFilters(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        isResponse: Bool
    ) -> Bool {
        guard let chain = chain(of: exchange) else { return true }
        let phase: FilterPhases = isResponse ? .responseData : .requestData
        guard chain.phases.contains(phase) else { return true }
        let count = chain.filters.count
        for step in 0..<count {
            let position = isResponse ? count - 1 - step : step
            let filter = chain.filters[position]
            guard filter.phases.contains(phase) else { continue }
            prepareContext(exchange)
            let action = call(filter) { () throws(FilterError) in
                isResponse
                    ? try filter.responseData(context, bytes, endStream: false)
                    : try filter.requestData(context, bytes, endStream: false)
            }
            guard followData(action, exchange, at: position) else { return false }
        }
        return true
    }

    /// A body's piece can only go on or end the exchange; another action is a fault of the filter,
    /// counted and taken as going on.
    private func followData(
        _ action: FilterAction?,
        _ exchange: ExchangeHandle,
        at position: Int
    ) -> Bool {
        switch action {
        case .proceed: return true
        case .reply where !exchanges[exchange].flags.contains(.responseStarted), nil:
            return follow(action, exchange, at: position)
        case .reply, .waitForAll, .pause:
            counters.count(.filterErrors)
            return true
        }
    }

    // MARK: Response

    /// Runs the chain's `responseHeaders`, last filter first.
    ///
    /// - Returns: whether the response goes on as it is.
    func runResponseFilters(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) -> Bool {
        guard let chain = chain(of: exchange) else { return true }
        for position in chain.filters.indices.reversed() {
            let filter = chain.filters[position]
            guard filter.phases.contains(.responseHeaders) else { continue }
            prepareContext(exchange)
            context.isResponsePhase = true
            context.responseHead = head
            let endStream = head.framing == .none
            let action = call(filter) { () throws(FilterError) in
                try filter.responseHeaders(context, endStream: endStream)
            }
            context.isResponsePhase = false
            guard followData(action, exchange, at: position) else { return false }
        }
        return true
    }

    /// Runs the chain's `log` for an exchange that ends.
    func runLogFilters(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.usesChain), let chain = chain(of: exchange),
            chain.phases.contains(.log)
        else { return }
        for filter in chain.filters where filter.phases.contains(.log) {
            prepareContext(exchange)
            filter.log(context)
        }
    }

    /// Lets go of the exchange's chain set.
    func releaseFilters(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.usesChain) else { return }
        let version = exchanges[exchange].action.chainSet
        chainSets[version]?.useCount -= 1
        if version != chainSetVersion { retireChainSets() }
    }

    // MARK: Calls

    /// Calls a filter, measuring its time.
    ///
    /// - Returns: `nil` when it threw or overran its budget.
    private func call(
        _ filter: Filter,
        _ body: () throws(FilterError) -> FilterAction
    ) -> FilterAction? {
        let start = loop.network.monotonicNanoseconds()
        do {
            let action = try body()
            let spent = loop.network.monotonicNanoseconds() &- start
            guard spent <= filter.timeBudgetNanoseconds else {
                counters.count(.filterOverruns)
                return nil
            }
            return action
        } catch {
            counters.count(.filterErrors)
            filterFaults?(filter.name, error.reason)
            return nil
        }
    }

    /// Writes who answered an exchange, for the access log.
    func appendReplier(_ exchange: ExchangeHandle, _ log: AccessLog) {
        let position = Int(exchanges[exchange].replier)
        guard position >= 0, let chain = chain(of: exchange), position < chain.filters.count else {
            log.text.append("null")
            return
        }
        log.text.append("\"")
        log.text.append(string: chain.filters[position].name)
        log.text.append("\"")
    }

    /// A client broke the protocol: filters of its entry point that count offences hear of it.
    func noteProtocolAbuse(_ handle: ConnectionHandle) {
        guard connections.contains(handle), let chain = abuseChain(connections[handle].entry) else {
            return
        }
        context.exchange = .none
        context.connection = handle
        context.abuseListener = abuseListener(connections[handle].entry)
        for filter in chain.filters { filter.protocolAbuse(context) }
    }

    private func abuseListener(_ entry: Int32) -> Int32 {
        guard entry >= 0, Int(entry) < view.entries.count else { return -1 }
        return view.entries[Int(entry)].listener
    }

    private func abuseChain(_ entry: Int32) -> FilterChain? {
        guard entry >= 0, Int(entry) < view.entries.count,
            let set = chainSets[chainSetVersion]
        else { return nil }
        let index = view.entries[Int(entry)].abuseChain
        return index >= 0 && Int(index) < set.chains.count ? set.chains[Int(index)] : nil
    }
}

/// The chains installed together with one view, and how many exchanges use them.
struct ChainSet {
    let chains: [FilterChain]
    var useCount = 0
}
