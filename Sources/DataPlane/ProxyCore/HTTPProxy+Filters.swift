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

    func chain(of exchange: ExchangeHandle) -> FilterChain? {
        let action = exchanges[exchange].action
        guard action.chain >= 0, let set = chainSets[action.chainSet],
            Int(action.chain) < set.chains.count
        else { return nil }
        return set.chains[Int(action.chain)]
    }

    private func prepareContext(_ exchange: ExchangeHandle, for filter: Filter) {
        context.tally = filter.tally
        filter.tally.counts.runs &+= 1
        context.exchange = exchange
        context.connection = exchanges[exchange].downstream
        context.mayReplaceBody = false
        context.mayReplaceData = false
        context.isBodyEnd = false
        filterCall = filterCall == .max ? 1 : filterCall + 1
        context.call = filterCall
    }

    // MARK: Beginning

    /// Runs the chain from the start and sends the request on if none objects.
    func runRequestFilters(_ exchange: ExchangeHandle) {
        chainSets[exchanges[exchange].action.chainSet]?.useCount += 1
        exchanges[exchange].flags.insert(.usesChain)
        guard let chain = chain(of: exchange), chain.fault == nil else {
            fail(exchange, status: 500, .filterFailure)
            return
        }
        noteWishes(of: chain, exchange)
        annexes[annex(exchange)].request.endShown = exchanges[exchange].head.framing.isBodyless
        advance(exchange, .request)
    }

    private func noteWishes(of chain: FilterChain, _ exchange: ExchangeHandle) {
        let ofResponses: FilterPhases = [
            .responseHeaders, .responseData, .responseTrailers, .response,
        ]
        if !chain.phases.isDisjoint(with: ofResponses) {
            exchanges[exchange].flags.insert(.filtersResponse)
        }
        if chain.phases.contains(.requestData) {
            exchanges[exchange].flags.insert(.filtersBody)
        }
    }

    /// Puts another chain of the same set in the place of the exchange's, from a position on.
    func change(_ exchange: ExchangeHandle, to chain: Int32, at position: Int) {
        exchanges[exchange].action.chain = chain
        annexes[annex(exchange)].request.headStep = Int16(position)
        if let chain = self.chain(of: exchange) { noteWishes(of: chain, exchange) }
    }

    // MARK: Going on

    /// Goes on with one direction's filters as far as they let it, and sends on what has passed.
    func advance(_ exchange: ExchangeHandle, _ side: FilterSide) {
        while exchanges.contains(exchange) {
            let annex = exchanges[exchange].annex
            guard annexes.contains(annex), !annexes[annex].isOver,
                !annexes[annex][side].isPaused,
                side == .response || !exchanges[exchange].flags.contains(.local)
            else { return }
            if annexes[annex][side].waitingStep >= 0 {
                guard serveWaiting(exchange, annex, side) else { return }
                continue
            }
            guard let chain = chain(of: exchange), chain.fault == nil else {
                fail(exchange, status: 500, .filterFailure)
                return
            }
            if Int(annexes[annex][side].headStep) < chain.filters.count {
                guard callHead(exchange, annex, side, chain) else { return }
                continue
            }
            guard catchUp(exchange, annex, side, upTo: chain.filters.count) else { return }
            sendPassed(exchange, annex, side)
            return
        }
    }

    private func callHead(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ chain: FilterChain
    ) -> Bool {
        let step = Int(annexes[annex][side].headStep)
        annexes[annex][side].headStep += 1
        let filter = chain.filters[side.position(step, of: chain.filters.count)]
        guard filter.phases.contains(side.head) else { return true }
        prepareContext(exchange, for: filter)
        let endStream: Bool
        switch side {
        case .request: endStream = exchanges[exchange].head.framing.isBodyless
        case .response: endStream = annexes[annex].responseHead.framing.isBodyless
        }
        let action = call(filter) { () throws(FilterError) in
            switch side {
            case .request: try filter.requestHeaders(context, endStream: endStream)
            case .response: try filter.responseHeaders(context, endStream: endStream)
            }
        }
        return follow(action, exchange, side, side.head, step)
    }

    /// Gives a filter that waits what it waits for, once it is there: its predecessors see it first.
    ///
    /// - Returns: whether the head goes on to the next filter.
    private func serveWaiting(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> Bool {
        let progress = annexes[annex][side]
        let step = Int(progress.waitingStep)
        let isReceived = isReceived(exchange, annex, side)
        if progress.waitsForPiece {
            guard isReceived || progress.hasPiece || heldByteCount(exchange, annex, side) > 0,
                catchUp(exchange, annex, side, upTo: step + 1)
            else { return false }
            annexes[annex][side].waitingStep = -1
            return true
        }
        guard isReceived, catchUp(exchange, annex, side, upTo: step) else { return false }
        annexes[annex][side].waitingStep = -1
        annexes[annex][side].dataStep = Int16(step + 1)
        annexes[annex][side].trailerStep = Int16(step + 1)
        if side == .request { exchanges[exchange].flags.remove(.buffering) }
        guard let chain = chain(of: exchange) else { return true }
        let filter = chain.filters[side.position(step, of: chain.filters.count)]
        guard filter.phases.contains(side.whole) else { return true }
        let body = heldBytes(exchange, annex, side)
        prepareContext(exchange, for: filter)
        context.mayReplaceBody = true
        let action = call(filter) { () throws(FilterError) in
            switch side {
            case .request: try filter.request(context, body: body)
            case .response: try filter.response(context, body: body)
            }
        }
        context.mayReplaceBody = false
        return follow(action, exchange, side, side.whole, step)
    }

    /// Shows what is held of the body, and the trailers at its end, to the filters below a step that
    /// have not seen it.
    ///
    /// - Returns: whether all have and none objects.
    private func catchUp(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        upTo limit: Int
    ) -> Bool {
        while annexes[annex][side].hasPiece || takePiece(exchange, annex, side) {
            guard let chain = chain(of: exchange) else { return true }
            if chain.phases.contains(side.data) {
                let held = heldBytes(exchange, annex, side)
                let shown = held.withRawSpan { bytes in
                    show(exchange, annex, side, chain, bytes, upTo: limit)
                }
                guard shown else { return false }
            } else {
                annexes[annex][side].dataStep = Int16(limit)
            }
            guard limit == chain.filters.count else { break }
            annexes[annex][side].passedByteCount += annexes[annex][side].pieceByteCount
            annexes[annex][side].hasPiece = false
        }
        return showTrailers(exchange, annex, side, upTo: limit)
    }

    /// Puts everything held that is in nobody's hands into the filters' hands.
    private func takePiece(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> Bool {
        let progress = annexes[annex][side]
        let unseen = heldByteCount(exchange, annex, side) - progress.passedByteCount
        let isEnd = isReceived(exchange, annex, side)
        guard unseen > 0 || (isEnd && !progress.endShown) else { return false }
        let isLast = isEnd && !hasTrailers(exchange, side)
        if isEnd { annexes[annex][side].endShown = true }
        let asksForEnd = isEnd && chain(of: exchange)?.replacesData == true
        guard unseen > 0 || isLast || asksForEnd else { return false }
        annexes[annex][side].hasPiece = true
        annexes[annex][side].pieceByteCount = unseen
        annexes[annex][side].pieceIsLast = isLast
        annexes[annex][side].pieceEndsBody = isEnd
        annexes[annex][side].dataStep = 0
        return true
    }

    private func show(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ chain: FilterChain,
        _ held: RawSpan,
        upTo limit: Int
    ) -> Bool {
        let progress = annexes[annex][side]
        let start = progress.passedByteCount
        let piece = held.extracting(start..<(start + progress.pieceByteCount))
        let passes = showData(exchange, annex, side, chain, piece, upTo: limit)
        guard let replaced = takeReplaced() else { return passes }
        guard exchanges.contains(exchange), annexes.contains(annex), !annexes[annex].isOver else {
            return false
        }
        let end = start + progress.pieceByteCount
        var body: [UInt8] = []
        body.append(copying: held.extracting(0..<start))
        body += replaced
        body.append(copying: held.extracting(end..<held.byteCount))
        annexes[annex][side].pieceByteCount = replaced.count
        return replaceHeld(exchange, annex, side, body) && passes
    }

    /// Takes what filters put in the place of the piece they were shown.
    private func takeReplaced() -> [UInt8]? {
        defer { replacedPiece = nil }
        return replacedPiece
    }

    /// Puts other bytes in the place of all that is held.
    ///
    /// - Returns: whether there is room for them; else the exchange has ended.
    private func replaceHeld(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ body: [UInt8]
    ) -> Bool {
        let progress = annexes[annex][side]
        if progress.waitsForAll && body.count > progress.byteLimit {
            refuseLength(exchange, side)
            return false
        }
        let fits: Bool
        switch side {
        case .request:
            exchanges[exchange].requestBody.clear(pool)
            fits = exchanges[exchange].requestBody.append(array: body, pool)
        case .response:
            annexes[annex].responseBody.clear(pool)
            fits = annexes[annex].responseBody.append(array: body, pool)
        }
        if !fits {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
        }
        return fits
    }

    private func showData(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ chain: FilterChain,
        _ piece: RawSpan,
        upTo limit: Int
    ) -> Bool {
        let isLast = annexes[annex][side].pieceIsLast
        while Int(annexes[annex][side].dataStep) < limit {
            let step = Int(annexes[annex][side].dataStep)
            annexes[annex][side].dataStep += 1
            let filter = chain.filters[side.position(step, of: chain.filters.count)]
            guard filter.phases.contains(side.data) else { continue }
            prepareContext(exchange, for: filter)
            context.mayReplaceData = filter.replacesData
            context.isBodyEnd = annexes[annex][side].pieceEndsBody
            let action: FilterAction?
            if let replacedPiece {
                action = replacedPiece.withRawSpan { callData(filter, side, $0, isLast) }
            } else {
                action = callData(filter, side, piece, isLast)
            }
            if let replacement = context.replacement {
                replacedPiece = replacement
                context.replacement = nil
            }
            guard follow(action, exchange, side, side.data, step) else { return false }
        }
        return true
    }

    private func callData(
        _ filter: Filter,
        _ side: FilterSide,
        _ piece: RawSpan,
        _ isLast: Bool
    ) -> FilterAction? {
        call(filter) { () throws(FilterError) in
            switch side {
            case .request: try filter.requestData(context, piece, endStream: isLast)
            case .response: try filter.responseData(context, piece, endStream: isLast)
            }
        }
    }

    private func showTrailers(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        upTo limit: Int
    ) -> Bool {
        guard isReceived(exchange, annex, side), annexes[annex][side].endShown,
            hasTrailers(exchange, side), let chain = chain(of: exchange)
        else { return true }
        while Int(annexes[annex][side].trailerStep) < limit {
            let step = Int(annexes[annex][side].trailerStep)
            annexes[annex][side].trailerStep += 1
            let filter = chain.filters[side.position(step, of: chain.filters.count)]
            guard filter.phases.contains(side.trailers) else { continue }
            prepareContext(exchange, for: filter)
            let action = call(filter) { () throws(FilterError) in
                switch side {
                case .request: try filter.requestTrailers(context)
                case .response: try filter.responseTrailers(context)
                }
            }
            guard follow(action, exchange, side, side.trailers, step) else { return false }
        }
        return true
    }

    /// Shows a piece that has just arrived, without holding it unless a filter does.
    ///
    /// - Returns: whether the piece goes on now.
    func showPiece(_ exchange: ExchangeHandle, _ side: FilterSide, _ bytes: RawSpan) -> Bool {
        let annex = exchanges[exchange].annex
        guard let chain = chain(of: exchange), !annexes[annex].isOver else { return false }
        let progress = annexes[annex][side]
        let isFree =
            !progress.isPaused && !progress.hasPiece && progress.waitingStep < 0
            && Int(progress.headStep) >= chain.filters.count
            && heldByteCount(exchange, annex, side) == 0
        guard isFree else {
            holdPiece(exchange, annex, side, bytes)
            return false
        }
        guard chain.phases.contains(side.data) else { return true }
        annexes[annex][side].hasPiece = true
        annexes[annex][side].pieceIsLast = false
        annexes[annex][side].pieceEndsBody = false
        annexes[annex][side].pieceByteCount = bytes.byteCount
        annexes[annex][side].dataStep = 0
        let passes = showData(exchange, annex, side, chain, bytes, upTo: chain.filters.count)
        let replaced = takeReplaced()
        guard passes else {
            if exchanges.contains(exchange), annexes.contains(annex), !annexes[annex].isOver,
                annexes[annex][side].isPaused
            {
                if let replaced {
                    annexes[annex][side].pieceByteCount = replaced.count
                    replaced.withRawSpan { holdPiece(exchange, annex, side, $0) }
                } else {
                    holdPiece(exchange, annex, side, bytes)
                }
            }
            return false
        }
        annexes[annex][side].hasPiece = false
        guard let replaced else { return true }
        if !replaced.isEmpty { replaced.withRawSpan { passReplaced(exchange, side, $0) } }
        return false
    }

    private func passReplaced(_ exchange: ExchangeHandle, _ side: FilterSide, _ bytes: RawSpan) {
        switch side {
        case .request: passRequestBody(exchange, bytes)
        case .response: sendResponseBody(exchange, bytes)
        }
    }

    // MARK: What is held

    private func holdPiece(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide,
        _ bytes: RawSpan
    ) {
        switch side {
        case .request: hold(exchange, bytes)
        case .response: holdResponse(exchange, annex, bytes)
        }
    }

    private func heldByteCount(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> Int {
        side == .request
            ? exchanges[exchange].requestBody.byteCount : annexes[annex].responseBody.byteCount
    }

    private func heldBytes(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> [UInt8] {
        side == .request
            ? exchanges[exchange].requestBody.bytes(pool) : annexes[annex].responseBody.bytes(pool)
    }

    private func isReceived(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ side: FilterSide
    ) -> Bool {
        side == .request
            ? exchanges[exchange].flags.contains(.requestEnded)
            : annexes[annex].responseIsReceived
    }

    private func hasTrailers(_ exchange: ExchangeHandle, _ side: FilterSide) -> Bool {
        exchanges[exchange].flags.contains(
            side == .request ? .requestTrailers : .responseTrailers
        )
    }

    // MARK: Ending

    /// Runs the chain's `log` for an exchange that ends.
    func runLogFilters(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.usesChain), let chain = chain(of: exchange),
            chain.phases.contains(.log)
        else { return }
        for filter in chain.filters where filter.phases.contains(.log) {
            prepareContext(exchange, for: filter)
            let start = loop.network.monotonicNanoseconds()
            filter.log(context)
            _ = isWithinBudget(filter, since: start)
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
            return isWithinBudget(filter, since: start) ? action : nil
        } catch {
            counters.count(.filterErrors)
            filter.tally.counts.errors &+= 1
            filterFaults?(filter.name, error.reason)
            return nil
        }
    }

    private func isWithinBudget(_ filter: Filter, since start: UInt64) -> Bool {
        let spent = loop.network.monotonicNanoseconds() &- start
        guard spent > filter.timeBudgetNanoseconds else { return true }
        counters.count(.filterOverruns)
        filter.tally.counts.overruns &+= 1
        return false
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
        for filter in chain.filters {
            context.tally = filter.tally
            filter.protocolAbuse(context)
        }
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
