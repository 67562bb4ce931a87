import LinuxSystem

/// Tunnels: exchanges whose bytes flow both ways as they come, from the endpoint's agreement on.
///
/// A tunnel is an exchange with the flag `.tunnel`. Its two ends close one by one: `.requestEnded`
/// says that the client has ended its direction, `.responseEnded` that the endpoint has. Its one
/// deadline is the exchange's: no byte either way for the stream's idle time.
extension HTTPProxy {
    // MARK: Asking for one

    /// Whether a head asks for WebSocket by all the rules of RFC 6455 section 4.1. What does not is a
    /// plain request, and its `Upgrade` ends here.
    func asksForWebSocket(
        _ parsed: HTTP1RequestHead,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) -> Bool {
        guard parsed.method == .get, parsed.framing == .none, parsed.minorVersion == 1,
            isWebSocket(bytes, fields[parsed.upgradeField])
        else { return false }
        var versionCount = 0
        var keyCount = 0
        for index in 0..<parsed.fieldCount {
            let field = fields[index]
            if field.isNamed("sec-websocket-version", in: bytes) {
                guard bytes.hasText("13", field.valueRange) else { return false }
                versionCount += 1
            } else if field.isNamed("sec-websocket-key", in: bytes) {
                guard field.valueLength == 24 else { return false }
                keyCount += 1
            }
        }
        return versionCount == 1 && keyCount == 1
    }

    private func isWebSocket(_ bytes: RawSpan, _ field: HeaderField) -> Bool {
        let count = Int(field.valueLength)
        return count == 9
            && bytes.equalsIgnoringCase(Int(field.valueOffset), count, "websocket")
    }

    /// Asks an HTTP/1.1 endpoint to switch protocols.
    func appendUpgrade(_ exchange: ExchangeHandle) {
        switch exchanges[exchange].head.tunnel {
        case .upgrade: gathered.append("connection: upgrade\r\nupgrade: websocket\r\n")
        case .extendedConnect:
            gathered.append("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ")
            appendWebSocketKey()
            gathered.append("\r\n")
        case .none, .connect: break
        }
    }

    /// A nonce of 16 bytes in base64 (RFC 6455 section 4.1).
    private func appendWebSocketKey() {
        let alphabet: StaticString =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        alphabet.withUTF8Bytes { alphabet in
            for position in 0..<22 {
                // The last digit holds two bits only.
                let digit = Int(random.next(below: position == 21 ? 4 : 64))
                gathered.append(byte: alphabet.byte(at: position == 21 ? digit << 4 : digit))
            }
        }
        gathered.append("==")
    }

    /// Whether a virtual host lets a tunnel be asked for. Where WebSocket is not passed on, its
    /// request goes on as a plain one; CONNECT is then answered here.
    func permitTunnel(_ exchange: ExchangeHandle, _ host: Int32) -> Bool {
        let row = view.hosts[Int(host)]
        switch exchanges[exchange].head.tunnel {
        case .none: return true
        case .upgrade where row.rules.contains(.refusesWebSocket):
            exchanges[exchange].head.tunnel = .none
            return true
        case .extendedConnect where row.rules.contains(.refusesWebSocket),
            .connect where !row.rules.contains(.allowsConnect):
            refuseMethod(exchange)
            return false
        case .upgrade, .connect, .extendedConnect: break
        }
        let own = row.streamIdleNanoseconds
        annexes[annex(exchange)].streamIdleNanoseconds = own > 0 ? own : timeouts.tunnelIdle
        return true
    }

    // MARK: Beginning

    /// Whether the endpoint's 101 agrees to what was asked for.
    func agrees(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) -> Bool {
        switch exchanges[exchange].head.tunnel {
        case .upgrade, .extendedConnect:
            head.hasUpgrade && isWebSocket(bytes, responseFields.span[head.upgradeField])
        case .none, .connect: false
        }
    }

    /// Whether a plain answer would tell a client of HTTP/2 that its tunnel is made (RFC 8441 section
    /// 5): an endpoint agrees by 101 alone.
    @inline(__always)
    func isMistakable(_ exchange: ExchangeHandle, status: UInt16) -> Bool {
        exchanges[exchange].head.tunnel == .extendedConnect && (200..<300).contains(status)
    }

    /// The endpoint has switched protocols: tells the client, and passes bytes from here on.
    func beginTunnel(
        _ upstream: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan
    ) {
        exchanges[exchange].upstreamHeadNanoseconds = loop.nowNanoseconds
        if exchanges[exchange].flags.contains(.tracked) { endpointAnswered(exchange, upstream) }
        if exchanges[exchange].stream != 0 {
            // RFC 8441 section 5: 200 stands for 101, and the handshake's own fields have no use.
            var accepted = head
            accepted.status = 200
            accepted.framing = .untilClose
            exchanges[exchange].status = 200
            accepted.fieldCount = keepStreamFields(head.fieldCount, bytes)
            sendHTTP2ResponseHead(exchange, accepted, bytes)
        } else {
            exchanges[exchange].status = 101
            sendSwitch(exchange, head, bytes, accepting: [])
        }
        openTunnel(exchange, upstream)
    }

