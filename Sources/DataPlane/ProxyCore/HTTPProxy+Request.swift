import Addressing
import MeshModel

/// Requests: from a head to an upstream connection.
extension HTTPProxy {
    /// Begins the exchange of an HTTP/1 head whose bytes and fields are in `block`.
    ///
    /// - Parameter parsed: not changed; a reference spares a copy.
    @inline(__always)
    func beginExchange(
        _ handle: ConnectionHandle,
        _ block: BufferPool.Block,
        _ parsed: inout HTTP1RequestHead
    ) {
        guard let exchange = openExchange(handle, block, RequestHead(parsed)) else {
            writeBareReply(handle, status: 503)
            finishGathering()
            beginDiscarding(handle)
            return
        }
        let client = connections.place(handle)
        client.value.exchange = exchange
        client.value.exchangeCount &+= 1
        client.value.body = BodyReader(parsed.framing)
        if !parsed.keepAlive || isDraining || isTooOld(handle) {
            client.value.flags.insert(.closesAfterExchange)
        }
        if client.value.body.isComplete {
            exchanges.place(exchange).value.flags.insert(.requestEnded)
            connectionTimers.set(handle.index, 0)
        } else {
            setDeadline(handle, bodyTime(handle))
        }
        if parsed.hasUpgrade,
            asksForWebSocket(parsed, headBytes(exchange), headFields(exchange))
        {
            exchanges[exchange].head.tunnel = .upgrade
        }
        guard parsed.targetForm.hasPath, parsed.method != .trace else {
            startWithoutPath(exchange, parsed.targetForm)
            return
        }
        start(exchange)
    }

    /// Makes an exchange; `nil`, with the block given back, when too many are in hand.
    @inline(__always)
    func openExchange(
        _ handle: ConnectionHandle,
        _ block: BufferPool.Block,
        _ head: RequestHead
    ) -> ExchangeHandle? {
        let client = connections.place(handle)
        var exchange = Exchange(
            downstream: handle,
            block: block,
            entry: client.value.entry,
            startNanoseconds: loop.nowNanoseconds
        )
        exchange.head = head
        exchange.head.isTLS = client.value.flags.contains(.tls)
        exchange.requestID = identifiers.next()
        guard let opened = exchanges.insert(exchange) else {
            counters.count(.exchangeLimitHits)
            pool.give(block)
            return nil
        }
        counters.count(.requests)
        return opened
    }

    /// Routes a new exchange, runs its filters, sends it on.
    @inline(__always)
    func start(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        let bytes = headBytes(it)
        var path = RequestPath(
            bytes,
            Int(it.value.head.pathOffset),
            Int(it.value.head.pathLength)
        )
        if tracing != nil { beginTrace(exchange) }
        let host = findHost(it, bytes)
        guard host >= 0 else {
            fail(exchange, status: 404, .noRoute)
            return
        }
        let isRuled = !view.hosts[Int(host)].rules.isEmpty
        it.value.listener = view.hosts[Int(host)].listener
        if it.value.head.isTLS {
            guard admitsOverTLS(exchange, it.value.listener) else { return }
        }
        if path.isNotable || isRuled || it.value.head.tunnel != .none {
            guard let shaped = applyEdge(exchange, host, path) else { return }
            path = shaped
        }
        it.value.head.pathOnlyLength = Int32(truncatingIfNeeded: path.pathByteCount)
        let action = findAction(it, host, bytes, path)
        guard action >= 0 else {
            fail(exchange, status: 404, .noRoute)
            return
        }
        if view.actions[Int(action)].crossOrigin >= 0 {
            guard admitsOrigin(exchange, Int(action)) else { return }
        }
        guard take(Int(action), for: exchange, it) else {
            fail(exchange, status: 431, .overflow)
            return
        }
        if it.value.action.chain >= 0 {
            runRequestFilters(exchange)
        } else {
            dispatch(exchange)
        }
    }

    /// Picks a backend and copies what the exchange needs of its action, so that the view may be
    /// swapped.
    ///
    /// - Returns: `false` when the block has no room.
    @inline(__always)
    private func take(_ index: Int, for exchange: ExchangeHandle, _ it: Place<Exchange>) -> Bool {
        it.value.action.adopt(view.actions[index], chainSetVersion)
        if it.value.action.requestTimeoutNanoseconds > 0 {
            exchangeTimers.set(
                exchange.index,
                loop.nowNanoseconds &+ it.value.action.requestTimeoutNanoseconds
            )
        }
        it.value.flags.insert(.namesView)
        // Who speaks gRPC says that it takes trailers.
        if it.value.head.present.contains(.te) { takeDeadline(exchange) }
        it.value.action.cluster = view.actions[index].plainCluster
        return it.value.action.cluster >= 0 || takeShare(view.actions[index], of: exchange)
    }

