/// HTTP/2 on the client's side: responses, from exchanges to frames.
extension HTTPProxy {
    /// Bytes of a response that go out to count as progress of a slow reader.
    private static let progressByteCount: UInt32 = 1_024

    func sendHTTP2ResponseHead(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        guard exchanges[exchange].stream > 0,
            let connection = http2(exchanges[exchange].downstream)
        else { return }
        http2Fields.begin(status: head.status)
        addResponseFields(exchange, head, bytes)
        let hasBody: Bool
        switch head.framing {
        case .none, .length(0): hasBody = false
        case .length, .chunked, .untilClose: hasBody = true
        }
        connection.session.submitResponse(
            stream: exchanges[exchange].stream,
            http2Fields,
            hasBody: hasBody
        )
        scheduleCollection(exchanges[exchange].downstream)
    }

    private func addResponseFields(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        let operationCount = Int(exchanges[exchange].action.responseOperationCount)
        let operations = copiedOperations(exchange, count: operationCount)
        let text = headBytes(exchange)
        let fields = responseFields.span
        for index in 0..<head.fieldCount {
            let field = fields[index]
            guard !field.flags.contains(.hopByHop),
                operationCount == 0 || !operations.span.replaces(field, of: bytes, text: text),
                field.id != .contentLength || head.status != 204
            else { continue }
            http2Fields.add(
                bytes.extracting(field.nameRange),
                bytes.extracting(field.valueRange)
            )
        }
        for index in 0..<operationCount where operations[index].kind != .remove {
            guard !operations.span.isOverridden(index, text: text) else { continue }
            http2Fields.add(
                text.extracting(operations[index].name.range),
                text.extracting(operations[index].value.range)
            )
        }
    }

    /// Passes an interim response on.
    func sendHTTP2Interim(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        guard let connection = http2(exchanges[exchange].downstream) else { return }
        http2Fields.begin(status: head.status)
        let fields = responseFields.span
        for index in 0..<head.fieldCount
        where !fields[index].flags.contains(.hopByHop) && fields[index].id != .contentLength {
            http2Fields.add(
                bytes.extracting(fields[index].nameRange),
                bytes.extracting(fields[index].valueRange)
            )
        }
        connection.session.submitInterim(stream: exchanges[exchange].stream, http2Fields)
        scheduleCollection(exchanges[exchange].downstream)
    }

    /// Keeps a piece of a response's body until frames can take it.
    func queueHTTP2Body(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        guard exchanges[exchange].stream > 0 else { return }
        let wasEmpty = exchanges[exchange].responseBody.isEmpty
        guard exchanges[exchange].responseBody.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
            return
        }
        if wasEmpty { noteProgress(exchange) }
        resumeHTTP2Body(exchange)
    }

    private func noteProgress(_ exchange: ExchangeHandle) {
        guard let connection = http2(exchanges[exchange].downstream),
            let slot = connection.streams.slot(of: exchanges[exchange].stream)
        else { return }
        connection.streams[slot].progressSecond = monotonicSecond
        connection.streams[slot].sentByteCount = 0
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
            let connection = http2(handle), let slot = connection.streams.slot(of: stream),
            exchanges.contains(connection.streams[slot].exchange)
        else { return .end(0) }
        let exchange = connection.streams[slot].exchange
        let count = exchanges[exchange].responseBody.copy(into: &target, pool)
        exchanges[exchange].responseBody.consume(count, pool)
        connection.streams[slot].sentByteCount &+= UInt32(truncatingIfNeeded: count)
        guard exchanges[exchange].responseBody.isEmpty else {
            if connection.streams[slot].sentByteCount >= HTTPProxy.progressByteCount {
                noteProgress(exchange)
            }
            return count > 0 ? .bytes(count) : .deferred
        }
        if count > 0 { noteProgress(exchange) }
        let flags = exchanges[exchange].flags
        if flags.contains(.responseTrailers) && flags.contains(.responseEnded) {
            http2Fields.begin()
            http2Fields.add(
                trailerFields(exchange, .response),
                of: trailerBytes(exchange, .response)
            )
            session.submitTrailers(stream: stream, http2Fields)
            return .trailers(count)
        }
        if flags.contains(.responseEnded) { return .end(count) }
        resumeResponse(exchange)
        return count > 0 ? .bytes(count) : .deferred
    }

    /// The response is complete: the stream ends once its last frame is out.
    func finishHTTP2(_ exchange: ExchangeHandle) {
        guard exchanges[exchange].stream > 0 else {
            endShadow(exchange)
            return
        }
        requestBodyDrained(exchange)
        resumeHTTP2Body(exchange)
    }

    /// Cuts a response so that the client sees it is incomplete.
    func resetHTTP2(_ exchange: ExchangeHandle, _ code: HTTP2ErrorCode = .internalError) {
        let downstream = exchanges[exchange].downstream
        http2(downstream)?.session.reset(stream: exchanges[exchange].stream, code)
        scheduleCollection(downstream)
    }

    /// Answers a stream here.
    func replyHTTP2(_ exchange: ExchangeHandle, _ reply: LocalReply, _ body: [UInt8]) {
        guard let connection = http2(exchanges[exchange].downstream) else { return }
        http2Text.reset()
        http2Fields.begin(status: reply.status)
        for field in reply.fields { addHTTP2Text(field.name, field.value) }
        if !exchanges[exchange].flags.contains(.grpc) {
            let start = http2Text.count
            http2Text.append(decimal: UInt64(reply.body.count))
            http2Fields.add("content-length", http2Text.bytes(from: start))
        }
        if !reply.body.isEmpty && !reply.hasContentType {
            addHTTP2Text("content-type", "text/plain")
        }
        if !body.isEmpty { exchanges[exchange].responseBody.append(array: body, pool) }
        connection.session.submitResponse(
            stream: exchanges[exchange].stream,
            http2Fields,
            hasBody: !body.isEmpty
        )
        if !body.isEmpty { noteProgress(exchange) }
        finishHTTP2(exchange)
    }

    private func addHTTP2Text(_ name: String, _ value: String) {
        let nameOffset = http2Text.count
        http2Text.append(string: name)
        let valueOffset = http2Text.count
        http2Text.append(string: value)
        http2Fields.add(
            http2Text.bytes(nameOffset, valueOffset - nameOffset),
            http2Text.bytes(from: valueOffset)
        )
    }
}
