import Addressing

/// The head that goes to an endpoint, and the body after it.
extension HTTPProxy {
    /// Fields of a request that the proxy writes itself or keeps to itself.
    @inline(__always)
    private static var replaced: HeaderMask {
        HeaderMask(.host) | HeaderMask(.contentLength) | HeaderMask(.transferEncoding)
            | HeaderMask(.xRequestID)
    }
    /// Forwarding fields that a client's first hop does not believe.
    @inline(__always)
    private static var edgeOwned: HeaderMask {
        HeaderMask(.xForwardedFor) | HeaderMask(.xForwardedProto) | HeaderMask(.xForwardedHost)
            | HeaderMask(.xForwardedPort) | HeaderMask(.xRealIP) | HeaderMask(.forwarded)
            | HeaderMask(.xForwardedClientCert)
    }

    /// Sends the request on, as far as it is there; a connection that is not ready yet has it wait.
    func sendRequestHead(_ exchange: ExchangeHandle, on upstream: ConnectionHandle) {
        let it = exchanges.place(exchange)
        guard it.value.head.tunnel != .connect else { return }
        if it.value.upstreamStream == 0 {
            writeRequestHead(it, exchange, on: upstream)
        } else {
            if isReady(upstream) { writeRequestHead(exchange, on: upstream) }
            guard exchanges.contains(exchange) else { return }
        }
        // What a tunnel is to carry waits for the endpoint's word.
        guard it.value.head.tunnel == .none else { return }
        it.value.flags.insert(.dispatched)
        if !it.value.requestBody.isEmpty {
            sendHeldBody(exchange)
            guard exchanges.contains(exchange) else { return }
        }
        if it.value.flags.contains(.requestEnded) { endRequestBody(exchange) }
    }

    /// Writes the request's head to an upstream connection, or to one of its streams.
    @inline(never)
    func writeRequestHead(_ exchange: ExchangeHandle, on upstream: ConnectionHandle) {
        let it = exchanges.place(exchange)
        reserveGathered(for: upstream)
        let start = gathered.count
        writeRequestHead(it, exchange, on: upstream)
        if it.value.upstreamStream != 0 { submitStream(exchange, on: upstream, from: start) }
    }

    @inline(__always)
    private func writeRequestHead(
        _ it: Place<Exchange>,
        _ exchange: ExchangeHandle,
        on upstream: ConnectionHandle
    ) {
        let bytes = headBytes(it)
        let isEdge = !it.value.flags.contains(.forwards) && isEdge(it.value.entry)
        reserveGathered(for: upstream)
        if passesVerbatim(it, isEdge: isEdge) {
            gathered.append(bytes, 0..<Int(it.value.head.verbatimByteCount))
        } else {
            appendHead(exchange, bytes, headFields(it), isEdge: isEdge)
        }
        if isEdge { appendForwarding(it) }
        if hasOwnRequestID(it) {
            appendOwnRequestID(it)
        } else {
            appendRequestID(exchange, bytes, headFields(it))
        }
    }

    /// Whether an entry point is a client's first hop.
    @inline(__always)
    private func isEdge(_ entry: Int32) -> Bool {
        entry >= 0 && Int(entry) < view.entries.count && view.entries[Int(entry)].isEdge
    }

    /// Whether request line and fields can go over in one piece: nothing was changed, and nothing
    /// is to be left out.
    @inline(__always)
    private func passesVerbatim(_ it: Place<Exchange>, isEdge: Bool) -> Bool {
        guard it.value.head.verbatimByteCount > 0 else { return false }
        var kept = HeaderID.hopByHop | HeaderMask(.xRequestID)
        if isEdge { kept = kept | HTTPProxy.edgeOwned }
        guard it.value.head.present.isDisjoint(with: kept) else { return false }
        return switch it.value.head.framing {
        case .none: !it.value.head.present.contains(.contentLength)
        case .length: true
        case .chunked, .untilClose: false
        }
    }