    /// - Parameter accept: the value of `sec-websocket-accept`; empty where the head has it.
    func sendSwitch(
        _ exchange: ExchangeHandle,
        _ head: HTTP1ResponseHead,
        _ bytes: RawSpan,
        accepting accept: [UInt8]
    ) {
        reserveGathered(for: exchanges[exchange].downstream)
        gathered.append("HTTP/1.1 101 Switching Protocols\r\n")
        appendResponseFields(exchange, head, bytes)
        if !accept.isEmpty {
            gathered.append("sec-websocket-accept: ")
            accept.withRawSpan { gathered.append($0) }
            gathered.append("\r\n")
        }
        gathered.append("connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    }

    /// Leaves `sec-websocket-accept` out of the fields in hand.
    func keepStreamFields(_ count: Int, _ bytes: RawSpan) -> Int {
        var kept = 0
        for index in 0..<count {
            let field = responseFields[index]
            guard !field.isNamed("sec-websocket-accept", in: bytes) else { continue }
            responseFields[kept] = field
            kept += 1
        }
        return kept
    }

    /// A connection for CONNECT is made: tells the client, and passes bytes from here on.
    func beginConnectTunnel(_ exchange: ExchangeHandle, _ upstream: ConnectionHandle) {
        exchanges[exchange].status = 200
        exchanges[exchange].upstreamHeadNanoseconds = loop.nowNanoseconds
        if exchanges[exchange].flags.contains(.tracked) { endpointAnswered(exchange, upstream) }
        let cluster = Int(exchanges[exchange].action.cluster)
        if cluster < view.clusters.count, view.clusters[cluster].proxyVersion > 0 {
            let header = self.header(for: exchanges[exchange].downstream)
            header.bytes(version: view.clusters[cluster].proxyVersion).withRawSpan {
                write(upstream, $0)
            }
        }
        if exchanges[exchange].stream != 0 {
            var accepted = HTTP1ResponseHead()
            accepted.status = 200
            accepted.framing = .untilClose
            sendHTTP2ResponseHead(exchange, accepted, RawSpan())
        } else {
            reserveGathered(for: exchanges[exchange].downstream)
            gathered.append("HTTP/1.1 200 OK\r\n\r\n")
        }
        openTunnel(exchange, upstream)
    }

    /// Makes an exchange a tunnel, whatever protocols its two sides speak.
    ///
    /// - Parameter upstream: the endpoint's connection.
    func openTunnel(_ exchange: ExchangeHandle, _ upstream: ConnectionHandle) {
        counters.count(.tunnels)
        exchanges[exchange].flags.formUnion([.tunnel, .responseStarted, .dispatched])
        exchanges[exchange].flags.subtract([.filtersBody, .filtersResponse])
        exchanges[exchange].head.framing = .untilClose
        let downstream = exchanges[exchange].downstream
        if exchanges[exchange].upstreamStream == 0 {
            connections[upstream].body = BodyReader(.untilClose)
            connections[upstream].flags.insert(.closesAfterExchange)
            connectionTimers.set(upstream.index, 0)
        } else {
            endStreamDeadline(exchange, upstream)
        }
        touchTunnel(exchange)
        if exchanges[exchange].stream == 0 {
            exchanges[exchange].flags.remove(.requestEnded)
            connections[downstream].body = BodyReader(.untilClose)
            connections[downstream].flags.insert(.closesAfterExchange)
            connectionTimers.set(downstream.index, 0)
            // What the client has sent ahead waits here or in the kernel, its end maybe too.
            connections[downstream].flags.remove(.readPaused)
            connections[downstream].flags.insert(.readable)
            schedule(downstream)
        }
        finishGathering()
        guard exchanges.contains(exchange) else { return }
        if !exchanges[exchange].requestBody.isEmpty { sendHeldBody(exchange) }
        finishGathering()
        guard exchanges.contains(exchange) else { return }
        if exchanges[exchange].stream != 0 && !isUpstreamBlocked(exchange) {
            requestBodyDrained(exchange)
        }
        if exchanges[exchange].flags.contains(.requestEnded) { settleTunnel(exchange) }
    }

    // MARK: Passing

    /// Takes bytes of the client's.
    ///
    /// - Returns: how many were taken.
    func passFromClient(_ exchange: ExchangeHandle, _ bytes: RawSpan) -> Int {
        touchTunnel(exchange)
        forwardRequestBody(exchange, bytes)
        return bytes.byteCount
    }

    /// Takes bytes of the endpoint's.
    ///
    /// - Parameter offset: where they stand in `received`.
    /// - Returns: how many were taken.
    func passFromEndpoint(_ exchange: ExchangeHandle, _ bytes: RawSpan, at offset: Int) -> Int {
        touchTunnel(exchange)
        sendResponseBody(exchange, bytes, at: offset)
        return bytes.byteCount
    }

    /// Something has moved: the idle time begins anew.
    @inline(__always)
    func touchTunnel(_ exchange: ExchangeHandle) {
        let idle = annexes[exchanges[exchange].annex].streamIdleNanoseconds
        exchangeTimers.set(exchange.index, loop.nowNanoseconds &+ idle)
    }

    // MARK: Ending

    /// Whether a hang-up only says that both directions of a tunnel's socket have ended: what the
    /// client sent before is still to be read.
    func hangUpIsAnEnd(_ handle: ConnectionHandle, _ readiness: Readiness) -> Bool {
        let exchange = connections[handle].exchange
        return !readiness.contains(.error) && exchanges.contains(exchange)
            && exchanges[exchange].flags.contains(.tunnel)
    }

    /// The client has ended its direction.
    func tunnelClientEnded(_ exchange: ExchangeHandle) {
        exchanges[exchange].flags.insert(.requestEnded)
        settleTunnel(exchange)
    }

    /// The endpoint has ended its direction.
    func tunnelEndpointEnded(_ exchange: ExchangeHandle) {
        exchanges[exchange].flags.insert(.responseEnded)
        settleTunnel(exchange)
    }

    /// Passes an end on once what stands before it is sent, and ends the exchange once both have
    /// ended.
    func settleTunnel(_ exchange: ExchangeHandle) {
        let flags = exchanges[exchange].flags
        let upstream = exchanges[exchange].upstream
        let downstream = exchanges[exchange].downstream
        if flags.contains(.requestEnded) && connections.contains(upstream) {
            if exchanges[exchange].upstreamStream != 0 {
                endTunnelStream(exchange)
            } else {
                endSide(upstream)
            }
        }
        guard exchanges.contains(exchange) else { return }
        if flags.contains(.responseEnded) {
            if exchanges[exchange].stream != 0 {
                // The stream's end follows its last byte; its closing ends the exchange.
                finishHTTP2(exchange)
                return
            }
            if connections.contains(downstream) { endSide(downstream) }
        }
        guard flags.isSuperset(of: [.requestEnded, .responseEnded]),
            exchanges.contains(exchange), !isUpstreamBlocked(exchange), !isBlocked(downstream)
        else { return }
        closeTunnel(exchange)
    }

    /// Ends the sending direction of a connection whose output is sent.
    private func endSide(_ handle: ConnectionHandle) {
        finishGathering()
        guard connections.contains(handle), !isBlocked(handle),
            !connections[handle].flags.contains(.sendEnded)
        else { return }
        connections[handle].flags.insert(.sendEnded)
        if connections[handle].flags.contains(.tls) { closeTLS(handle) }
        guard connections.contains(handle) else { return }
        loop.network.endSending(connections[handle].fd)
    }

    private func closeTunnel(_ exchange: ExchangeHandle) {
        let downstream = exchanges[exchange].downstream
        if let upstream = unbind(exchange) { close(upstream) }
        account(exchange)
        closeExchange(exchange)
        guard connections.contains(downstream) else { return }
        connections[downstream].exchange = .none
        close(downstream)
    }

    /// Closes an endpoint's connection once it has what was sent, or does not take it for a while.
    func closeWhenSent(_ upstream: ConnectionHandle) {
        finishGathering()
        guard isBlocked(upstream) else {
            close(upstream)
            return
        }
        connections[upstream].flags.insert(.closesWhenSent)
        setDeadline(upstream, timeouts.discard)
    }

    /// Nothing has moved for too long: both sides are cut.
    func tunnelTimedOut(_ exchange: ExchangeHandle) {
        counters.count(.tunnelTimeouts)
        fail(exchange, status: 408, .streamIdleTimeout)
    }
}

extension RawSpan {
    /// Whether a range holds exactly a text.
    func hasText(_ text: StaticString, _ range: Range<Int>) -> Bool {
        range.count == text.utf8CodeUnitCount
            && text.withUTF8Bytes { expected in
                for offset in 0..<range.count
                where byte(at: range.lowerBound + offset) != expected.byte(at: offset) {
                    return false
                }
                return true
            }
    }
}
