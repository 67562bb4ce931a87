import Addressing

/// Access-log lines: the fields that Envoy's users know, as JSON.
extension HTTPProxy {
    func writeLogLine(_ exchange: ExchangeHandle, _ log: AccessLog) {
        let state = exchanges[exchange]
        let bytes = headBytes(exchange)
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        let text = log.text
        let age = loop.nowNanoseconds &- state.startNanoseconds
        text.append("{\"start_time\":\"")
        log.append(time: loop.network.wallNanoseconds() &- age)
        text.append("\",\"method\":\"")
        log.append(token: bytes, state.head.methodRange)
        text.append("\",\"path\":\"")
        log.append(escaped: bytes, state.head.pathRange)
        text.append("\",\"protocol\":\"")
        text.append(protocolName(state.head))
        text.append("\",\"response_code\":")
        text.append(decimal: UInt64(state.status))
        text.append(",\"response_flags\":\"")
        appendFlags(state.responseFlags, to: text)
        text.append("\",\"bytes_received\":")
        text.append(decimal: state.bytesReceived)
        text.append(",\"bytes_sent\":")
        text.append(decimal: state.bytesSent)
        text.append(",\"duration\":")
        text.append(decimal: age / 1_000_000)
        appendUpstream(state, to: text)
        text.append(",\"route_name\":\"")
        appendRouteName(state, bytes, to: text)
        text.append("\",\"x_request_id\":\"")
        appendRequestID(exchange, bytes, log)
        text.append("\",\"downstream_remote_address\":\"")
        if connections.contains(state.downstream) {
            let peer = connections[state.downstream].peerText
            if state.flags.contains(.knowsClient) {
                // The port is not known: 0, as Envoy writes it.
                text.append(address: SocketAddress(annexes[state.annex].client, 0))
            } else if peer.byteCount > 0 {
                peer.write(peer.byteCount, to: text)
            } else {
                text.append(address: connections[state.downstream].peer)
            }
        }
        text.append("\",\"plugin\":")
        if state.replier < 0 {
            text.append("null")
        } else {
            appendReplier(exchange, log)
        }
        text.append(",\"source_identity\":null,\"destination_identity\":null")
        if !state.flags.isDisjoint(with: [.grpc, .traced]) {
            appendRare(state, exchange, to: text)
        }
        text.append("}\n")
        counters.count(log.end(from: start) ? .logLines : .logLinesDropped)
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

    @inline(__always)
    func appendRouteName(_ state: Exchange, _ bytes: RawSpan, to text: ScratchBuffer) {
        if state.flags.contains(.namesView) {
            text.append(view.wholeText, state.action.routeName.range)
        } else {
            text.append(bytes, state.action.routeName.range)
        }
    }

    /// What exchanges of gRPC and those that are traced say besides.
    private func appendRare(
        _ state: Exchange,
        _ exchange: ExchangeHandle,
        to text: ScratchBuffer
    ) {
        if state.flags.contains(.grpc) {
            text.append(",\"grpc_status\":")
            text.append(decimal: UInt64(state.grpcStatus))
        }
        if state.flags.contains(.traced) {
            text.append(",\"trace_id\":\"")
            appendTraceID(exchange, to: text)
            text.append("\"")
        }
    }

    @inline(__always)
    func protocolName(_ head: RequestHead) -> StaticString {
        if head.isHTTP2 { return "HTTP/2" }
        return head.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1"
    }

    @inline(__always)
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

    @inline(__always)
    private func appendUpstream(_ state: Exchange, to text: ScratchBuffer) {
        guard state.tries > 0 else {
            text.append(",\"upstream_service_time\":null,\"upstream_host\":null")
            return
        }
        text.append(",\"upstream_service_time\":")
        if state.upstreamHeadNanoseconds > 0 {
            let time = state.upstreamHeadNanoseconds &- state.upstreamStartNanoseconds
            text.append(decimal: time / 1_000_000)
        } else {
            text.append("null")
        }
        text.append(",\"upstream_host\":\"")
        if state.upstreamText.byteCount > 0 {
            state.upstreamText.write(state.upstreamText.byteCount, to: text)
        } else {
            text.append(address: state.upstreamAddress)
        }
        text.append("\"")
    }

    @inline(__always)
    func appendRequestID(_ exchange: ExchangeHandle, _ bytes: RawSpan, _ log: AccessLog) {
        let isUnchanged = exchanges[exchange].head.verbatimByteCount > 0
        if !isUnchanged || exchanges[exchange].head.present.contains(.xRequestID) {
            let fields = headFields(exchange)
            for index in fields.indices where fields[index].isRequestID {
                log.append(escaped: bytes, fields[index].valueRange, byteLimit: 128)
                return
            }
        }
        log.text.append(digits: exchanges[exchange].requestID)
    }
}