    /// Picks one of an action's backends, with what both change.
    ///
    /// - Returns: `false` when the block has no room.
    @inline(never)
    private func takeShare(_ row: ActionRow, of exchange: ExchangeHandle) -> Bool {
        if row.change >= 0 {
            guard takeChange(row.change, for: exchange) else { return false }
        }
        guard row.weightSum > 0 else { return true }
        var backend = pick(row)
        if backend.tries >= 0 { backend = tiedBackend(exchange, row) ?? backend }
        exchanges[exchange].action.cluster = backend.cluster
        if backend.change >= 0 {
            guard takeChange(backend.change, for: exchange) else { return false }
        }
        if backend.tries >= 0 { takeRules(backend.tries, for: exchange) }
        let operationCount =
            row.requestOperations.count | row.responseOperations.count
            | backend.requestOperations.count | backend.responseOperations.count
        guard operationCount > 0 else { return true }
        guard copyOperations(row, backend, exchange) else { return false }
        if row.chain >= 0 { return true }
        return apply(row.requestOperations, to: exchange)
            && apply(backend.requestOperations, to: exchange)
    }

    /// Sends a routed request to an endpoint.
    @inline(__always)
    func dispatch(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        if it.value.flags.contains(.changesTarget) {
            guard changeTarget(exchange) else { return }
        }
        guard it.value.action.cluster >= 0 else {
            fail(exchange, status: 500, .invalidBackend)
            return
        }
        guard it.value.flags.contains(.ruled) else {
            connectUpstream(exchange)
            return
        }
        if annexes[exchanges[exchange].annex].isEarly {
            guard admitsEarly(exchange) else { return }
        }
        dispatchMirrored(exchange)
    }

    /// Sends a request on once its filters have let it pass.
    func redispatch(_ exchange: ExchangeHandle) {
        guard !exchanges[exchange].flags.contains(.awaitsConnection) else { return }
        let count = Int(exchanges[exchange].action.requestOperationCount)
        let first = Int(exchanges[exchange].action.responseOperationCount)
        for index in first..<(first + count) {
            let operation = copiedOperations(exchange, count: first + count)[index]
            let text = headBytes(exchange)
            let name = text.extracting(operation.name.range)
            if operation.kind != .add { removeFields(exchange, operation.id, name) }
            guard operation.kind != .remove else { continue }
            let value = text.extracting(operation.value.range)
            guard addField(exchange, operation.id, name, value) else {
                fail(exchange, status: 431, .overflow)
                return
            }
        }
        dispatch(exchange)
    }

    @inline(__always)
    private func pick(_ action: ActionRow) -> BackendRow {
        let first = Int(action.backends.first)
        guard action.backends.count > 1 else { return view.backends[first] }
        let ticket = random.next(below: action.weightSum)
        var index = first
        while view.backends[index].cumulativeWeight <= ticket { index += 1 }
        return view.backends[index]
    }

    // MARK: The exchange's block

    /// The request head's bytes, with what was appended.
    @inline(__always)
    @_lifetime(immortal)
    func headBytes(_ exchange: ExchangeHandle) -> RawSpan {
        pool.bytes(exchanges[exchange].block, 0, ExchangeBlock.textByteLimit)
    }

    /// The same, of an exchange that was looked up.
    @inline(__always)
    @_lifetime(immortal)
    func headBytes(_ it: Place<Exchange>) -> RawSpan {
        pool.bytes(it.value.block, 0, ExchangeBlock.textByteLimit)
    }

    /// The request's fields.
    @inline(__always)
    @_lifetime(immortal)
    func headFields(_ exchange: ExchangeHandle) -> Span<HeaderField> {
        headFields(exchanges.place(exchange))
    }

    /// The same, of an exchange that was looked up.
    @inline(__always)
    @_lifetime(immortal)
    func headFields(_ it: Place<Exchange>) -> Span<HeaderField> {
        pool.elements(
            it.value.block,
            at: ExchangeBlock.fieldOffset,
            count: Int(it.value.head.fieldCount),
            of: HeaderField.self
        )
    }

    /// Appends text to the block.
    ///
    /// - Returns: where it begins; `nil` when there is no room.
    func append(_ bytes: RawSpan, to exchange: ExchangeHandle) -> Int32? {
        let start = exchanges[exchange].head.byteCount
        guard Int(start) + bytes.byteCount <= ExchangeBlock.textByteLimit else {
            counters.count(.editedTextLimitHits)
            return nil
        }
        pool.write(bytes, to: exchanges[exchange].block, at: Int(start))
        exchanges[exchange].head.byteCount = start + Int32(bytes.byteCount)
        return start
    }

