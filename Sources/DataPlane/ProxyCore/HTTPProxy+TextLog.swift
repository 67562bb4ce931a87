import Addressing

/// Access-log lines by a text format. What an exchange does not have is written as `-`; bytes from
/// outside are written like the inside of a JSON string, so that a line stays one line and quotes
/// stay what the format makes of them.
extension HTTPProxy {
    func writeTextLine(_ exchange: ExchangeHandle, _ log: AccessLog, _ format: LogFormat) {
        let state = exchanges[exchange]
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        let text = log.text
        let age = loop.nowNanoseconds &- state.startNanoseconds
        let began = loop.network.wallNanoseconds() &- age
        for piece in format.pieces {
            switch piece {
            case .text(let range): format.append(range, to: text)
            case .time(let part): log.append(part, of: began)
            case .request(let lookup): append(lookup, ofRequest: exchange, format, log)
            case .response(let lookup): append(lookup, ofResponse: exchange, format, log)
            case .trailer(let lookup): append(lookup, ofTrailers: exchange, format, log)
            case .grpcStatus(let style): appendStatus(state, style, to: text)
            case .value(let value): append(value, state, exchange, age, log)
            }
        }
        counters.count(log.end(from: start) ? .logLines : .logLinesDropped)
    }

    /// A line for a request whose head could not be read.
    func writeTextRefusal(
        _ handle: ConnectionHandle,
        status: UInt16,
        _ log: AccessLog,
        _ format: LogFormat
    ) {
        let start = log.begin(nowNanoseconds: loop.nowNanoseconds)
        let text = log.text
        for piece in format.pieces {
            switch piece {
            case .text(let range): format.append(range, to: text)
            case .time(let part): log.append(part, of: loop.network.wallNanoseconds())
            case .request, .response, .trailer, .grpcStatus: text.append("-")
            case .value(.responseCode): text.append(decimal: UInt64(status))
            case .value(.responseFlags): text.append(status == 408 ? "DT" : "DPE")
            case .value(.bytesReceived), .value(.bytesSent), .value(.duration): text.append("0")
            case .value(let value): appendAddress(value, handle, text)
            }
        }
        counters.count(log.end(from: start) ? .logLines : .logLinesDropped)
    }

    // MARK: Values

    private func append(
        _ value: LogFormat.Value,
        _ state: Exchange,
        _ exchange: ExchangeHandle,
        _ age: UInt64,
        _ log: AccessLog
    ) {
        let text = log.text
        switch value {
        case .protocolName: text.append(protocolName(state.head))
        case .responseCode: text.append(decimal: UInt64(state.status))
        case .responseCodeDetails: text.append(responseDetails(state))
        case .responseFlags: appendFlags(state.responseFlags, to: text)
        case .bytesReceived: text.append(decimal: state.bytesReceived)
        case .bytesSent: text.append(decimal: state.bytesSent)
        case .duration: text.append(decimal: age / 1_000_000)
        case .requestDuration: appendRequestDuration(state, to: text)
        case .responseDuration: append(state.startNanoseconds, state.upstreamHeadNanoseconds, text)
        case .responseTransferDuration:
            let end = state.upstreamHeadNanoseconds == 0 ? 0 : loop.nowNanoseconds
            append(state.upstreamHeadNanoseconds, end, text)
        case .upstreamHost: appendUpstreamHost(state, to: text)
        case .upstreamCluster: appendCluster(state.action.cluster, to: text)
        case .upstreamAttempts: text.append(decimal: UInt64(state.tries))
        case .routeName: appendRouteName(state, headBytes(exchange), to: text)
        case .grpcNumber: appendStatus(state, .number, to: text)
        case .traceID: appendTraceID(exchange, to: text)
        case .requestID: appendRequestID(exchange, headBytes(exchange), log)
        case .remoteAddress, .remoteHost, .remotePort, .directAddress, .directHost, .localAddress,
            .localHost, .localPort, .serverName:
            appendAddress(value, state.downstream, text)
        }
    }

