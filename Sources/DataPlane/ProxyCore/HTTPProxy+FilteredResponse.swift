/// Responses that filters have: their heads are kept in a block, where filters can change them.
extension HTTPProxy {
    /// Begins the response phases with an endpoint's head.
    func filterResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        guard let annex = beginHeldHead(exchange) else {
            fail(exchange, status: 503, .overflow)
            return
        }
        let block = annexes[annex].responseBlock
        pool.write(bytes.extracting(0..<head.headByteCount), to: block, at: 0)
        annexes[annex].responseTextByteCount = head.headByteCount
        annexes[annex].responseHead = head
        let given = responseFields.span
        var fields = heldResponseFields(annex, count: head.fieldCount)
        for index in 0..<head.fieldCount { fields[index] = given[index] }
        annexes[annex].response.endShown = head.framing.isBodyless
        if connections[handle].body.isComplete {
            heldResponseEnded(exchange)
            return
        }
        if exchanges[exchange].upstreamStream == 0 { setDeadline(handle, timeouts.upstreamIdle) }
        advance(exchange, .response)
    }

    private func beginHeldHead(_ exchange: ExchangeHandle) -> AnnexHandle? {
        let annex = annex(exchange)
        guard let block = pool.take() else {
            counters.count(.bufferLimitHits)
            return nil
        }
        annexes[annex].responseBlock = block
        exchanges[exchange].flags.insert(.responseHeld)
        return annex
    }

    /// The endpoint's whole response has been received: its connection is free again.
    func heldResponseEnded(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        annexes[annex].responseIsReceived = true
        releaseUpstream(exchange)
        advance(exchange, .response)
    }

    /// Gives a local reply to the filters that want responses.
    ///
    /// - Returns: `false` when they have had a response already, or there is no room.
    func filter(_ reply: LocalReply, of exchange: ExchangeHandle) -> Bool {
        guard !exchanges[exchange].flags.contains(.responseHeld),
            chain(of: exchange)?.fault == nil, let annex = beginHeldHead(exchange)
        else { return false }
        let isHead = exchanges[exchange].head.method == .head
        exchanges[exchange].flags.insert(.local)
        exchanges[exchange].flags.subtract([.paused, .buffering])
        exchanges[exchange].action.responseOperationCount = 0
        exchanges[exchange].action.requestOperationCount = 0
        annexes[annex].request.pausedCall = 0
        annexes[annex].responseIsReceived = true
        annexes[annex].response.endShown = isHead || reply.body.isEmpty
        writeHeldReply(exchange, annex, reply)
        if !isHead { annexes[annex].responseBody.append(array: reply.body, pool) }
        advance(exchange, .response)
        return true
    }

    private func writeHeldReply(
        _ exchange: ExchangeHandle,
        _ annex: AnnexHandle,
        _ reply: LocalReply
    ) {
        var head = HTTP1ResponseHead()
        head.status = reply.status
        let isHead = exchanges[exchange].head.method == .head
        head.framing = isHead ? .none : .length(UInt64(reply.body.count))
        http2Text.reset()
        http2Text.append(StatusText.reason(reply.status))
        head.reasonLength = http2Text.count
        pool.write(http2Text.bytes(), to: annexes[annex].responseBlock, at: 0)
        annexes[annex].responseTextByteCount = head.reasonLength
        annexes[annex].responseHead = head
        _ = addResponseField(exchange, "content-length", String(reply.body.count))
        if !reply.body.isEmpty && !reply.hasContentType {
            _ = addResponseField(exchange, "content-type", "text/plain")
        }
        for field in reply.fields { _ = addResponseField(exchange, field.name, field.value) }
    }

    private func addResponseField(
        _ exchange: ExchangeHandle,
        _ name: String,
        _ value: String
    ) -> Bool {
        name.withBytes { name in
            value.withBytes { value in addResponseField(exchange, name, value) }
        }
    }

    /// Sends a held head as it is now.
    func sendHeldHead(_ exchange: ExchangeHandle, _ annex: AnnexHandle) {
        let head = annexes[annex].responseHead
        let block = annexes[annex].responseBlock
        let held = heldResponseFields(annex, count: head.fieldCount)
        var fields = responseFields.mutableSpan
        for index in 0..<head.fieldCount { fields[index] = held[index] }
        exchanges[exchange].status = head.status
        let bytes = pool.bytes(block, 0, ExchangeBlock.textByteLimit)
        sendResponseHead(exchange, head, bytes, isAsReceived: false)
    }

    // MARK: The head, for filters

    /// A held head's fields, to be read or written.
    @_lifetime(immortal)
    func heldResponseFields(_ annex: AnnexHandle, count: Int) -> MutableSpan<HeaderField> {
        pool.mutableElements(
            annexes[annex].responseBlock,
            at: ExchangeBlock.fieldOffset,
            count: count,
            of: HeaderField.self
        )
    }

    /// Whether there is a response whose head filters can see.
    func hasHeldHead(_ exchange: ExchangeHandle) -> Bool {
        exchanges.contains(exchange) && exchanges[exchange].flags.contains(.responseHeld)
    }

    /// Whether a held head can still be changed.
    func canChangeHead(_ exchange: ExchangeHandle) -> Bool {
        hasHeldHead(exchange) && !exchanges[exchange].flags.contains(.responseStarted)
    }

    /// Appends a line to a held head.
    ///
    /// - Returns: `false` when there is no room.
    func addResponseField(
        _ exchange: ExchangeHandle,
        _ name: RawSpan,
        _ value: RawSpan
    ) -> Bool {
        let annex = exchanges[exchange].annex
        let count = annexes[annex].responseHead.fieldCount
        let start = annexes[annex].responseTextByteCount
        let end = start + name.byteCount + value.byteCount
        guard end <= ExchangeBlock.textByteLimit, count < responseFields.count,
            count < ExchangeBlock.fieldMax
        else { return false }
        let block = annexes[annex].responseBlock
        pool.write(name, to: block, at: start)
        pool.write(value, to: block, at: start + name.byteCount)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        var fields = heldResponseFields(annex, count: count + 1)
        fields[count] = HeaderField(
            nameOffset: UInt32(start),
            valueOffset: UInt32(start + name.byteCount),
            nameLength: UInt16(clamping: name.byteCount),
            valueLength: UInt16(clamping: value.byteCount),
            id: id
        )
        annexes[annex].responseHead.fieldCount = count + 1
        annexes[annex].responseTextByteCount = end
        return true
    }

    /// Takes every line of a name out of a held head.
    func removeResponseFields(_ exchange: ExchangeHandle, _ name: RawSpan) {
        let annex = exchanges[exchange].annex
        let count = annexes[annex].responseHead.fieldCount
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        let text = pool.bytes(annexes[annex].responseBlock, 0, ExchangeBlock.textByteLimit)
        var fields = heldResponseFields(annex, count: count)
        var kept = 0
        for index in 0..<count {
            let field = fields[index]
            guard !field.isNamed(id, name, in: text) else { continue }
            fields[kept] = field
            kept += 1
        }
        annexes[annex].responseHead.fieldCount = kept
    }

    /// Puts another body in the place of a whole one that a filter has in its hands.
    ///
    /// - Returns: `false` when the pool has no room: the exchange can then only fail.
    func replaceBody(_ exchange: ExchangeHandle, _ body: [UInt8]) -> Bool {
        let annex = exchanges[exchange].annex
        if exchanges[exchange].flags.contains(.responseHeld) {
            annexes[annex].responseBody.clear(pool)
            annexes[annex].response.pieceByteCount = body.count
            guard annexes[annex].responseBody.append(array: body, pool) else { return false }
            annexes[annex].responseHead.framing = .length(UInt64(body.count))
            return "content-length".withBytes { name in
                removeResponseFields(exchange, name)
                return String(body.count).withBytes { addResponseField(exchange, name, $0) }
            }
        }
        exchanges[exchange].requestBody.clear(pool)
        annexes[annex].request.pieceByteCount = body.count
        guard exchanges[exchange].requestBody.append(array: body, pool) else { return false }
        exchanges[exchange].head.framing = .length(UInt64(body.count))
        exchanges[exchange].head.verbatimByteCount = 0
        return true
    }
}
