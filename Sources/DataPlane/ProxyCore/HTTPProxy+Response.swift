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
            guard connections.contains(handle), canReceive(handle),
                !connections[handle].flags.contains(.pooled)
            else { return }
            if connections[handle].headEnd.isActive {
                guard receiveHeadPart(handle) else { return }
                if !connections[handle].headEnd.isActive { processInput(handle) }
                continue
            }
            let waiting = stage(handle)
            guard let count = receive(handle, after: waiting) else { return }
            if waiting > 0 { connections[handle].input.clear(pool) }
            let consumed = processUpstream(handle, waiting + count)
            keep(handle, from: consumed, to: waiting + count)
            finishGathering()
            pauseIfBlocked(handle)
        }
        if connections.contains(handle) && canReceive(handle)
            && !connections[handle].flags.contains(.pooled)
        {
            schedule(handle)
        }
    }

    /// Leaves bytes with the kernel while the client takes none: back pressure.
    @inline(__always)
    private func pauseIfBlocked(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        let exchange = connections[handle].exchange
        guard exchanges.contains(exchange) else { return }
        if isDownstreamBlocked(exchange) {
            connections[handle].flags.insert(.readPaused)
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
        while connections.contains(handle), at < count {
            let exchange = connections[handle].exchange
            guard exchanges.contains(exchange) else {
                // Bytes that no request asked for: the connection is not to be trusted.
                connections[handle].flags.insert(.closesAfterExchange)
                close(handle)
                return count
            }
            let step: Int
            if !exchanges[exchange].flags.isDisjoint(with: [.responseStarted, .responseHeld]) {
                step = processResponseBody(handle, exchange, at, count)
            } else {
                step = processResponseHead(handle, exchange, at, count)
            }
            guard step > 0 else { return at }
            at += step
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
        let bytes = received.bytes(start, end - start)
        var fields = responseFields.mutableSpan
        let isHead = exchanges[exchange].head.method == .head
        var head = HTTP1ResponseHead()
        let outcome = HTTP1Head.read(
            &head,
            bytes,
            requestIsHead: isHead,
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
            beginResponse(handle, exchange, head, bytes, at: start)
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
        beginResponse(handle, exchange, head, bytes, at: 0)
    }

    /// Passes a piece of a stream's body on.
    func forwardStreamBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        forwardResponseBody(exchange, bytes, at: -1)
    }

    /// Begins a response whose head has come whole.
    @inline(__always)
    func beginResponse(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        at start: Int
    ) {
        exchanges[exchange].upstreamHeadNanoseconds = loop.nowNanoseconds
        exchanges[exchange].status = head.status
        if exchanges[exchange].flags.contains(.tracked) { endpointAnswered(exchange, handle) }
        if accessLog.keepsResponses || exchanges[exchange].head.isHTTP2 {
            noteResponse(exchange, head, bytes)
        }
        connections[handle].body = BodyReader(head.framing)
        if !head.keepAlive { connections[handle].flags.insert(.closesAfterExchange) }
        if !exchanges[exchange].flags.isDisjoint(with: [.ruled, .hedge]) {
            guard !exchanges[exchange].flags.contains(.hedge) else {
                adoptHedge(handle, exchange, head, bytes, at: start)
                return
            }
            if head.status == 425, annexes[exchanges[exchange].annex].isEarly {
                askAgain(exchange)
                return
            }
            guard admitsResponse(handle, exchange, head, bytes) else { return }
        }
        if exchanges[exchange].flags.contains(.filtersResponse) {
            filterResponse(handle, exchange, head, bytes)
            return
        }
        if !passHead(exchange, head, at: start) {
            sendResponseHead(exchange, head, bytes, isAsReceived: true)
        }
        guard exchanges.contains(exchange) else { return }
        exchanges[exchange].flags.insert(.responseStarted)
        if connections.contains(handle), connections[handle].body.isComplete {
            responseEnded(exchange)
        } else if connections.contains(handle), exchanges[exchange].upstreamStream == 0 {
            setDeadline(handle, silenceLimit(exchange))
        }
    }

    /// Sends a response's head on where it stands, with the body that follows it.
    ///
    /// - Returns: `false` when it must be written.
    @inline(__always)
    private func passHead(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        at start: Int
    ) -> Bool {
        let downstream = exchanges[exchange].downstream
        guard exchanges[exchange].stream == 0, passesVerbatim(exchange, head), !isDraining,
            exchanges[exchange].flags.contains(.requestEnded),
            exchanges[exchange].head.minorVersion == 1,
            !connections[downstream].flags.contains(.closesAfterExchange)
        else { return false }
        return pass(downstream, start..<(start + head.headByteCount))
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
        if isAsReceived && passesVerbatim(exchange, head) {
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
    private func passesVerbatim(_ exchange: ExchangeHandle, _ head: HTTP1ResponseHead) -> Bool {
        guard case .length = head.framing else { return false }
        return head.minorVersion == 1 && head.reasonOffset == 13 && !head.needsRewriting
            && exchanges[exchange].action.responseOperationCount == 0
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
        let bytes = received.bytes(start, end - start)
        if exchanges[exchange].flags.contains(.tunnel) {
            return passFromEndpoint(exchange, bytes, at: start)
        }
        switch connections[handle].body.next(bytes) {
        case .data(let skipped, let byteCount):
            setDeadline(handle, silenceLimit(exchange))
            let data = bytes.extracting(skipped..<(skipped + byteCount))
            forwardResponseBody(exchange, data, at: start + skipped)
            if connections.contains(handle), exchanges.contains(exchange),
                connections[handle].body.isComplete
            {
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
        exchanges[exchange].bytesSent &+= UInt64(bytes.byteCount)
        counters.count(.bytesSent, by: UInt64(bytes.byteCount))
        if exchanges[exchange].stream != 0 {
            queueHTTP2Body(exchange, bytes)
        } else if exchanges[exchange].flags.contains(.chunkedResponse) {
            writeChunk(exchanges[exchange].downstream, bytes)
        } else {
            write(exchanges[exchange].downstream, bytes, at: offset)
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
    func responseEnded(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.responseHeld) {
            heldResponseEnded(exchange)
            return
        }
        concludeResponse(exchange)
    }

    /// Lets go of the endpoint, and ends what has been sent to the client.
    @inline(__always)
    func concludeResponse(_ exchange: ExchangeHandle) {
        exchanges[exchange].flags.insert(.responseEnded)
        releaseUpstream(exchange)
        if exchanges[exchange].flags.contains(.chunkedResponse) {
            reserveGathered(for: exchanges[exchange].downstream)
            appendLastChunk(exchange, .response)
        }
        finish(exchange)
    }

    /// Gives the connection of a whole response back, or closes it where the request has not ended.
    func releaseUpstream(_ exchange: ExchangeHandle) {
        if let upstream = unbind(exchange) {
            if exchanges[exchange].flags.contains(.requestEnded) {
                release(upstream)
                if exchanges[exchange].flags.contains(.ruled) { setPoolTime(upstream, exchange) }
            } else {
                close(upstream)
            }
        }
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