    private func appendAddress(
        _ value: LogFormat.Value,
        _ handle: ConnectionHandle,
        _ text: ScratchBuffer
    ) {
        guard connections.contains(handle) else {
            text.append("-")
            return
        }
        switch value {
        case .remoteAddress: text.append(address: connections[handle].peer)
        case .directAddress: text.append(address: socketEnds(handle).peer)
        case .remoteHost: text.append(address: connections[handle].peer.ip)
        case .directHost: text.append(address: socketEnds(handle).peer.ip)
        case .remotePort: text.append(decimal: UInt64(connections[handle].peer.port))
        case .localAddress: text.append(address: connections[handle].local)
        case .localHost: text.append(address: connections[handle].local.ip)
        case .localPort: text.append(decimal: UInt64(connections[handle].local.port))
        case .serverName: appendServerName(handle, to: text)
        case .protocolName:
            text.append(connections[handle].flags.contains(.http2) ? "HTTP/2" : "HTTP/1.1")
        case .responseCodeDetails: text.append("downstream_protocol_error")
        case .responseCode, .responseFlags, .bytesReceived, .bytesSent, .duration,
            .requestDuration, .responseDuration, .responseTransferDuration, .upstreamHost,
            .upstreamCluster, .upstreamAttempts, .routeName, .grpcNumber, .traceID, .requestID:
            text.append("-")
        }
    }

    private func appendServerName(_ handle: ConnectionHandle, to text: ScratchBuffer) {
        let index = Int(handle.index)
        guard connections[handle].flags.contains(.tls), index < tlsSessions.count,
            let name = tlsSessions[index]?.serverName
        else {
            text.append("-")
            return
        }
        text.append(string: name)
    }

    private func append(_ from: UInt64, _ to: UInt64, _ text: ScratchBuffer) {
        if to == 0 {
            text.append("-")
        } else {
            text.append(decimal: (to &- from) / 1_000_000)
        }
    }

    private func appendRequestDuration(_ state: Exchange, to text: ScratchBuffer) {
        let end = annexes.contains(state.annex) ? annexes[state.annex].requestEndNanoseconds : 0
        if end == 0 && state.head.framing.isBodyless {
            text.append("0")
        } else {
            append(state.startNanoseconds, end, text)
        }
    }

    private func appendUpstreamHost(_ state: Exchange, to text: ScratchBuffer) {
        if state.tries == 0 {
            text.append("-")
        } else {
            text.append(address: state.upstreamAddress)
        }
    }

    private func appendCluster(_ cluster: Int32, to text: ScratchBuffer) {
        guard cluster >= 0, Int(cluster) < view.clusters.count,
            view.clusters[Int(cluster)].isPresent
        else {
            text.append("-")
            return
        }
        text.append(view.bytes(view.clusters[Int(cluster)].name))
    }

    private func appendStatus(
        _ state: Exchange,
        _ style: LogFormat.StatusStyle,
        to text: ScratchBuffer
    ) {
        guard state.flags.contains(.grpc) else {
            text.append("-")
            return
        }
        let known = GRPCStatus(rawValue: state.grpcStatus)
        switch style {
        case .camel: text.append(known?.camelName ?? "InvalidCode")
        case .snake: text.append(known?.snakeName ?? "INVALID_CODE")
        case .number: text.append(decimal: UInt64(state.grpcStatus))
        }
    }

    /// Who decided the response, in the words of Envoy's details.
    private func responseDetails(_ state: Exchange) -> StaticString {
        let flags = state.responseFlags
        if flags.contains(.noRoute) { return "route_not_found" }
        if flags.contains(.noHealthyUpstream) { return "no_healthy_upstream" }
        if flags.contains(.upstreamConnectFailure) {
            return "upstream_reset_before_response_started{connection_failure}"
        }
        if flags.contains(.upstreamClosed) {
            return "upstream_reset_before_response_started{connection_termination}"
        }
        if flags.contains(.upstreamTimeout) { return "upstream_response_timeout" }
        if flags.contains(.upstreamProtocolError) { return "upstream_protocol_error" }
        if flags.contains(.downstreamClosed) { return "downstream_remote_disconnect" }
        if flags.contains(.downstreamProtocolError) { return "downstream_protocol_error" }
        if flags.contains(.downstreamTimeout) { return "stream_idle_timeout" }
        if flags.contains(.overflow) { return "overload" }
        if flags.contains(.invalidBackend) { return "cluster_not_found" }
        if flags.contains(.filterFailure) { return "filter_failure" }
        if flags.contains(.localReply) { return "filter_reply" }
        return state.flags.contains(.local) ? "direct_response" : "via_upstream"
    }

    // MARK: Headers