    /// Appends a header line to the request.
    ///
    /// - Returns: `false` when there is no room.
    func addField(
        _ exchange: ExchangeHandle,
        _ id: HeaderID,
        _ name: RawSpan,
        _ value: RawSpan
    ) -> Bool {
        let count = Int(exchanges[exchange].head.fieldCount)
        guard count < ExchangeBlock.fieldMax else {
            counters.count(.editedFieldLimitHits)
            return false
        }
        guard value.byteCount <= Int(UInt16.max), let nameOffset = append(name, to: exchange),
            let valueOffset = append(value, to: exchange)
        else { return false }
        let field = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(valueOffset),
            nameLength: UInt16(name.byteCount),
            valueLength: UInt16(value.byteCount),
            id: id
        )
        var fields = pool.mutableElements(
            exchanges[exchange].block,
            at: ExchangeBlock.fieldOffset,
            count: count + 1,
            of: HeaderField.self
        )
        fields[count] = field
        exchanges[exchange].head.fieldCount = Int32(count + 1)
        exchanges[exchange].head.verbatimByteCount = 0
        return true
    }

    /// Takes every line of a name out of the request.
    func removeFields(_ exchange: ExchangeHandle, _ id: HeaderID, _ name: RawSpan) {
        let bytes = headBytes(exchange)
        let count = Int(exchanges[exchange].head.fieldCount)
        var fields = pool.mutableElements(
            exchanges[exchange].block,
            at: ExchangeBlock.fieldOffset,
            count: count,
            of: HeaderField.self
        )
        var kept = 0
        for index in 0..<count {
            let field = fields[index]
            guard !field.isNamed(id, name, in: bytes) else { continue }
            if kept != index { fields[kept] = field }
            kept += 1
        }
        exchanges[exchange].head.fieldCount = Int32(kept)
        exchanges[exchange].head.verbatimByteCount = 0
    }

    /// Applies a header modifier of the view to the request.
    private func apply(_ range: RowRange, to exchange: ExchangeHandle) -> Bool {
        for offset in 0..<range.count {
            let operation = view.operations[Int(range.first + offset)]
            let name = view.bytes(operation.name)
            if operation.kind != .add { removeFields(exchange, operation.id, name) }
            guard operation.kind != .remove else { continue }
            guard addField(exchange, operation.id, name, view.bytes(operation.value)) else {
                return false
            }
        }
        return true
    }

    /// Copies header operations into the block: the response's, the backend's before the rule's;
    /// and, where filters come first, the request's, the rule's before the backend's.
    private func copyOperations(
        _ action: ActionRow,
        _ backend: BackendRow,
        _ exchange: ExchangeHandle
    ) -> Bool {
        guard copy(backend.responseOperations, exchange, isResponse: true),
            copy(action.responseOperations, exchange, isResponse: true)
        else { return false }
        guard action.chain >= 0 else { return true }
        return copy(action.requestOperations, exchange, isResponse: false)
            && copy(backend.requestOperations, exchange, isResponse: false)
    }

    private func copy(_ range: RowRange, _ exchange: ExchangeHandle, isResponse: Bool) -> Bool {
        for offset in 0..<range.count {
            let action = exchanges[exchange].action
            let position = Int(action.responseOperationCount + action.requestOperationCount)
            var operation = view.operations[Int(range.first + offset)]
            guard position < ExchangeBlock.operationMax else {
                counters.count(.headerOperationLimitHits)
                return false
            }
            guard let name = append(view.bytes(operation.name), to: exchange),
                let value = append(view.bytes(operation.value), to: exchange)
            else { return false }
            operation.name.start = name
            operation.value.start = value
            var rows = copiedOperations(exchange, count: position + 1)
            rows[position] = operation
            if isResponse {
                exchanges[exchange].action.responseOperationCount += 1
            } else {
                exchanges[exchange].action.requestOperationCount += 1
            }
        }
        return true
    }

    /// The exchange's copied operations.
    @_lifetime(immortal)
    func copiedOperations(_ exchange: ExchangeHandle, count: Int) -> MutableSpan<OperationRow> {
        pool.mutableElements(
            exchanges[exchange].block,
            at: ExchangeBlock.operationOffset,
            count: count,
            of: OperationRow.self
        )
    }
}

extension HeaderField {
    /// Whether it is a request id that is meant to go on.
    var isRequestID: Bool { id == .xRequestID && !flags.contains(.hopByHop) }

    /// Whether the field has a name; compared by id where both are known, else by text without
    /// regard to case.
    func isNamed(_ id: HeaderID, _ name: RawSpan, in bytes: RawSpan) -> Bool {
        if id != .other || self.id != .other { return id == self.id }
        guard Int(nameLength) == name.byteCount else { return false }
        let start = Int(nameOffset)
        for offset in 0..<name.byteCount {
            let left = ByteScan.lower(bytes.byte(at: start + offset))
            guard left == ByteScan.lower(name.byte(at: offset)) else { return false }
        }
        return true
    }
}
