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
        guard exchanges[exchange].head.tunnel != .connect else { return }
        if exchanges[exchange].upstreamStream == 0 || isReady(upstream) {
            writeRequestHead(exchange, on: upstream)
        }
        // What a tunnel is to carry waits for the endpoint's word.
        guard exchanges.contains(exchange), exchanges[exchange].head.tunnel == .none else { return }
        exchanges[exchange].flags.insert(.dispatched)
        if !exchanges[exchange].requestBody.isEmpty { sendHeldBody(exchange) }
        guard exchanges.contains(exchange) else { return }
        if exchanges[exchange].flags.contains(.requestEnded) { endRequestBody(exchange) }
    }

    /// Writes the request's head to an upstream connection.
    @inline(__always)
    func writeRequestHead(_ exchange: ExchangeHandle, on upstream: ConnectionHandle) {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        let isEdge =
            !exchanges[exchange].flags.contains(.forwards)
            && view.isEdge(exchanges[exchange].entry)
        reserveGathered(for: upstream)
        let start = gathered.count
        if passesVerbatim(exchange, isEdge: isEdge) {
            gathered.append(bytes, 0..<Int(exchanges[exchange].head.verbatimByteCount))
        } else {
            appendHead(exchange, bytes, fields, isEdge: isEdge)
        }
        appendForwarding(exchange, isEdge: isEdge)
        appendRequestID(exchange, bytes, fields)
        gathered.append("\r\n")
        if exchanges[exchange].upstreamStream != 0 {
            submitStream(exchange, on: upstream, from: start)
        }
    }

    /// Whether request line and fields can go over in one piece: nothing was changed, and nothing
    /// is to be left out.
    @inline(__always)
    private func passesVerbatim(_ exchange: ExchangeHandle, isEdge: Bool) -> Bool {
        guard exchanges[exchange].head.verbatimByteCount > 0,
            exchanges[exchange].head.present.isDisjoint(with: HeaderID.hopByHop),
            !exchanges[exchange].head.present.contains(.xRequestID),
            !isEdge || exchanges[exchange].head.present.isDisjoint(with: HTTPProxy.edgeOwned)
        else { return false }
        return switch exchanges[exchange].head.framing {
        case .none: !exchanges[exchange].head.present.contains(.contentLength)
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
    private func appendForwarding(_ exchange: ExchangeHandle, isEdge: Bool) {
        guard isEdge, connections.contains(exchanges[exchange].downstream) else { return }
        gathered.append("x-forwarded-for: ")
        let text = connections[exchanges[exchange].downstream].peerText
        if text.hostByteCount > 0 {
            text.write(text.hostByteCount, to: gathered)
        } else {
            gathered.append(address: connections[exchanges[exchange].downstream].peer.ip)
        }
        if exchanges[exchange].head.isTLS {
            gathered.append("\r\nx-forwarded-proto: https\r\n")
        } else {
            gathered.append("\r\nx-forwarded-proto: http\r\n")
        }
    }

    /// Passes the client's request id on, or makes one.
    @inline(__always)
    private func appendRequestID(
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) {
        gathered.append("x-request-id: ")
        let isUnchanged = exchanges[exchange].head.verbatimByteCount > 0
        if !isUnchanged || exchanges[exchange].head.present.contains(.xRequestID) {
            for index in fields.indices where fields[index].isRequestID {
                gathered.append(bytes, fields[index].valueRange)
                gathered.append("\r\n")
                return
            }
        }
        gathered.append(digits: exchanges[exchange].requestID)
        gathered.append("\r\n")
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
        if exchanges[exchange].upstreamStream != 0 {
            endUpstreamBody(exchange)
            return
        }
        let upstream = exchanges[exchange].upstream
        guard exchanges[exchange].head.framing == .chunked, connections.contains(upstream) else {
            return
        }
        reserveGathered(for: upstream)
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