    private func append(
        _ lookup: LogFormat.Lookup,
        ofRequest exchange: ExchangeHandle,
        _ format: LogFormat,
        _ log: AccessLog
    ) {
        let found =
            request(lookup.first, exchange, format) ?? request(lookup.second, exchange, format)
        if let range = found {
            log.append(escaped: headBytes(exchange), range, byteLimit: lookup.byteLimit)
        } else if lookup.first.kind == .scheme || lookup.second.kind == .scheme {
            log.text.append(exchanges[exchange].head.isTLS ? "https" : "http")
        } else {
            log.text.append("-")
        }
    }

    private func request(
        _ name: LogFormat.Name,
        _ exchange: ExchangeHandle,
        _ format: LogFormat
    ) -> Range<Int>? {
        let head = exchanges[exchange].head
        switch name.kind {
        case .none, .scheme: return nil
        case .method: return head.methodRange
        case .path: return head.pathRange
        case .authority: return head.authorityRange.isEmpty ? nil : head.authorityRange
        case .field:
            if name.id == .host && !head.authorityRange.isEmpty { return head.authorityRange }
            return range(of: name, in: headFields(exchange), headBytes(exchange), format)
        }
    }

    private func range(
        of name: LogFormat.Name,
        in fields: Span<HeaderField>,
        _ bytes: RawSpan,
        _ format: LogFormat
    ) -> Range<Int>? {
        guard name.kind == .field else { return nil }
        for index in fields.indices where format.names(name, fields[index], in: bytes) {
            return fields[index].valueRange
        }
        return nil
    }

    private func append(
        _ lookup: LogFormat.Lookup,
        ofTrailers exchange: ExchangeHandle,
        _ format: LogFormat,
        _ log: AccessLog
    ) {
        let fields = trailerFields(exchange, .response)
        guard fields.count > 0 else {
            log.text.append("-")
            return
        }
        let bytes = trailerBytes(exchange, .response)
        let found =
            range(of: lookup.first, in: fields, bytes, format)
            ?? range(of: lookup.second, in: fields, bytes, format)
        if let found {
            log.append(escaped: bytes, found, byteLimit: lookup.byteLimit)
        } else {
            log.text.append("-")
        }
    }

    private func append(
        _ lookup: LogFormat.Lookup,
        ofResponse exchange: ExchangeHandle,
        _ format: LogFormat,
        _ log: AccessLog
    ) {
        let found = keptResponse(exchange, lookup.first) ?? keptResponse(exchange, lookup.second)
        if let found {
            log.append(escaped: headBytes(exchange), found, byteLimit: lookup.byteLimit)
        } else {
            log.text.append("-")
        }
    }
}

extension LogFormat {
    /// Writes some of the format's own text.
    func append(_ range: TextRange, to target: ScratchBuffer) {
        text.withRawSpan { target.append($0, range.range) }
    }

    /// Whether a field has a name of the format.
    func names(_ name: Name, _ field: HeaderField, in bytes: RawSpan) -> Bool {
        if name.id != .other || field.id != .other { return name.id == field.id }
        guard Int(field.nameLength) == Int(name.text.byteCount) else { return false }
        return text.withRawSpan { text in
            field.isNamed(.other, text.extracting(name.text.range), in: bytes)
        }
    }
}

extension AccessLog {
    /// Writes a part of a wall-clock time.
    func append(_ part: LogFormat.TimePart, of nanoseconds: UInt64) {
        let second = nanoseconds / 1_000_000_000
        let time = CivilTime(seconds: second)
        switch part {
        case .whole: append(time: nanoseconds)
        case .year: text.append(decimal: time.year)
        case .month: text.append(padded: time.month, digits: 2)
        case .monthName: text.append(time.monthName)
        case .day: text.append(padded: time.day, digits: 2)
        case .hour: text.append(padded: time.hour, digits: 2)
        case .minute: text.append(padded: time.minute, digits: 2)
        case .second: text.append(padded: time.second, digits: 2)
        case .date: time.writeDate(to: text)
        case .timeOfDay: time.writeTime(to: text)
        case .epoch: text.append(decimal: second)
        case .zoneName: text.append("UTC")
        case .zoneOffset: text.append("+0000")
        case .fraction(let digits):
            var fraction = nanoseconds &- second &* 1_000_000_000
            for _ in digits..<9 { fraction /= 10 }
            text.append(padded: fraction, digits: digits)
        }
    }
}