    /// Writes request line and fields piece by piece.
    private func appendHead(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        isEdge: Bool
    ) {
        let head = exchanges[exchange].head
        if head.tunnel == .extendedConnect {
            gathered.append("GET")
        } else {
            gathered.append(bytes.extracting(head.methodRange))
        }
        gathered.append(byte: UInt8(ascii: " "))
        if head.pathLength == 0 { gathered.append("/") }
        gathered.append(bytes.extracting(head.pathRange))
        gathered.append(" HTTP/1.1\r\nhost: ")
        gathered.append(bytes.extracting(head.authorityRange))
        gathered.append("\r\n")
        var skipped = isEdge ? HTTPProxy.replaced | HTTPProxy.edgeOwned : HTTPProxy.replaced
        // A client of HTTP/1.0 cannot be told to go on (RFC 9110 section 10.1.1).
        if head.minorVersion == 0 { skipped = skipped | HeaderMask(.expect) }
        gathered.append(fields: fields, of: bytes, skipping: skipped)
        if head.tunnel != .none {
            appendUpgrade(exchange)
            return
        }
        if takesTrailers(bytes, fields) { gathered.append("te: trailers\r\nconnection: te\r\n") }
        switch head.framing {
        case .none, .untilClose: break
        case .length(let length):
            gathered.append("content-length: ")
            gathered.append(decimal: length)
            gathered.append("\r\n")
        case .chunked: gathered.append("transfer-encoding: chunked\r\n")
        }
    }

    /// Whether the client says that it takes trailers (RFC 9110 section 10.1.4): the endpoint is told
    /// so for the hop between.
    private func takesTrailers(_ bytes: RawSpan, _ fields: Span<HeaderField>) -> Bool {
        for index in fields.indices where fields[index].id == .te {
            let value = fields[index].valueRange
            var start = value.lowerBound
            for at in value.lowerBound...value.upperBound
            where at == value.upperBound || !ByteScan.isToken(bytes.byte(at: at)) {
                if bytes.equalsIgnoringCase(start, at - start, "trailers") { return true }
                start = at + 1
            }
        }
        return false
    }

    @inline(__always)
    private func appendForwarding(_ it: Place<Exchange>) {
        guard let client = connections.find(it.value.downstream) else { return }
        gathered.append("x-forwarded-for: ")
        let text = client.value.peerText
        if text.hostByteCount > 0 {
            text.write(text.hostByteCount, to: gathered)
        } else {
            gathered.append(address: client.value.peer.ip)
        }
        if it.value.head.isTLS {
            gathered.append("\r\nx-forwarded-proto: https\r\n")
        } else {
            gathered.append("\r\nx-forwarded-proto: http\r\n")
        }
    }

    /// Passes the request's new id on, and ends the head.
    @inline(__always)
    private func appendOwnRequestID(_ it: Place<Exchange>) {
        gathered.append("x-request-id: ")
        gathered.append(digits: it.value.requestID)
        gathered.append("\r\n\r\n")
    }

    /// Passes the client's request id on, or makes one, and ends the head.
    private func appendRequestID(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) {
        for index in fields.indices where fields[index].isRequestID {
            gathered.append("x-request-id: ")
            gathered.append(bytes, fields[index].valueRange)
            gathered.append("\r\n\r\n")
            return
        }
        appendOwnRequestID(exchanges.place(exchange))
    }

    // MARK: Body

