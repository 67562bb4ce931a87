import Addressing

/// The ends of exchanges: finished, answered locally, given up.
extension HTTPProxy {
    /// Ends an exchange whose response is complete; the client's connection takes the next request.
    func finish(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        guard it.value.stream == 0 else {
            finishHTTP2(exchange)
            return
        }
        let downstream = it.value.downstream
        let requestEnded = it.value.flags.contains(.requestEnded)
        account(exchange)
        closeExchange(exchange)
        guard let client = connections.find(downstream) else { return }
        client.value.exchange = .none
        client.value.flags.remove(.readPaused)
        if client.value.flags.contains(.closesAfterExchange) || !requestEnded {
            finishGathering()
            beginDiscarding(downstream)
            return
        }
        if client.value.output.isEmpty {
            let isTimed = client.value.flags.contains(.timed)
            setDeadline(downstream, isTimed ? idleTime(downstream) : timeouts.idle)
        }
        if !client.value.input.isEmpty || canReceive(client) { schedule(downstream) }
    }

    /// Counts and logs an exchange that ends now.
    @inline(__always)
    func account(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        if !it.value.flags.isDisjoint(with: HTTPProxy.rare) { accountRare(exchange) }
        let sample = TrafficSample(
            status: it.value.status,
            bytesReceived: it.value.bytesReceived,
            bytesSent: it.value.bytesSent,
            nanoseconds: loop.nowNanoseconds &- it.value.startNanoseconds
        )
        counters.count(EngineCounter.responses(classOf: sample.status))
        traffic.count(
            sample,
            listener: it.value.listener,
            route: it.value.action.routeRow,
            cluster: it.value.action.cluster
        )
        guard accessLog.isKept else { return }
        if let format = accessLog.format {
            writeTextLine(exchange, accessLog, format)
        } else {
            writeLogLine(exchange, accessLog)
        }
    }

    /// Frees an exchange and what it holds.
    @inline(__always)
    func closeExchange(_ exchange: ExchangeHandle) {
        let it = exchanges.place(exchange)
        exchangeTimers.set(exchange.index, 0)
        if !it.value.flags.isDisjoint(with: [.awaitsConnection, .usesChain])
            || !it.value.requestBody.isEmpty || !it.value.responseBody.isEmpty
            || it.value.annex.isSome
        {
            releaseBelongings(exchange)
        }
        pool.give(it.value.block)
        exchanges.remove(exchange)
    }

    @inline(never)
    private func releaseBelongings(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.awaitsConnection) { trackConnected(exchange) }
        exchanges[exchange].requestBody.clear(pool)
        exchanges[exchange].responseBody.clear(pool)
        if exchanges[exchange].flags.contains(.usesChain) { releaseFilters(exchange) }
        if exchanges[exchange].annex.isSome { releaseAnnex(exchange) }
    }

    /// Gives an exchange up because its client is gone.
    func abandon(_ exchange: ExchangeHandle, _ flag: ResponseFlags) {
        if let upstream = unbind(exchange) { close(upstream) }
        exchanges[exchange].responseFlags.insert(flag)
        if !exchanges[exchange].flags.contains(.responseStarted) { exchanges[exchange].status = 0 }
        account(exchange)
        closeExchange(exchange)
    }

    /// Ends an exchange that cannot go on: with a local reply if nothing was answered yet, else by
    /// cutting the response so that the client sees it is incomplete.
    func fail(_ exchange: ExchangeHandle, status: UInt16, _ flag: ResponseFlags) {
        if exchanges[exchange].stream < 0 {
            failShadow(exchange)
            return
        }
        if let upstream = unbind(exchange) { close(upstream) }
        exchanges[exchange].responseFlags.insert(flag)
        guard exchanges[exchange].flags.contains(.responseStarted) else {
            reply(exchange, LocalReply(status: status))
            return
        }
        if exchanges[exchange].stream != 0 {
            endFiltering(exchange)
            resetHTTP2(exchange)
            return
        }
        let downstream = exchanges[exchange].downstream
        account(exchange)
        closeExchange(exchange)
        guard connections.contains(downstream) else { return }
        connections[downstream].exchange = .none
        if gathering == downstream { finishGathering() }
        loop.network.resetOnClose(connections[downstream].fd)
        close(downstream)
    }

    /// Answers an exchange here; filters that want the response have it first.
    func reply(_ exchange: ExchangeHandle, _ given: LocalReply) {
        if let upstream = unbind(exchange) { close(upstream) }
        let reply = shaped(given, for: exchange)
        exchanges[exchange].status = reply.status
        exchanges[exchange].requestBody.clear(pool)
        if exchanges[exchange].flags.contains(.filtersResponse) {
            if filter(reply, of: exchange) { return }
            endFiltering(exchange)
        }
        exchanges[exchange].flags.formUnion([.local, .responseStarted, .responseEnded])
        let body = exchanges[exchange].head.method == .head ? [] : reply.body
        exchanges[exchange].bytesSent = UInt64(body.count)
        if exchanges[exchange].stream != 0 {
            replyHTTP2(exchange, reply, body)
            return
        }
        let downstream = exchanges[exchange].downstream
        if !exchanges[exchange].flags.contains(.requestEnded) || isDraining {
            connections[downstream].flags.insert(.closesAfterExchange)
        }
        reserveGathered(for: downstream)
        appendReplyHead(reply, closes: connections[downstream].flags.contains(.closesAfterExchange))
        body.withRawSpan { write(downstream, $0) }
        finish(exchange)
    }

    private func appendReplyHead(_ reply: LocalReply, closes: Bool) {
        gathered.append("HTTP/1.1 ")
        gathered.append(decimal: UInt64(reply.status))
        gathered.append(byte: UInt8(ascii: " "))
        gathered.append(StatusText.reason(reply.status))
        gathered.append("\r\ncontent-length: ")
        gathered.append(decimal: UInt64(reply.body.count))
        gathered.append("\r\n")
        if !reply.body.isEmpty && !reply.hasContentType {
            gathered.append("content-type: text/plain\r\n")
        }
        for field in reply.fields {
            gathered.append(string: field.name)
            gathered.append(": ")
            gathered.append(string: field.value)
            gathered.append("\r\n")
        }
        if closes { gathered.append("connection: close\r\n") }
        gathered.append("\r\n")
    }

    /// Answers before there is an exchange, and announces the close.
    func writeBareReply(_ handle: ConnectionHandle, status: UInt16) {
        counters.count(EngineCounter.responses(classOf: status))
        reserveGathered(for: handle)
        appendReplyHead(LocalReply(status: status), closes: true)
    }
}

/// A reply that the proxy gives itself.
public struct LocalReply: Equatable, Sendable {
    /// One header line.
    package struct Field: Equatable, Sendable {
        /// The name, lower case.
        package var name: String
        /// The value.
        package var value: String

        /// Makes a line.
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// 200...599.
    package var status: UInt16
    /// Lines besides the framing.
    package var fields: [Field]
    /// The body.
    package var body: [UInt8]

    /// Makes a reply.
    package init(status: UInt16, fields: [Field] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    var hasContentType: Bool { fields.contains { $0.name == "content-type" } }
}

/// Reason phrases of local replies (RFC 9110 section 15).
enum StatusText {
    static func reason(_ status: UInt16) -> StaticString {
        switch status {
        case 200: "OK"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 425: "Too Early"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Unassigned"
        }
    }
}
