/// HTTP/2 on the client's side: requests, from header lists to exchanges.
extension HTTPProxy: HTTP2SessionOwner {
    func http2RequestHead(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ pseudo: HTTP2Pseudo,
        endStream: Bool
    ) {
        guard let handle = connections.handle(at: session.connection),
            let connection = http2(handle)
        else { return }
        guard let block = pool.take() else {
            counters.count(.bufferLimitHits)
            session.reset(stream: stream, .refusedStream)
            return
        }
        pool.write(bytes, to: block, at: 0)
        var table = pool.mutableElements(
            block,
            at: ExchangeBlock.fieldOffset,
            count: fields.count,
            of: HeaderField.self
        )
        for index in fields.indices { table[index] = fields[index] }
        var head = requestHead(bytes, fields, pseudo, endStream)
        if !endStream && session.announcesTrailers && head.tunnel == .none {
            head.framing = .chunked
        }
        guard let exchange = openExchange(handle, block, head) else {
            session.reset(stream: stream, .refusedStream)
            return
        }
        exchanges[exchange].stream = stream
        connection.streams.insert(
            HTTP2StreamTable.Row(
                stream: stream,
                exchange: exchange,
                progressSecond: monotonicSecond
            )
        )
        if isTooOld(handle) { announceEnd(handle, connection) }
        if endStream { exchanges[exchange].flags.insert(.requestEnded) }
        if head.method == .trace {
            refuseMethod(exchange)
        } else if pseudo.protocolLength > 0 && head.tunnel == .none {
            // RFC 8441 says nothing of protocols unknown; RFC 9220 section 3 says 501.
            fail(exchange, status: 501, .noRoute)
        } else if head.method == .options && bytes.hasText("*", head.pathRange) {
            startWithoutPath(exchange, .asterisk)
        } else {
            start(exchange)
        }
    }

    func http2HeadRefused(_ session: HTTP2ServerSession, stream: Int32, status: UInt16) {
        http2Fields.begin(status: status)
        session.submitResponse(stream: stream, http2Fields, hasBody: false)
        guard let handle = connections.handle(at: session.connection) else { return }
        counters.count(.protocolErrors)
        counters.count(.headLimitHits)
        counters.count(EngineCounter.responses(classOf: status))
        noteProtocolAbuse(handle)
        logRefusal(handle, status: status)
    }

    private func requestHead(
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ pseudo: HTTP2Pseudo,
        _ endStream: Bool
    ) -> RequestHead {
        var head = RequestHead()
        head.isHTTP2 = true
        head.method = HTTPMethod.identify(
            bytes,
            offset: pseudo.methodOffset,
            count: pseudo.methodLength
        )
        head.methodOffset = Int32(pseudo.methodOffset)
        head.methodLength = Int32(pseudo.methodLength)
        head.pathOffset = Int32(pseudo.pathOffset)
        head.pathLength = Int32(pseudo.pathLength)
        head.authorityOffset = Int32(pseudo.authorityOffset)
        head.authorityLength = Int32(pseudo.authorityLength)
        head.fieldCount = Int32(fields.count)
        head.byteCount = Int32(bytes.byteCount)
        for index in fields.indices { head.present.insert(fields[index].id) }
        head.tunnel = http2Tunnel(bytes, head.method, pseudo)
        if head.tunnel != .none {
            // What comes is no body: it waits for the endpoint's agreement.
            head.framing = .none
        } else if let length = pseudo.contentLength {
            head.framing = length == 0 && endStream ? .none : .length(length)
        } else {
            head.framing = endStream ? .none : .chunked
        }
        return head
    }

    /// What a request asks its stream to become: a protocol other than WebSocket is none.
    private func http2Tunnel(
        _ bytes: RawSpan,
        _ method: HTTPMethod,
        _ pseudo: HTTP2Pseudo
    ) -> Tunnel {
        guard method == .connect else { return .none }
        guard pseudo.protocolLength > 0 else { return .connect }
        let range = pseudo.protocolOffset..<pseudo.protocolOffset + pseudo.protocolLength
        return bytes.hasText("websocket", range) ? .extendedConnect : .none
    }

