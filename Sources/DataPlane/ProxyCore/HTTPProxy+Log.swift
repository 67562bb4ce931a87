import Addressing

/// Access-log lines: the fields that Envoy's users know, as JSON.
extension HTTPProxy {
    func writeLogLine(_ exchange: ExchangeHandle, _ log: AccessLog) {
        let it = exchanges.place(exchange)
        let bytes = headBytes(it)
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        var line = LineCursor(log.text)
        line.write("{\"start_time\":\"")
        log.write(time: log.wallNanoseconds(it.value.startNanoseconds, loop), to: &line)
        if it.value.head.method == .get {
            line.write("Z\",\"method\":\"GET\",\"path\":\"")
        } else {
            line.write("Z\",\"method\":\"")
            log.write(token: bytes, it.value.head.methodRange, to: &line)
            line.write("\",\"path\":\"")
        }
        log.write(escaped: bytes, it.value.head.pathRange, to: &line)
        writeOutcome(it, to: &line)
        line.write(",\"duration\":")
        line.write(decimal: (loop.nowNanoseconds &- it.value.startNanoseconds) / 1_000_000)
        writeUpstream(it, to: &line)
        if it.value.flags.contains(.namesView) {
            line.write(view.wholeText, it.value.action.routeName.range)
        } else {
            line.write(bytes, it.value.action.routeName.range)
        }
        line.write("\",\"x_request_id\":\"")
        if hasOwnRequestID(it) {
            line.write(digits: it.value.requestID)
        } else {
            line.detour(log.text) { appendRequestID(exchange, bytes, log) }
        }
        line.write("\",\"downstream_remote_address\":\"")
        writeClient(it, to: &line)
        if it.value.replier < 0 && it.value.flags.isDisjoint(with: [.grpc, .traced]) {
            line.write(
                "\",\"plugin\":null,\"source_identity\":null,\"destination_identity\":null}\n"
            )
        } else {
            line.detour(log.text) { appendRest(it.value, exchange, log) }
        }
        line.finish(log.text)
        counters.count(log.end(from: start) ? .logLines : .logLinesDropped)
    }

    /// From the path's end to the bytes sent.
    @inline(__always)
    private func writeOutcome(_ it: Place<Exchange>, to line: inout LineCursor) {
        let isPlain =
            it.value.status == 200 && it.value.responseFlags.isEmpty
            && it.value.bytesReceived == 0 && !it.value.head.isHTTP2
            && it.value.head.minorVersion == 1
        if isPlain {
            line.write("\",\"protocol\":\"HTTP/1.1\",\"response_code\":200")
            line.write(",\"response_flags\":\"-\",\"bytes_received\":0,\"bytes_sent\":")
        } else {
            writeUnusualOutcome(it, to: &line)
        }
        line.write(decimal: it.value.bytesSent)
    }

    @inline(__always)
    private func writeUnusualOutcome(_ it: Place<Exchange>, to line: inout LineCursor) {
        if it.value.head.isHTTP2 {
            line.write("\",\"protocol\":\"HTTP/2\",\"response_code\":")
        } else if it.value.head.minorVersion == 0 {
            line.write("\",\"protocol\":\"HTTP/1.0\",\"response_code\":")
        } else {
            line.write("\",\"protocol\":\"HTTP/1.1\",\"response_code\":")
        }
        if it.value.status < 1_000 && it.value.status >= 100 {
            line.write(thousandths: UInt64(it.value.status))
        } else {
            line.write(decimal: UInt64(it.value.status))
        }
        if it.value.responseFlags.isEmpty {
            line.write(",\"response_flags\":\"-\",\"bytes_received\":")
        } else {
            line.write(",\"response_flags\":\"")
            line.detour(accessLog.text) { appendFlags(it.value.responseFlags, to: accessLog.text) }
            line.write("\",\"bytes_received\":")
        }
        line.write(decimal: it.value.bytesReceived)
        line.write(",\"bytes_sent\":")
    }

    /// The endpoint's time and address, and the name of the route's name.
    @inline(__always)
    private func writeUpstream(_ it: Place<Exchange>, to line: inout LineCursor) {
        guard it.value.tries > 0 else {
            line.write(",\"upstream_service_time\":null,\"upstream_host\":null,\"route_name\":\"")
            return
        }
        line.write(",\"upstream_service_time\":")
        if it.value.upstreamHeadNanoseconds > 0 {
            let time = it.value.upstreamHeadNanoseconds &- it.value.upstreamStartNanoseconds
            line.write(decimal: time / 1_000_000)
        } else {
            line.write("null")
        }
        line.write(",\"upstream_host\":\"")
        if it.value.upstreamText.byteCount > 0 {
            it.value.upstreamText.write(to: &line)
        } else {
            line.detour(accessLog.text) { accessLog.text.append(address: it.value.upstreamAddress) }
        }
        line.write("\",\"route_name\":\"")
    }

