import TrafficPolicy

/// Ties between clients and endpoints.
extension HTTPProxy {
    /// The tie that a request brings; `nil` for none, and for one whose time is over.
    func affinityToken(_ exchange: ExchangeHandle, _ row: AffinityRow) -> AffinityToken? {
        let bytes: RawSpan
        switch row.kind {
        case .none, .source: return nil
        case .cookie: bytes = cookie(exchange, view.bytes(row.name))
        case .header: bytes = field(exchange, row.id, view.bytes(row.name))
        }
        guard let token = AffinityToken(byteCount: bytes.byteCount, { bytes.byte(at: $0) }) else {
            return nil
        }
        // A tie that began when ties had no end has none; it ends with the settings' next change.
        guard (row.timeoutSeconds > 0) == (token.endSecond > 0),
            (row.idleSeconds > 0) == (token.idleSecond > 0)
        else { return nil }
        return token.holds(at: wallSecond) ? token : nil
    }

    /// How clients of an exchange's route are tied: as the route says, else as the cluster's
    /// policies do. Of a route that another view has replaced nothing is known.
    func affinityRow(_ exchange: ExchangeHandle, _ policy: BalancingRow) -> AffinityRow {
        guard exchanges[exchange].flags.contains(.ruled) else { return policy.affinity }
        let tries = annexes[exchanges[exchange].annex].tries
        guard tries.row.affinity >= 0 else { return policy.affinity }
        guard tries.viewVersion == view.version else { return AffinityRow() }
        return view.affinities[Int(tries.row.affinity)]
    }

    /// The backend of an action whose endpoint a request is tied to by the route, whatever the
    /// weights; `nil` for none.
    @inline(never)
    func tiedBackend(_ exchange: ExchangeHandle, _ action: ActionRow) -> BackendRow? {
        guard action.backends.count > 1 else { return nil }
        for offset in 0..<action.backends.count {
            let backend = view.backends[Int(action.backends.first + offset)]
            guard backend.tries >= 0, view.tries[Int(backend.tries)].affinity >= 0 else { continue }
            let row = view.affinities[Int(view.tries[Int(backend.tries)].affinity)]
            guard let token = affinityToken(exchange, row) else { return nil }
            if index(of: token.tag, row.tags) != nil { return backend }
        }
        return nil
    }

    private func index(of tag: UInt64, _ tags: RowRange) -> Int? {
        guard tags.count > 0 else { return nil }
        let first = Int(tags.first)
        let place = HashRing.place(tag, Int(tags.count)) { view.affinityTags[first + $0].tag }
        let row = view.affinityTags[first + place]
        return row.tag == tag ? Int(row.endpoint) : nil
    }

    private var wallSecond: UInt32 {
        UInt32(truncatingIfNeeded: loop.network.wallNanoseconds() / 1_000_000_000)
    }

    /// The endpoint of a tie, if it is there and can be taken.
    func affineEndpoint(
        _ token: AffinityToken?,
        _ tags: RowRange,
        _ choice: EndpointChoice
    ) -> Int? {
        guard let token, let index = index(of: token.tag, tags) else { return nil }
        var choice = choice
        return isEligible(index, &choice) ? index : nil
    }

    /// Has the response tell the client of its tie: a cookie when the tie is new, or ends by not being
    /// used; a header always.
    func noteAffinity(
        _ exchange: ExchangeHandle,
        _ row: AffinityRow,
        index: Int,
        _ token: AffinityToken?,
        isKept: Bool
    ) {
        guard row.kind == .cookie || row.kind == .header else { return }
        takeNoteBack(exchange)
        if isKept {
            guard row.kind == .header || row.idleSeconds > 0, var token else { return }
            if row.idleSeconds > 0 { token.idleSecond = wallSecond &+ row.idleSeconds }
            write(token, row, exchange)
            return
        }
        if token != nil { counters.count(.affinityMoves) }
        var tag: UInt64 = 0
        for offset in 0..<row.tags.count {
            let tagRow = view.affinityTags[Int(row.tags.first + offset)]
            if Int(tagRow.endpoint) == index { tag = tagRow.tag }
        }
        var fresh = AffinityToken(tag: tag)
        if row.timeoutSeconds > 0 { fresh.endSecond = wallSecond &+ row.timeoutSeconds }
        if row.idleSeconds > 0 { fresh.idleSecond = wallSecond &+ row.idleSeconds }
        write(fresh, row, exchange)
    }

    /// Another endpoint is tried: what the response was to tell of the one before is not true.
    private func takeNoteBack(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].flags.contains(.tellsAffinity) else { return }
        exchanges[exchange].flags.remove(.tellsAffinity)
        exchanges[exchange].action.responseOperationCount -= 1
    }

    /// Adds the operation that writes the response's field. The request's own operations have been
    /// applied by now: their rows are free.
    private func write(_ token: AffinityToken, _ row: AffinityRow, _ exchange: ExchangeHandle) {
        let position = Int(exchanges[exchange].action.responseOperationCount)
        guard position < ExchangeBlock.operationMax else {
            counters.count(.headerOperationLimitHits)
            return
        }
        let isCookie = row.kind == .cookie
        let nameStart: Int32?
        if isCookie {
            addressScratch.reset()
            addressScratch.append("set-cookie")
            nameStart = append(addressScratch.bytes(0, addressScratch.count), to: exchange)
        } else {
            nameStart = append(view.bytes(row.name), to: exchange)
        }
        guard let nameStart else { return }
        let valueStart = exchanges[exchange].head.byteCount
        if isCookie, append(view.bytes(row.before), to: exchange) == nil { return }
        addressScratch.reset()
        for index in 0..<token.byteCount { addressScratch.append(byte: token.byte(at: index)) }
        guard append(addressScratch.bytes(0, addressScratch.count), to: exchange) != nil,
            append(view.bytes(row.after), to: exchange) != nil
        else { return }
        let end = exchanges[exchange].head.byteCount
        var rows = copiedOperations(exchange, count: position + 1)
        rows[position] = OperationRow(
            kind: isCookie ? .add : .set,
            id: isCookie ? .setCookie : row.id,
            name: TextRange(start: nameStart, byteCount: valueStart - nameStart),
            value: TextRange(start: valueStart, byteCount: end - valueStart)
        )
        exchanges[exchange].action.responseOperationCount += 1
        exchanges[exchange].action.requestOperationCount = 0
        exchanges[exchange].flags.insert(.tellsAffinity)
    }
}
