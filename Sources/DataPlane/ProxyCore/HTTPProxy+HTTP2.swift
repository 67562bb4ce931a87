/// One client's HTTP/2 connection: its session, and which exchange each stream is.
final class HTTP2Connection {
    let session: HTTP2ServerSession
    var streams: [Int32: ExchangeHandle] = [:]

    init(session: HTTP2ServerSession) { self.session = session }
}

/// HTTP/2 on the client's side: streams become exchanges, exchanges become frames.
extension HTTPProxy: HTTP2SessionOwner {
    // MARK: Connections

    /// Tells HTTP/2 from HTTP/1 by ALPN, or in cleartext by the preface (RFC 9113 section 3.4).
    ///
    /// - Returns: whether it can be told yet.
    func detectProtocol(_ handle: ConnectionHandle, _ bytes: RawSpan) -> Bool {
        let isHTTP2: Bool
        if connections[handle].flags.contains(.tls) {
            isHTTP2 = negotiatedHTTP2(handle)
        } else {
            switch HTTP2Preface.compare(bytes) {
            case .partial: return false
            case .different: isHTTP2 = false
            case .whole: isHTTP2 = true
            }
        }
        connections[handle].flags.remove(.detects)
        guard isHTTP2 else { return true }
        return beginHTTP2(handle)
    }

    private func beginHTTP2(_ handle: ConnectionHandle) -> Bool {
        guard
            let session = HTTP2ServerSession(
                owner: self,
                connection: handle.index,
                limits: limits.http2
            )
        else {
            markBroken(handle)
            return false
        }
        while http2Connections.count <= Int(handle.index) { http2Connections.append(nil) }
        http2Connections[Int(handle.index)] = HTTP2Connection(session: session)
        connections[handle].flags.insert(.http2)
        counters.count(.http2Sessions)
        return true
    }

    private func http2(_ handle: ConnectionHandle) -> HTTP2Connection? {
        guard connections.contains(handle), connections[handle].flags.contains(.http2),
            Int(handle.index) < http2Connections.count
        else { return nil }
        return http2Connections[Int(handle.index)]
    }

    /// Gives received bytes to the session and sends what it answers.
    func receiveHTTP2(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard let connection = http2(handle) else { return }
        connections[handle].exchangeCount &+= 1
        let goesOn = connection.session.receive(bytes)
        guard connections.contains(handle) else { return }
        if !goesOn {
            counters.count(.protocolErrors)
            noteProtocolAbuse(handle)
        }
        collectHTTP2(handle)
        guard connections.contains(handle) else { return }
        if !goesOn || connection.session.isFinished {
            abandonHTTP2Exchanges(handle)
            finishGathering()
            beginDiscarding(handle)
        } else if !isBlocked(handle) {
            setDeadline(handle, connection.streams.isEmpty ? timeouts.idle : timeouts.upstreamIdle)
        }
    }

    /// Sends the frames that may be sent, unless the socket takes none.
    func collectHTTP2(_ handle: ConnectionHandle) {
        guard let connection = http2(handle), !isBlocked(handle) else { return }
        connection.session.collect { run in write(handle, run) }
        guard connections.contains(handle) else { return }
        if isDraining && connection.streams.isEmpty {
            finishGathering()
            beginDiscarding(handle)
        }
    }

    /// Has frames collected at the end of the turn, so that several streams share a call.
    private func scheduleCollection(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        connections[handle].flags.insert(.collects)
        schedule(handle)
    }

    /// Collects for a connection whose turn it is.
    func runCollection(_ handle: ConnectionHandle) {
        guard connections[handle].flags.contains(.collects) else { return }
        connections[handle].flags.remove(.collects)
        collectHTTP2(handle)
    }

    /// Nothing came for a while: an idle connection is closed.
    func http2TimedOut(_ handle: ConnectionHandle) {
        guard let connection = http2(handle) else { return }
        guard connection.streams.isEmpty else {
            setDeadline(handle, timeouts.upstreamIdle)
            return
        }
        counters.count(.idleTimeouts)
        connection.session.goAway(.noError)
        collectHTTP2(handle)
        finishGathering()
        beginDiscarding(handle)
    }

    /// Announces the end and closes once the streams have ended.
    func drainHTTP2(_ handle: ConnectionHandle) {
        guard let connection = http2(handle) else { return }
        connection.session.goAway(.noError)
        collectHTTP2(handle)
        finishGathering()
    }

    /// Gives up every exchange of a connection that is gone.
    func abandonHTTP2Exchanges(_ handle: ConnectionHandle) {
        guard let connection = http2(handle) else { return }
        let streams = connection.streams
        connection.streams = [:]
        for exchange in streams.values where exchanges.contains(exchange) {
            abandon(exchange, .downstreamClosed)
        }
    }

