/// Trace context: read from a request or begun here, passed on to the endpoint, and written as a
/// span when the exchange ends.
extension HTTPProxy {
    /// What a request brings of trace contexts.
    private struct Received {
        var parent: TraceContext?
        var parentCount = 0
        var single: B3Context?
        var several = B3Context()
        var hasSeveral = false
    }

    /// Continues the request's trace, or begins one, and puts this exchange's span into its headers.
    func beginTrace(_ exchange: ExchangeHandle) {
        guard let tracing else { return }
        let received = readTrace(exchange)
        var context = TraceContext()
        if let parent = received.parent, received.parentCount == 1 {
            context = parent
        } else {
            dropForeign(exchange, received)
            let b3 = received.single ?? (received.hasSeveral ? received.several : nil)
            if let b3, b3.namesTrace {
                context = TraceContext(high: b3.high, low: b3.low, parent: b3.span)
            } else {
                context = TraceContext(high: random.next(), low: random.next() | 1)
            }
            context.isSampled = b3?.isSampled ?? tracing.samples(&random)
        }
        context.span = random.next() | 1
        annexes[annex(exchange)].trace = context
        exchanges[exchange].flags.insert(.traced)
        propagate(context, received, exchange, tracing.text)
    }

    private func readTrace(_ exchange: ExchangeHandle) -> Received {
        let bytes = headBytes(exchange)
        let fields = headFields(exchange)
        var received = Received()
        for index in fields.indices {
            let field = fields[index]
            let value = bytes.extracting(field.valueRange)
            if field.id == .traceparent {
                received.parentCount += 1
                received.parent = TraceContext(traceparent: value)
            } else if field.id == .other {
                read(field, value, bytes, &received)
            }
        }
        return received
    }

    private func read(
        _ field: HeaderField,
        _ value: RawSpan,
        _ bytes: RawSpan,
        _ received: inout Received
    ) {
        switch Int(field.nameLength) {
        case 2 where field.isNamed("b3", in: bytes):
            received.single = B3Context(single: value)
        case 11 where field.isNamed("x-b3-spanid", in: bytes):
            received.several.span = value.hexadecimal(0, 16) ?? 0
        case 12 where field.isNamed("x-b3-traceid", in: bytes):
            received.hasSeveral = true
            if !received.several.readTrace(value, value.byteCount) {
                (received.several.high, received.several.low) = (0, 0)
            }
        case 12 where field.isNamed("x-b3-sampled", in: bytes) && value.byteCount > 0:
            received.hasSeveral = true
            received.several.isSampled = B3Context.decision(value.byte(at: 0))
        case 10 where field.isNamed("x-b3-flags", in: bytes) && value.equals("1"):
            received.hasSeveral = true
            received.several.isSampled = true
        default: break
        }
    }

    /// A `tracestate` is of no use without the `traceparent` it came with (section 3.3.1.2).
    private func dropForeign(_ exchange: ExchangeHandle, _ received: Received) {
        guard exchanges[exchange].head.fieldCount > 0 else { return }
        let fields = headFields(exchange)
        guard fields.indices.contains(where: { fields[$0].id == .tracestate }) else { return }
        replace(exchange, "tracestate", .tracestate, nil)
    }

    private func propagate(
        _ context: TraceContext,
        _ received: Received,
        _ exchange: ExchangeHandle,
        _ text: ScratchBuffer
    ) {
        text.reset()
        text.append("00-")
        text.append(trace: context)
        text.append("-")
        text.append(hexadecimal: context.span, digits: 16)
        text.append(context.isSampled ? "-01" : "-00")
        replace(exchange, "traceparent", .traceparent, text, had: received.parentCount > 0)
        let sampled: StaticString = context.isSampled ? "1" : "0"
        if received.single != nil {
            text.reset()
            text.append(trace: context)
            text.append("-")
            text.append(hexadecimal: context.span, digits: 16)
            text.append("-")
            text.append(sampled)
            replace(exchange, "b3", .other, text)
        }
        guard received.hasSeveral else { return }
        text.reset()
        text.append(trace: context)
        replace(exchange, "x-b3-traceid", .other, text)
        text.reset()
        text.append(hexadecimal: context.span, digits: 16)
        replace(exchange, "x-b3-spanid", .other, text)
        text.reset()
        text.append(hexadecimal: context.parent, digits: 16)
        replace(exchange, "x-b3-parentspanid", .other, context.parent == 0 ? nil : text)
        text.reset()
        text.append(sampled)
        replace(exchange, "x-b3-sampled", .other, text)
    }