    func http2RequestData(_ session: HTTP2ServerSession, stream: Int32, _ bytes: RawSpan) {
        guard let handle = connections.handle(at: session.connection),
            let connection = http2(handle), let slot = connection.streams.slot(of: stream),
            exchanges.contains(connection.streams[slot].exchange)
        else {
            session.consume(stream: stream, bytes.byteCount)
            return
        }
        let exchange = connection.streams[slot].exchange
        if isProgress(exchange, bytes.byteCount) {
            connection.streams[slot].progressSecond = monotonicSecond
        }
        exchanges[exchange].unconsumedByteCount += bytes.byteCount
        if exchanges[exchange].flags.contains(.tunnel) { touchTunnel(exchange) }
        forwardRequestBody(exchange, bytes)
        guard exchanges.contains(exchange) else { return }
        let flags = exchanges[exchange].flags
        let isPassed = flags.contains(.dispatched) && !flags.contains(.paused)
        if flags.contains(.awaitsRetry) { return }
        let isHeld = !isPassed && !flags.contains(.buffering)
        if !(isHeld && !flags.contains(.local)) && !isUpstreamBlocked(exchange) {
            requestBodyDrained(exchange)
        }
    }

    /// The endpoint has taken the body so far: the client's windows are given back.
    func requestBodyDrained(_ exchange: ExchangeHandle) {
        let count = exchanges[exchange].unconsumedByteCount
        guard exchanges[exchange].stream != 0, count > 0,
            let connection = http2(exchanges[exchange].downstream)
        else { return }
        exchanges[exchange].unconsumedByteCount = 0
        connection.session.consume(stream: exchanges[exchange].stream, count)
        scheduleCollection(exchanges[exchange].downstream)
    }

    func http2RequestTrailers(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) {
        guard let exchange = http2Exchange(session, stream),
            exchanges[exchange].flags.isDisjoint(with: [.local, .requestEnded])
        else { return }
        if !keepTrailers(exchange, bytes, fields) { http2TrailersRefused(session, stream: stream) }
    }

    func http2TrailersRefused(_ session: HTTP2ServerSession, stream: Int32) {
        guard let exchange = http2Exchange(session, stream),
            exchanges[exchange].flags.isDisjoint(with: [.local, .requestEnded])
        else { return }
        counters.count(.protocolErrors)
        refuseBody(exchange, .trailersTooLarge)
    }

    func http2RequestEnded(_ session: HTTP2ServerSession, stream: Int32) {
        if let exchange = http2Exchange(session, stream) { requestEnded(exchange) }
    }

    func http2StreamClosed(_ session: HTTP2ServerSession, stream: Int32, errorCode: UInt32) {
        guard let handle = connections.handle(at: session.connection),
            let connection = http2(handle), let exchange = connection.streams.remove(stream),
            exchanges.contains(exchange)
        else { return }
        let flags = exchanges[exchange].flags
        if flags.contains(.responseEnded) || flags.contains(.local) {
            if let upstream = unbind(exchange) { closeWhenSent(upstream) }
            account(exchange)
            closeExchange(exchange)
        } else {
            abandon(exchange, .downstreamClosed)
        }
    }

    func http2IsTunnel(_ session: HTTP2ServerSession, stream: Int32) -> Bool {
        guard let exchange = http2Exchange(session, stream) else { return false }
        return exchanges[exchange].flags.contains(.tunnel)
    }

    /// The exchange of a stream, if it is still in hand.
    private func http2Exchange(_ session: HTTP2ServerSession, _ stream: Int32) -> ExchangeHandle? {
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams.exchange(stream), exchanges.contains(exchange)
        else { return nil }
        return exchange
    }
}