    // MARK: Requests

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
            session.reset(stream: stream, .enhanceYourCalm)
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
        let head = requestHead(bytes, fields.count, pseudo, endStream)
        guard let exchange = openExchange(handle, block, head) else {
            session.reset(stream: stream, .enhanceYourCalm)
            return
        }
        exchanges[exchange].stream = stream
        connection.streams[stream] = exchange
        if endStream { exchanges[exchange].flags.insert(.requestEnded) }
        guard head.method != .connect else {
            fail(exchange, status: 405, .noRoute)
            return
        }
        start(exchange)
    }

    func http2HeadRefused(_ session: HTTP2ServerSession, stream: Int32, status: UInt16) {
        guard let handle = connections.handle(at: session.connection) else { return }
        counters.count(.protocolErrors)
        counters.count(.headLimitHits)
        counters.count(EngineCounter.responses(status: status))
        noteProtocolAbuse(handle)
        logRefusal(handle, status: status)
    }

    private func requestHead(
        _ bytes: RawSpan,
        _ fieldCount: Int,
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
        head.fieldCount = Int32(fieldCount)
        head.byteCount = Int32(bytes.byteCount)
        if let length = pseudo.contentLength {
            head.framing = length == 0 && endStream ? .none : .length(length)
        } else {
            head.framing = endStream ? .none : .chunked
        }
        return head
    }

    func http2RequestData(_ session: HTTP2ServerSession, stream: Int32, _ bytes: RawSpan) {
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams[stream], exchanges.contains(exchange)
        else {
            session.consume(stream: stream, bytes.byteCount)
            return
        }
        exchanges[exchange].unconsumedByteCount += bytes.byteCount
        if exchanges[exchange].flags.contains(.tunnel) { touchTunnel(exchange) }
        forwardRequestBody(exchange, bytes)
        guard exchanges.contains(exchange) else { return }
        let flags = exchanges[exchange].flags
        let isPassed = flags.contains(.dispatched) && !flags.contains(.paused)
        let isHeld = !isPassed && !flags.contains(.buffering)
        if !(isHeld && !flags.contains(.local)) && !isBlocked(exchanges[exchange].upstream) {
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
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams[stream], exchanges.contains(exchange),
            exchanges[exchange].flags.isDisjoint(with: [.local, .requestEnded])
        else { return }
        if !keepTrailers(exchange, bytes, fields) { http2TrailersRefused(session, stream: stream) }
    }

    func http2TrailersRefused(_ session: HTTP2ServerSession, stream: Int32) {
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams[stream], exchanges.contains(exchange),
            exchanges[exchange].flags.isDisjoint(with: [.local, .requestEnded])
        else { return }
        counters.count(.protocolErrors)
        refuseBody(exchange, .trailersTooLarge)
    }

    func http2RequestEnded(_ session: HTTP2ServerSession, stream: Int32) {
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams[stream], exchanges.contains(exchange)
        else { return }
        requestEnded(exchange)
    }

    func http2StreamClosed(_ session: HTTP2ServerSession, stream: Int32, errorCode: UInt32) {
        guard let handle = connections.handle(at: session.connection),
            let connection = http2(handle),
            let exchange = connection.streams.removeValue(forKey: stream),
            exchanges.contains(exchange)
        else { return }
        let flags = exchanges[exchange].flags
        if flags.contains(.responseEnded) || flags.contains(.local) {
            if let upstream = unbind(exchange) { close(upstream) }
            account(exchange)
            closeExchange(exchange)
        } else {
            abandon(exchange, .downstreamClosed)
        }
    }

    // MARK: Responses

    func sendHTTP2ResponseHead(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        guard let connection = http2(exchanges[exchange].downstream) else { return }
        let count = gatherHTTP2Fields(exchange, head, bytes)
        connection.session.submitResponse(
            stream: exchanges[exchange].stream,
            status: head.status,
            http2Text.bytes(),
            http2Fields.span.extracting(0..<count),
            hasBody: head.framing != .none
        )
        scheduleCollection(exchanges[exchange].downstream)
    }

    private func gatherHTTP2Fields(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) -> Int {
        http2Text.reset()
        http2Text.append(" ")
        let operationCount = Int(exchanges[exchange].action.responseOperationCount)
        let operations = copiedOperations(exchange, count: operationCount)
        let text = headBytes(exchange)
        let fields = responseFields.span
        var count = 0
        for index in 0..<head.fieldCount {
            let field = fields[index]
            guard !field.flags.contains(.hopByHop),
                !operations.span.replaces(field, of: bytes, text: text)
            else { continue }
            addHTTP2Field(
                bytes.extracting(field.nameRange),
                bytes.extracting(field.valueRange),
                &count
            )
        }
        for index in 0..<operationCount where operations[index].kind != .remove {
            guard !operations.span.isOverridden(index, text: text) else { continue }
            addHTTP2Field(
                text.extracting(operations[index].name.range),
                text.extracting(operations[index].value.range),
                &count
            )
        }
        return count
    }

    private func addHTTP2Field(_ name: RawSpan, _ value: RawSpan, _ count: inout Int) {
        guard count < http2Fields.count else { return }
        let nameOffset = http2Text.count
        http2Text.append(name)
        let valueOffset = http2Text.count
        http2Text.append(value)
        http2Fields[count] = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(valueOffset),
            nameLength: UInt16(name.byteCount),
            valueLength: UInt16(value.byteCount)
        )
        count += 1
    }

    /// Keeps a piece of a response's body until frames can take it.
    func queueHTTP2Body(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        guard exchanges[exchange].responseBody.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
            return
        }
        resumeHTTP2Body(exchange)
    }

    private func resumeHTTP2Body(_ exchange: ExchangeHandle) {
        let downstream = exchanges[exchange].downstream
        http2(downstream)?.session.resumeBody(stream: exchanges[exchange].stream)
        scheduleCollection(downstream)
    }

    func http2ResponseBody(
        _ session: HTTP2ServerSession,
        stream: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome {
        guard let handle = connections.handle(at: session.connection),
            let exchange = http2(handle)?.streams[stream], exchanges.contains(exchange)
        else { return .end(0) }
        let count = exchanges[exchange].responseBody.copy(into: &target, pool)
        exchanges[exchange].responseBody.consume(count, pool)
        if exchanges[exchange].responseBody.isEmpty {
            let flags = exchanges[exchange].flags
            if flags.contains(.responseTrailers) && flags.contains(.responseEnded) {
                session.submitTrailers(
                    stream: stream,
                    trailerBytes(exchange, .response),
                    trailerFields(exchange, .response)
                )
                return .trailers(count)
            }
            if flags.contains(.responseEnded) { return .end(count) }
            let upstream = exchanges[exchange].upstream
            if connections.contains(upstream) { resumeReading(upstream) }
        }
        return count > 0 ? .bytes(count) : .deferred
    }

    /// The response is complete: the stream ends once its last frame is out.
    func finishHTTP2(_ exchange: ExchangeHandle) {
        requestBodyDrained(exchange)
        resumeHTTP2Body(exchange)
    }

    /// Cuts a response so that the client sees it is incomplete.
    func resetHTTP2(_ exchange: ExchangeHandle) {
        let downstream = exchanges[exchange].downstream
        http2(downstream)?.session.reset(stream: exchanges[exchange].stream, .internalError)
        scheduleCollection(downstream)
    }

    /// Answers a stream here.
    func replyHTTP2(_ exchange: ExchangeHandle, _ reply: LocalReply, _ body: [UInt8]) {
        guard let connection = http2(exchanges[exchange].downstream) else { return }
        http2Text.reset()
        http2Text.append(" ")
        var count = 0
        for field in reply.fields { addHTTP2Text(field.name, field.value, &count) }
        addHTTP2Text("content-length", String(reply.body.count), &count)
        if !reply.body.isEmpty && !reply.hasContentType {
            addHTTP2Text("content-type", "text/plain", &count)
        }
        if !body.isEmpty { exchanges[exchange].responseBody.append(array: body, pool) }
        connection.session.submitResponse(
            stream: exchanges[exchange].stream,
            status: reply.status,
            http2Text.bytes(),
            http2Fields.span.extracting(0..<count),
            hasBody: !body.isEmpty
        )
        finishHTTP2(exchange)
    }

    private func addHTTP2Text(_ name: String, _ value: String, _ count: inout Int) {
        guard count < http2Fields.count else { return }
        let nameOffset = http2Text.count
        http2Text.append(string: name)
        let valueOffset = http2Text.count
        http2Text.append(string: value)
        http2Fields[count] = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(valueOffset),
            nameLength: UInt16(valueOffset - nameOffset),
            valueLength: UInt16(http2Text.count - valueOffset)
        )
        count += 1
    }
}

/// The bytes that open a client's HTTP/2 connection (RFC 9113 section 3.4).
enum HTTP2Preface {
    enum Comparison {
        case partial
        case whole
        case different
    }

    private static let text: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    static func compare(_ bytes: RawSpan) -> Comparison {
        text.withUTF8Bytes { preface in
            for offset in 0..<min(bytes.byteCount, preface.byteCount)
            where bytes.byte(at: offset) != preface.byte(at: offset) {
                return .different
            }
            return bytes.byteCount < preface.byteCount ? .partial : .whole
        }
    }
}
