/// Responses: from an endpoint's bytes to the client.
extension HTTPProxy {
    /// Interim responses of one exchange; an endpoint that sends more will not come to an end.
    package static let interimMax: UInt8 = 32
    /// Fields of a response that the proxy writes itself.
    @inline(__always)
    private static var replaced: HeaderMask {
        HeaderMask(.contentLength) | HeaderMask(.transferEncoding)
    }

    /// A scheduled turn of an upstream connection.
    func resumeUpstream(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.multiplexed) {
            resumeMultiplexed(handle)
            return
        }
        let hasInput =
            !connections[handle].input.isEmpty && !connections[handle].headEnd.isActive
        if hasInput && canProcess(handle) { processInput(handle) }
        guard connections.contains(handle) else { return }
        if canReceive(handle) { receiveUpstream(handle) }
    }

    /// Works through all bytes that wait.
    private func processInput(_ handle: ConnectionHandle) {
        let count = stageAll(handle)
        connections[handle].input.clear(pool)
        let consumed = processUpstream(handle, count)
        keep(handle, from: consumed, to: count)
        finishGathering()
        pauseIfBlocked(handle)
    }

    private func canProcess(_ handle: ConnectionHandle) -> Bool {
        connections[handle].flags.isDisjoint(with: [.readPaused, .broken])
    }

    func receiveUpstream(_ handle: ConnectionHandle) {
        for _ in 0..<HTTPProxy.readRoundMax {
            guard let it = connections.find(handle), canReceive(it),
                !it.value.flags.contains(.pooled)
            else { return }
            if it.value.headEnd.isActive {
                guard receiveHeadPart(handle) else { return }
                if !connections[handle].headEnd.isActive { processInput(handle) }
                continue
            }
            let waiting = stage(it)
            guard let count = receive(handle, it, after: waiting) else { return }
            if waiting > 0 { connections[handle].input.clear(pool) }
            let consumed = processUpstream(handle, waiting + count)
            keep(handle, from: consumed, to: waiting + count)
            finishGathering()
            pauseIfBlocked(handle)
        }
        if let it = connections.find(handle), canReceive(it), !it.value.flags.contains(.pooled) {
            schedule(handle)
        }
    }

    /// Leaves bytes with the kernel while the client takes none: back pressure.
    @inline(__always)
    private func pauseIfBlocked(_ handle: ConnectionHandle) {
        guard let it = connections.find(handle), it.value.exchange.isSome,
            exchanges.contains(it.value.exchange)
        else { return }
        if isDownstreamBlocked(it.value.exchange) {
            it.value.flags.insert(.readPaused)
            connectionTimers.set(handle.index, 0)
        }
    }

    func isDownstreamBlocked(_ exchange: ExchangeHandle) -> Bool {
        if exchanges[exchange].flags.contains(.responseHeld), holdsMuch(exchange) { return true }
        if exchanges[exchange].stream != 0 { return !exchanges[exchange].responseBody.isEmpty }
        return isBlocked(exchanges[exchange].downstream)
    }

    /// Works through the bytes in hand.
    ///
    /// - Returns: how many were taken.
    @inline(__always)
    private func processUpstream(_ handle: ConnectionHandle, _ count: Int) -> Int {
        var at = 0
        while at < count, let server = connections.find(handle) {
            let exchange = server.value.exchange
            guard let it = exchanges.find(exchange) else {
                // Bytes that no request asked for: the connection is not to be trusted.
                server.value.flags.insert(.closesAfterExchange)
                close(handle)
                return count
            }
            let step: Int
            if it.value.flags.isDisjoint(with: [.responseStarted, .responseHeld]) {
                step = processResponseHead(handle, exchange, at, count)
            } else {
                step = processResponseBody(handle, exchange, at, count)
            }
            guard step > 0 else { return at }
            at &+= step
        }
        return at
    }

    @inline(__always)
    private func processResponseHead(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ start: Int,
        _ end: Int
    ) -> Int {
        let it = exchanges.place(exchange)
        let bytes = received.bytes(start, end - start)
        var fields = responseFields.mutableSpan
        var head = HTTP1ResponseHead()
        let outcome = HTTP1Head.read(
            &head,
            bytes,
            requestIsHead: it.value.head.method == .head,
            &fields,
            limits.head,
            fieldMemos
        )
        switch outcome {
        case .needMore:
            beginHeadSearch(handle, bytes)
            return 0
        case .fault(let fault):
            counters.count(.protocolErrors)
            countLimit(of: fault)
            fail(exchange, status: 502, .upstreamProtocolError)
            return 0
        case .complete: break
        }
        guard head.status >= 200, it.value.head.tunnel == .none else {
            return processUnusual(handle, exchange, head, bytes, at: start)
        }
        beginResponse(handle, exchange, &head, bytes, at: start)
        return head.headByteCount
    }

    /// Interim responses, and whatever answers who asked for a tunnel.
    @inline(never)
    private func processUnusual(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        at start: Int
    ) -> Int {
        var head = head
        if head.status == 101 {
            guard agrees(exchange, head, bytes) else {
                // No such upgrade was asked for: it would not be HTTP from here on.
                fail(exchange, status: 502, .upstreamProtocolError)
                return 0
            }
            beginTunnel(handle, exchange, head, bytes)
            return head.headByteCount
        }
        guard !isMistakable(exchange, status: head.status) else {
            fail(exchange, status: 502, .upstreamProtocolError)
            return 0
        }
        guard head.isInterim else {
            beginResponse(handle, exchange, &head, bytes, at: start)
            return head.headByteCount
        }
        return noteInterim(exchange, head, bytes) ? head.headByteCount : 0
    }

    /// Passes an interim response on.
    ///
    /// - Returns: `false` when there were too many of them.
    @discardableResult
    func noteInterim(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) -> Bool {
        exchanges[exchange].interimCount += 1
        guard exchanges[exchange].interimCount <= HTTPProxy.interimMax else {
            counters.count(.protocolErrors)
            counters.count(.interimLimitHits)
            fail(exchange, status: 502, .upstreamProtocolError)
            return false
        }
        forwardInterim(exchange, head, bytes)
        return true
    }

    /// Begins the response of a stream.
    func beginStreamResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        var head = head
        beginResponse(handle, exchange, &head, bytes, at: 0)
    }

    /// Passes a piece of a stream's body on.
    func forwardStreamBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        forwardResponseBody(exchange, bytes, at: -1)
    }

    /// Begins a response whose head has come whole.
    ///
    /// - Parameter head: not changed; a reference spares a copy.
    @inline(__always)
    func beginResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: inout HTTP1ResponseHead,
        _ bytes: RawSpan,
        at start: Int
    ) {
        let it = exchanges.place(exchange)
        let server = connections.place(handle)
        it.value.upstreamHeadNanoseconds = loop.nowNanoseconds
        it.value.status = head.status
        if it.value.flags.contains(.tracked) { endpointAnswered(exchange, handle) }
        if accessLog.keepsResponses || it.value.head.isHTTP2 {
            noteResponse(exchange, head, bytes)
        }
        server.value.body = BodyReader(head.framing)
        if !head.keepAlive { server.value.flags.insert(.closesAfterExchange) }
        if !it.value.flags.isDisjoint(with: [.ruled, .hedge, .filtersResponse]) {
            guard beginPolicedResponse(handle, exchange, head, bytes, at: start) else { return }
        }
        if !passHead(it, &head, at: start) {
            sendResponseHead(exchange, head, bytes, isAsReceived: true)
            guard exchanges.contains(exchange) else { return }
        }
        it.value.flags.insert(.responseStarted)
        guard connections.contains(handle) else { return }
        if server.value.body.isComplete {
            responseEnded(exchange)
        } else if it.value.upstreamStream == 0,
            !isTimedByBody(head.framing, head.headByteCount < bytes.byteCount)
        {
            setDeadline(handle, silenceLimit(exchange))
        }
    }

    /// Whether bytes of the body are in hand, which set the connection's deadline themselves.
    @inline(__always)
    private func isTimedByBody(_ framing: BodyFraming, _ isMoreInHand: Bool) -> Bool {
        if case .length = framing { return isMoreInHand }
        return false
    }

    /// Sends a response's head on where it stands, with the body that follows it.
    ///
    /// - Returns: `false` when it must be written.
    @inline(__always)
    private func passHead(
        _ it: Place<Exchange>,
        _ head: inout HTTP1ResponseHead,
        at start: Int
    ) -> Bool {
        guard it.value.stream == 0, passesVerbatim(it, &head), !isDraining,
            it.value.flags.contains(.requestEnded), it.value.head.minorVersion == 1
        else { return false }
        let client = connections.place(it.value.downstream)
        guard client.value.flags.isDisjoint(with: [.closesAfterExchange, .tls]) else {
            return false
        }
        return pass(it.value.downstream, start..<(start + head.headByteCount))
    }

    /// Writes a response's head to the client.
    ///
    /// - Parameter isAsReceived: whether `bytes` begin with the head as the endpoint sent it.
    func sendResponseHead(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        isAsReceived: Bool
    ) {
        if exchanges[exchange].stream != 0 {
            sendHTTP2ResponseHead(exchange, head, bytes)
            return
        }
        let downstream = exchanges[exchange].downstream
        reserveGathered(for: downstream)
        var head = head
        if isAsReceived && passesVerbatim(exchanges.place(exchange), &head) {
            gathered.append(bytes, 0..<(head.headByteCount - 2))
        } else {
            appendStatusLine(head, bytes)
            appendResponseFields(exchange, head, bytes)
            appendFraming(exchange, head, bytes, downstream)
        }
        appendPersistence(exchange, downstream)
        gathered.append("\r\n")
    }

    /// Whether status line and fields can go over in one piece: they are of HTTP/1.1, nothing is
    /// changed, nothing is left out, and their length frames the body.
    @inline(__always)
    private func passesVerbatim(_ it: Place<Exchange>, _ head: inout HTTP1ResponseHead) -> Bool {
        guard case .length = head.framing else { return false }
        return head.minorVersion == 1 && head.reasonOffset == 13 && !head.needsRewriting
            && it.value.action.responseOperationCount == 0
            && head.present.isDisjoint(with: HeaderID.hopByHop)
    }

    private func appendStatusLine(_ head: HTTP1ResponseHead, _ bytes: RawSpan) {
        gathered.append("HTTP/1.1 ")
        gathered.append(decimal: UInt64(head.status))
        gathered.append(byte: UInt8(ascii: " "))
        gathered.append(bytes, head.reasonOffset..<(head.reasonOffset + head.reasonLength))
        gathered.append("\r\n")
    }

    func appendResponseFields(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        let operationCount = Int(exchanges[exchange].action.responseOperationCount)
        let fields = responseFields.span.extracting(0..<head.fieldCount)
        guard operationCount > 0 else {
            gathered.append(fields: fields, of: bytes, skipping: HTTPProxy.replaced)
            return
        }
        let text = headBytes(exchange)
        let operations = copiedOperations(exchange, count: operationCount)
        for index in fields.indices {
            let field = fields[index]
            guard !field.flags.contains(.hopByHop), !HTTPProxy.replaced.contains(field.id),
                !operations.span.replaces(field, of: bytes, text: text)
            else { continue }
            gathered.append(bytes.extracting(field.nameRange))
            gathered.append(": ")
            gathered.append(bytes.extracting(field.valueRange))
            gathered.append("\r\n")
        }
        for index in 0..<operationCount where operations[index].kind != .remove {
            guard !operations.span.isOverridden(index, text: text) else { continue }
            gathered.append(text.extracting(operations[index].name.range))
            gathered.append(": ")
            gathered.append(text.extracting(operations[index].value.range))
            gathered.append("\r\n")
        }
    }

    /// Says how the body ends (RFC 9112 section 6).
    private func appendFraming(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        _ downstream: ConnectionHandle
    ) {
        let isHTTP10 = exchanges[exchange].head.minorVersion == 0
        switch head.framing {
        case .length(let length):
            gathered.append("content-length: ")
            gathered.append(decimal: length)
            gathered.append("\r\n")
        case .none: appendBodylessLength(exchange, head, bytes)
        case .chunked, .untilClose:
            if isHTTP10 {
                connections[downstream].flags.insert(.closesAfterExchange)
            } else {
                exchanges[exchange].flags.insert(.chunkedResponse)
                gathered.append("transfer-encoding: chunked\r\n")
            }
        }
    }

    /// Says whether the connection stays (RFC 9112 section 9).
    @inline(__always)
    private func appendPersistence(_ exchange: ExchangeHandle, _ downstream: ConnectionHandle) {
        if !exchanges[exchange].flags.contains(.requestEnded) || isDraining {
            connections[downstream].flags.insert(.closesAfterExchange)
        }
        if connections[downstream].flags.contains(.closesAfterExchange) {
            gathered.append("connection: close\r\n")
        } else if exchanges[exchange].head.minorVersion == 0 {
            gathered.append("connection: keep-alive\r\n")
        }
    }

    /// A response without body still tells the length it would have had to a HEAD, and to 304.
    private func appendBodylessLength(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        let fields = responseFields.span
        for index in 0..<head.fieldCount where fields[index].id == .contentLength {
            guard exchanges[exchange].head.method == .head || head.status == 304 else { return }
            gathered.append("content-length: ")
            gathered.append(bytes.extracting(fields[index].valueRange))
            gathered.append("\r\n")
            return
        }
    }

    @inline(__always)
    private func processResponseBody(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ start: Int,
        _ end: Int
    ) -> Int {
        let it = exchanges.place(exchange)
        let server = connections.place(handle)
        let bytes = received.bytes(start, end - start)
        if it.value.flags.contains(.tunnel) {
            return passFromEndpoint(exchange, bytes, at: start)
        }
        switch server.value.body.next(bytes) {
        case .data(let skipped, let byteCount):
            let isLast = server.value.body.isComplete
            if !isLast { setDeadline(handle, silenceLimit(exchange)) }
            let data = bytes.extracting(skipped..<(skipped + byteCount))
            forwardResponseBody(exchange, data, at: start + skipped)
            if isLast, exchanges.contains(exchange), connections.contains(handle) {
                responseEnded(exchange)
            }
            return skipped + byteCount
        case .needMore(let consumed):
            return keepResponseTrailers(handle, exchange, bytes, consumed, isEnd: false)
        case .end(let consumed):
            return keepResponseTrailers(handle, exchange, bytes, consumed, isEnd: true)
        case .fault:
            counters.count(.protocolErrors)
            fail(exchange, status: 502, .upstreamProtocolError)
            return 0
        }
    }

    /// Takes framing that may hold trailers.
    private func keepResponseTrailers(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ consumed: Int,
        isEnd: Bool
    ) -> Int {
        let byteCount = connections[handle].body.trailerByteCount
        if byteCount > 0 {
            let fault = keepTrailers(
                exchange,
                .response,
                bytes,
                consumed: consumed,
                byteCount: byteCount,
                isEnd: isEnd
            )
            if fault != nil {
                counters.count(.protocolErrors)
                fail(exchange, status: 502, .upstreamProtocolError)
                return 0
            }
        }
        if isEnd { responseEnded(exchange) }
        return consumed
    }

    @inline(__always)
    private func forwardResponseBody(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        at offset: Int
    ) {
        if exchanges[exchange].flags.contains(.responseHeld) {
            guard showPiece(exchange, .response, bytes) else { return }
        }
        sendResponseBody(exchange, bytes, at: offset)
    }

    /// Sends bytes of a response's body to the client.
    ///
    /// - Parameter offset: where they stand in `received`; -1 for elsewhere.
    @inline(__always)
    func sendResponseBody(_ exchange: ExchangeHandle, _ bytes: RawSpan, at offset: Int = -1) {
        let it = exchanges.place(exchange)
        it.value.bytesSent &+= UInt64(bytes.byteCount)
        counters.count(.bytesSent, by: UInt64(bytes.byteCount))
        if it.value.stream != 0 {
            queueHTTP2Body(exchange, bytes)
        } else if it.value.flags.contains(.chunkedResponse) {
            writeChunk(it.value.downstream, bytes)
        } else {
            write(it.value.downstream, bytes, at: offset)
        }
    }

    /// Passes 100 and 103 on to a client that can read them (RFC 9110 section 15.2).
    private func forwardInterim(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        guard exchanges[exchange].stream >= 0 else { return }
        if head.status == 100 {
            // The endpoint of an earlier try, or the proxy itself, has said so already.
            let annex = annex(exchange)
            guard !annexes[annex].isContinued else { return }
            annexes[annex].isContinued = true
        }
        if exchanges[exchange].stream != 0 {
            sendHTTP2Interim(exchange, head, bytes)
            return
        }
        guard exchanges[exchange].head.minorVersion == 1 else { return }
        reserveGathered(for: exchanges[exchange].downstream)
        appendStatusLine(head, bytes)
        let fields = responseFields.span.extracting(0..<head.fieldCount)
        gathered.append(fields: fields, of: bytes, skipping: HTTPProxy.replaced)
        gathered.append("\r\n")
    }

    /// The endpoint's whole response has been received.
    @inline(__always)
    func responseEnded(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.responseHeld) {
            heldResponseEnded(exchange)
            return
        }
        concludeResponse(exchange)
    }

    /// Lets go of the endpoint, and ends what has been sent to the client.
    func concludeResponse(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        it.value.flags.insert(.responseEnded)
        releaseUpstream(exchange)
        if it.value.flags.contains(.chunkedResponse) {
            reserveGathered(for: it.value.downstream)
            appendLastChunk(exchange, .response)
        }
        finish(exchange)
    }

    /// Gives the connection of a whole response back, or closes it where the request has not ended.
    @inline(__always)
    func releaseUpstream(_ exchange: ExchangeHandle) {
        guard let upstream = unbind(exchange) else { return }
        let it = exchanges.place(exchange)
        guard it.value.flags.contains(.requestEnded) else {
            close(upstream)
            return
        }
        release(upstream)
        if it.value.flags.contains(.ruled) { setPoolTime(upstream, exchange) }
    }
}

extension TextRange {
    /// As a range of byte positions.
    var range: Range<Int> { Int(start)..<Int(start + byteCount) }
}

extension Span<OperationRow> {
    /// Whether an operation sets or removes a field of the response.
    func replaces(_ field: HeaderField, of bytes: RawSpan, text: RawSpan) -> Bool {
        for index in indices where self[index].kind != .add {
            let name = text.extracting(self[index].name.range)
            if field.isNamed(self[index].id, name, in: bytes) { return true }
        }
        return false
    }

    /// Whether a later operation of the same name sets or removes what this one writes.
    func isOverridden(_ position: Int, text: RawSpan) -> Bool {
        let name = text.extracting(self[position].name.range)
        for index in (position + 1)..<Swift.max(count, position + 1) where self[index].kind != .add
        {
            let other = text.extracting(self[index].name.range)
            if self[index].id == self[position].id && name.equals(other) { return true }
        }
        return false
    }
}

extension RawSpan {
    /// Whether two runs have the same bytes.
    func equals(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for offset in 0..<byteCount where byte(at: offset) != other.byte(at: offset) {
            return false
        }
        return true
    }
}