    /// The client's address; nothing where its connection is gone.
    @inline(__always)
    private func writeClient(_ it: Place<Exchange>, to line: inout LineCursor) {
        guard let client = connections.find(it.value.downstream) else { return }
        let text = accessLog.text
        if it.value.flags.contains(.knowsClient) {
            // The port is not known: 0, as Envoy writes it.
            line.detour(text) {
                text.append(address: SocketAddress(annexes[it.value.annex].client, 0))
            }
        } else if client.value.peerText.byteCount > 0 {
            client.value.peerText.write(to: &line)
        } else {
            line.detour(text) { text.append(address: client.value.peer) }
        }
    }

    /// A line for a request whose head could not be read.
    func logRefusal(_ handle: ConnectionHandle, status: UInt16) {
        let log = accessLog
        guard log.isKept else { return }
        if let format = log.format {
            writeTextRefusal(handle, status: status, log, format)
            return
        }
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        let text = log.text
        text.append("{\"start_time\":\"")
        log.append(time: loop.network.wallNanoseconds())
        text.append("\",\"method\":\"\",\"path\":\"\",\"protocol\":\"")
        text.append(connections[handle].flags.contains(.http2) ? "HTTP/2" : "HTTP/1.1")
        text.append("\",\"response_code\":")
        text.append(decimal: UInt64(status))
        text.append(",\"response_flags\":\"")
        text.append(status == 408 ? "DT" : "DPE")
        text.append("\",\"bytes_received\":0,\"bytes_sent\":0,\"duration\":0")
        text.append(",\"upstream_service_time\":null,\"upstream_host\":null,\"route_name\":\"\"")
        text.append(",\"x_request_id\":\"\",\"downstream_remote_address\":\"")
        text.append(address: connections[handle].peer)
        text.append("\",\"plugin\":null,\"source_identity\":null,\"destination_identity\":null}\n")
        counters.count(log.end(from: start) ? .logLines : .logLinesDropped)
    }

    func appendRouteName(_ state: Exchange, _ bytes: RawSpan, to text: ScratchBuffer) {
        if state.flags.contains(.namesView) {
            text.append(view.wholeText, state.action.routeName.range)
        } else {
            text.append(bytes, state.action.routeName.range)
        }
    }

    /// The end of a line that says more than most: which filter replied, what exchanges of gRPC and
    /// those that are traced have besides.
    private func appendRest(_ state: Exchange, _ exchange: ExchangeHandle, _ log: AccessLog) {
        let text = log.text
        text.append("\",\"plugin\":")
        if state.replier < 0 {
            text.append("null")
        } else {
            appendReplier(exchange, log)
        }
        text.append(",\"source_identity\":null,\"destination_identity\":null")
        if state.flags.contains(.grpc) {
            text.append(",\"grpc_status\":")
            text.append(decimal: UInt64(state.grpcStatus))
        }
        if state.flags.contains(.traced) {
            text.append(",\"trace_id\":\"")
            appendTraceID(exchange, to: text)
            text.append("\"")
        }
        text.append("}\n")
    }

    func protocolName(_ head: RequestHead) -> StaticString {
        if head.isHTTP2 { return "HTTP/2" }
        return head.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1"
    }

    func appendFlags(_ flags: ResponseFlags, to text: ScratchBuffer) {
        guard !flags.isEmpty else {
            text.append("-")
            return
        }
        var isFirst = true
        for (flag, name) in ResponseFlags.names where flags.contains(flag) {
            if !isFirst { text.append(",") }
            text.append(name)
            isFirst = false
        }
    }

    /// Whether the request's id is the one that was made for it.
    @inline(__always)
    func hasOwnRequestID(_ it: Place<Exchange>) -> Bool {
        it.value.head.verbatimByteCount > 0 && !it.value.head.present.contains(.xRequestID)
    }

    func appendRequestID(_ exchange: ExchangeHandle, _ bytes: RawSpan, _ log: AccessLog) {
        if !hasOwnRequestID(exchanges.place(exchange)) {
            let fields = headFields(exchange)
            for index in fields.indices where fields[index].isRequestID {
                log.append(escaped: bytes, fields[index].valueRange, byteLimit: 128)
                return
            }
        }
        log.text.append(digits: exchanges[exchange].requestID)
    }
}