    /// Sends bytes of the request's body on, or holds them for who waits for them.
    func forwardRequestBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        exchanges[exchange].bytesReceived &+= UInt64(bytes.byteCount)
        counters.count(.bytesReceived, by: UInt64(bytes.byteCount))
        guard bytes.byteCount > 0 else { return }
        if exchanges[exchange].flags.contains(.local) { return }
        if exchanges[exchange].flags.contains(.boundedBody) {
            guard isBodyWithinBound(exchange) else { return }
        }
        guard exchanges[exchange].flags.contains(.dispatched) else {
            hold(exchange, bytes)
            return
        }
        if exchanges[exchange].flags.contains(.filtersBody) {
            guard showPiece(exchange, .request, bytes) else { return }
        }
        passRequestBody(exchange, bytes)
    }

    /// Sends bytes of the request's body to the endpoint; the client is not read while it takes none.
    func passRequestBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        writeBody(exchange, bytes)
        finishGathering()
        guard exchanges.contains(exchange) else { return }
        let downstream = exchanges[exchange].downstream
        if isUpstreamBlocked(exchange) && exchanges[exchange].stream == 0,
            connections.contains(downstream)
        {
            connections[downstream].flags.insert(.readPaused)
            connectionTimers.set(downstream.index, 0)
        }
    }

    func writeBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        let isUnanswered = !exchanges[exchange].flags.contains(.responseStarted)
        if isUnanswered && exchanges[exchange].flags.contains(.ruled) { keepBody(exchange, bytes) }
        passBody(exchange, bytes, isUnanswered: isUnanswered)
    }

    /// Sends a piece of a request's body on that is kept already, if it is to be.
    @inline(__always)
    func passBody(_ exchange: ExchangeHandle, _ bytes: RawSpan, isUnanswered: Bool) {
        let upstream = exchanges[exchange].upstream
        guard connections.contains(upstream) else { return }
        if exchanges[exchange].upstreamStream != 0 {
            queueUpstreamBody(exchange, bytes)
            return
        }
        exchanges[exchange].flags.insert(.bodyForwarded)
        if isUnanswered && !connections[upstream].flags.contains(.connecting) {
            setDeadline(upstream, silenceLimit(exchange))
        }
        if exchanges[exchange].head.framing == .chunked {
            writeChunk(upstream, bytes)
        } else {
            write(upstream, bytes)
        }
    }

    /// Writes bytes as one chunk (RFC 9112 section 7.1).
    func writeChunk(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        reserveGathered(for: handle)
        gathered.append(hexadecimal: UInt64(bytes.byteCount))
        gathered.append("\r\n")
        write(handle, bytes)
        gather(for: handle)
        gathered.append("\r\n")
    }

    /// Keeps body bytes until the request is sent on.
    func hold(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        if !exchanges[exchange].requestBody.append(bytes, pool) {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
            return
        }
        heldRequestGrew(exchange)
    }

    func sendHeldBody(_ exchange: ExchangeHandle) {
        while !exchanges[exchange].requestBody.isEmpty {
            let run = exchanges[exchange].requestBody.firstRun(pool)
            let count = run.byteCount
            writeBody(exchange, run)
            guard exchanges.contains(exchange) else { return }
            exchanges[exchange].requestBody.consume(count, pool)
        }
    }

    /// The whole request has been received.
    func requestEnded(_ exchange: ExchangeHandle) {
        guard exchanges.contains(exchange),
            !exchanges[exchange].flags.contains(.requestEnded)
        else { return }
        exchanges[exchange].flags.insert(.requestEnded)
        noteRequestEnd(exchange)
        if exchanges[exchange].flags.contains(.tunnel) {
            settleTunnel(exchange)
            return
        }
        let downstream = exchanges[exchange].downstream
        if connections.contains(downstream) && exchanges[exchange].stream == 0 {
            connectionTimers.set(downstream.index, 0)
        }
        if exchanges[exchange].flags.contains(.usesChain) {
            advance(exchange, .request)
        } else if exchanges[exchange].flags.contains(.dispatched) {
            endRequestBody(exchange)
        }
    }

    @inline(__always)
    func endRequestBody(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.ruled) { endMirrorBodies(exchange) }
        passBodyEnd(exchange)
    }

    /// Tells the endpoint that the request is complete.
    @inline(__always)
    func passBodyEnd(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        if it.value.upstreamStream != 0 {
            endUpstreamBody(exchange)
            return
        }
        guard it.value.head.framing == .chunked, connections.contains(it.value.upstream) else {
            return
        }
        reserveGathered(for: it.value.upstream)
        appendLastChunk(exchange, .request)
    }

    /// The body's framing is broken: the request cannot be completed.
    func refuseBody(_ exchange: ExchangeHandle, _ fault: HTTP1Fault) {
        let downstream = exchanges[exchange].downstream
        noteProtocolAbuse(downstream)
        fail(exchange, status: fault.status, .downstreamProtocolError)
    }
}

extension RequestHead {
    /// The method's place in the block.
    var methodRange: Range<Int> { range(methodOffset, methodLength) }
    /// Path and query.
    var pathRange: Range<Int> { range(pathOffset, pathLength) }
    /// The path alone.
    var pathOnlyRange: Range<Int> { range(pathOffset, pathOnlyLength) }
    /// Host and port as asked for.
    var authorityRange: Range<Int> { range(authorityOffset, authorityLength) }

    private func range(_ start: Int32, _ count: Int32) -> Range<Int> {
        Int(start)..<Int(start + count)
    }
}