    /// Puts a value in the place of a header's lines; `nil` takes them out.
    private func replace(
        _ exchange: ExchangeHandle,
        _ name: StaticString,
        _ id: HeaderID,
        _ value: ScratchBuffer?,
        had: Bool = true
    ) {
        name.withUTF8Bytes { name in
            if had { removeFields(exchange, id, name) }
            if let value { _ = addField(exchange, id, name, value.bytes()) }
        }
    }

    /// Writes the trace's id, or `-`.
    func appendTraceID(_ exchange: ExchangeHandle, to text: ScratchBuffer) {
        if exchanges[exchange].flags.contains(.traced) {
            text.append(trace: annexes[exchanges[exchange].annex].trace)
        } else {
            text.append("-")
        }
    }

    // MARK: Spans

    /// Writes the span of an exchange that ends, as OTLP has it in JSON
    /// (opentelemetry/proto/trace/v1/trace.proto), where its trace is kept.
    func writeSpan(_ exchange: ExchangeHandle) {
        let state = exchanges[exchange]
        guard let tracing, annexes.contains(state.annex) else { return }
        let context = annexes[state.annex].trace
        guard context.isSampled else { return }
        let log = tracing.spans
        let text = log.text
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        let end = loop.network.wallNanoseconds()
        text.append("{\"traceId\":\"")
        text.append(trace: context)
        text.append("\",\"spanId\":\"")
        text.append(hexadecimal: context.span, digits: 16)
        if context.parent != 0 {
            text.append("\",\"parentSpanId\":\"")
            text.append(hexadecimal: context.parent, digits: 16)
        }
        let bytes = headBytes(exchange)
        text.append("\",\"name\":\"")
        log.append(token: bytes, state.head.methodRange)
        text.append(" ")
        appendRouteName(state, bytes, to: text)
        text.append("\",\"kind\":2,\"startTimeUnixNano\":\"")
        text.append(decimal: end &- (loop.nowNanoseconds &- state.startNanoseconds))
        text.append("\",\"endTimeUnixNano\":\"")
        text.append(decimal: end)
        text.append(
            "\",\"attributes\":[{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\""
        )
        log.append(token: bytes, state.head.methodRange)
        text.append("\"}},{\"key\":\"url.path\",\"value\":{\"stringValue\":\"")
        log.append(escaped: bytes, state.head.pathOnlyRange)
        text.append("\"}},{\"key\":\"server.address\",\"value\":{\"stringValue\":\"")
        log.append(escaped: bytes, state.head.authorityRange)
        text.append("\"}},{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"")
        text.append(decimal: UInt64(state.status))
        appendSpanRest(state, to: text)
        counters.count(log.end(from: start) ? .spans : .spansDropped)
    }

    private func appendSpanRest(_ state: Exchange, to text: ScratchBuffer) {
        text.append("\"}},{\"key\":\"martlet.response_flags\",\"value\":{\"stringValue\":\"")
        appendFlags(state.responseFlags, to: text)
        if state.tries > 0 {
            text.append("\"}},{\"key\":\"martlet.upstream_host\",\"value\":{\"stringValue\":\"")
            text.append(address: state.upstreamAddress)
        }
        if state.flags.contains(.grpc) {
            text.append("\"}},{\"key\":\"rpc.grpc.status_code\",\"value\":{\"stringValue\":\"")
            text.append(decimal: UInt64(state.grpcStatus))
        }
        if connections.contains(state.downstream) {
            text.append("\"}},{\"key\":\"client.address\",\"value\":{\"stringValue\":\"")
            text.append(address: connections[state.downstream].peer.ip)
        }
        text.append("\"}}],\"status\":{")
        if state.status >= 500 || state.status == 0 { text.append("\"code\":2") }
        text.append("}}\n")
    }
}

extension ScratchBuffer {
    /// Writes a trace's id: 32 digits.
    func append(trace context: TraceContext) {
        append(hexadecimal: context.high, digits: 16)
        append(hexadecimal: context.low, digits: 16)
    }
}
