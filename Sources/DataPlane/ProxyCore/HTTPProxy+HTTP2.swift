/// HTTP/2 on the client's side: connections.
extension HTTPProxy {
    /// Fields of a response, and as many of what is added to it.
    static let http2FieldMax = 520
    /// A connection that has been idle for as long gives back what it does not need, nanoseconds.
    static let http2RestDelay: UInt64 = 1_000_000_000

    /// Tells HTTP/2 from HTTP/1 by ALPN, or in cleartext by the preface (RFC 9113 section 3.4).
    ///
    /// - Returns: whether it can be told yet.
    func detectProtocol(_ handle: ConnectionHandle, _ bytes: RawSpan) -> Bool {
        let row = http2Row(handle)
        let isHTTP2: Bool
        if connections[handle].flags.contains(.tls) {
            isHTTP2 = negotiatedHTTP2(handle)
        } else if !row.speaksHTTP1 {
            isHTTP2 = true
        } else {
            switch HTTP2Preface.compare(bytes) {
            case .partial: return false
            case .different: isHTTP2 = false
            case .whole: isHTTP2 = row.speaksHTTP2
            }
        }
        connections[handle].flags.remove(.detects)
        guard isHTTP2 else { return true }
        return beginHTTP2(handle, row)
    }

    private func http2Row(_ handle: ConnectionHandle) -> HTTP2EntryRow {
        let entry = Int(connections[handle].entry)
        return entry >= 0 && entry < view.entries.count
            ? view.entries[entry].http2 : HTTP2EntryRow()
    }

    private func beginHTTP2(_ handle: ConnectionHandle, _ row: HTTP2EntryRow) -> Bool {
        var own = limits.http2
        if row.concurrentStreamMax > 0 { own.concurrentStreamMax = row.concurrentStreamMax }
        own.allowsExtendedConnect = row.allowsWebSocket
        guard
            let session = HTTP2ServerSession(
                owner: self,
                connection: handle.index,
                limits: own,
                reader: http2Reader,
                memory: http2Memory
            )
        else {
            markBroken(handle)
            return false
        }
        let idle = row.streamIdleNanoseconds > 0 ? row.streamIdleNanoseconds : timeouts.streamIdle
        while http2Connections.count <= Int(handle.index) { http2Connections.append(nil) }
        http2Connections[Int(handle.index)] = HTTP2Connection(
            session: session,
            requestMax: row.requestMax,
            streamIdleSeconds: UInt32(clamping: max(idle / 1_000_000_000, 1))
        )
        connections[handle].flags.insert(.http2)
        counters.count(.http2Sessions)
        return true
    }

    func http2(_ handle: ConnectionHandle) -> HTTP2Connection? {
        guard connections.contains(handle), connections[handle].flags.contains(.http2),
            Int(handle.index) < http2Connections.count
        else { return nil }
        return http2Connections[Int(handle.index)]
    }

    /// Gives received bytes to the session and sends what it answers.
    func receiveHTTP2(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard let connection = http2(handle),
            connections[handle].flags.isDisjoint(with: [.discards, .closesWhenSent])
        else {
            discard(handle, bytes.byteCount)
            return
        }
        connections[handle].exchangeCount &+= 1
        let goesOn = connection.session.receive(bytes, nowNanoseconds: loop.nowNanoseconds)
        guard connections.contains(handle) else { return }
        if goesOn { advanceEnd(handle, connection) }
        collectHTTP2(handle)
        guard connections.contains(handle) else { return }
        if !goesOn || connection.session.isAbusive || connection.session.hasFailed {
            endAbuse(handle)
        } else if connection.session.isFinished {
            closeHTTP2(handle)
        }
    }

    /// Closes a connection whose client was told of an error, and reports it.
    private func endAbuse(_ handle: ConnectionHandle) {
        guard connections[handle].flags.isDisjoint(with: [.discards, .closesWhenSent]) else {
            return
        }
        counters.count(.protocolErrors)
        noteProtocolAbuse(handle)
        closeHTTP2(handle)
    }

    /// Gives up what is in hand and closes, once what was collected has been sent.
    private func closeHTTP2(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        abandonHTTP2Exchanges(handle)
        finishGathering()
        beginDiscarding(handle)
    }

    /// Sends the frames that may be sent, unless the socket takes none.
    func collectHTTP2(_ handle: ConnectionHandle) {
        guard let connection = http2(handle), !isBlocked(handle) else { return }
        connection.session.collect { run in write(handle, run) }
        guard connections.contains(handle) else { return }
        if connection.end == .final && connection.streams.isEmpty {
            finishGathering()
            beginDiscarding(handle)
        } else {
            setHTTP2Deadline(handle, connection)
        }
    }

    /// Has frames collected at the end of the turn, so that several streams share a call.
    func scheduleCollection(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        connections[handle].flags.insert(.collects)
        schedule(handle)
    }

    /// Collects for a connection whose turn it is.
    func runCollection(_ handle: ConnectionHandle) {
        guard connections[handle].flags.contains(.collects) else { return }
        connections[handle].flags.remove(.collects)
        collectHTTP2(handle)
        if let connection = http2(handle), connection.session.isAbusive { endAbuse(handle) }
    }

    /// Gives up every exchange of a connection that is gone.
    func abandonHTTP2Exchanges(
        _ handle: ConnectionHandle,
        _ flag: ResponseFlags = .downstreamClosed
    ) {
        guard let connection = http2(handle) else { return }
        let streams = connection.streams
        connection.streams = HTTP2StreamTable()
        for slot in 0..<streams.capacity where streams[slot].stream != 0 {
            let exchange = streams[slot].exchange
            if exchanges.contains(exchange) { abandon(exchange, flag) }
        }
    }

    // MARK: The end

    /// Announces the end and closes once the streams have ended.
    func drainHTTP2(_ handle: ConnectionHandle) {
        guard let connection = http2(handle), connection.end == .open else { return }
        announceEnd(handle, connection)
        collectHTTP2(handle)
        finishGathering()
    }

    func announceEnd(_ handle: ConnectionHandle, _ connection: HTTP2Connection) {
        guard connection.end == .open else { return }
        connection.end = .announced
        connection.session.announceEnd()
        scheduleCollection(handle)
    }

    /// Says which stream is the last one, once the client has heard that it is to open no more.
    private func advanceEnd(_ handle: ConnectionHandle, _ connection: HTTP2Connection) {
        let isReached =
            connection.requestMax > 0 && connection.session.streamCount >= connection.requestMax
        if connection.end == .open && isReached { announceEnd(handle, connection) }
        guard connection.end == .announced, connection.session.hasAnsweredNotice else { return }
        connection.end = .final
        connection.session.goAway(.noError)
    }

    // MARK: Time

    private func setHTTP2Deadline(_ handle: ConnectionHandle, _ connection: HTTP2Connection) {
        guard !isBlocked(handle),
            connections[handle].flags.isDisjoint(with: [.discards, .closesWhenSent])
        else { return }
        let now = loop.nowNanoseconds
        if !connection.session.isWithinHead {
            connection.headNanoseconds = 0
        } else if connection.headNanoseconds == 0 {
            connection.headNanoseconds = now
        }
        guard connection.streams.isEmpty else {
            if connection.sweepNanoseconds == 0 {
                connection.sweepNanoseconds = now &+ sweepTime(handle)
            }
            connectionTimers.set(handle.index, connection.sweepNanoseconds)
            return
        }
        let frames = connection.session.frameCount
        let isNewlyIdle = connection.sweepNanoseconds > 0 || connection.frameCount != frames
        connection.sweepNanoseconds = 0
        connection.frameCount = frames
        if connection.headNanoseconds > 0 {
            connectionTimers.set(handle.index, connection.headNanoseconds &+ headTime(handle))
        } else if connection.end == .announced {
            setDeadline(handle, timeouts.discard)
        } else if isNewlyIdle {
            let idle = idleTime(handle)
            connection.idleNanoseconds = now &+ idle
            setDeadline(handle, min(idle, HTTPProxy.http2RestDelay))
        }
    }

    /// An idle connection gives back what it does not need.
    ///
    /// - Returns: whether its idle time goes on.
    private func rests(_ handle: ConnectionHandle, _ connection: HTTP2Connection) -> Bool {
        guard connection.idleNanoseconds > loop.nowNanoseconds, connection.end == .open else {
            return false
        }
        connection.session.rest()
        connection.streams = HTTP2StreamTable()
        connectionTimers.set(handle.index, connection.idleNanoseconds)
        return true
    }

    /// A deadline has passed: streams are looked at, an idle connection is closed.
    func http2TimedOut(_ handle: ConnectionHandle) {
        guard let connection = http2(handle) else { return }
        connection.sweepNanoseconds = 0
        let now = loop.nowNanoseconds
        let head = connection.headNanoseconds
        if head > 0 && now &- head >= headTime(handle) {
            counters.count(.headerTimeouts)
            noteProtocolAbuse(handle)
            connection.session.goAway(.enhanceYourCalm)
            collectHTTP2(handle)
            closeHTTP2(handle)
            return
        }
        if connection.streams.isEmpty {
            if rests(handle, connection) { return }
            if connection.end == .open { counters.count(.idleTimeouts) }
            connection.end = .final
            connection.session.goAway(.noError)
        } else {
            if connection.end == .announced {
                connection.end = .final
                connection.session.goAway(.noError)
            }
            sweepStreams(handle, connection)
        }
        collectHTTP2(handle)
        finishGathering()
    }

    /// Gives up the streams whose client does nothing for them: a window that stays closed, a body
    /// that does not come.
    private func sweepStreams(_ handle: ConnectionHandle, _ connection: HTTP2Connection) {
        let bodyTime = self.bodyTime(handle)
        for slot in 0..<connection.streams.capacity where connection.streams[slot].stream != 0 {
            let row = connection.streams[slot]
            guard exchanges.contains(row.exchange) else { continue }
            let idle = UInt64(monotonicSecond &- row.progressSecond) &* 1_000_000_000
            let exchange = exchanges[row.exchange]
            if !exchange.responseBody.isEmpty && idle >= timeouts.send {
                counters.count(.sendTimeouts)
                noteProtocolAbuse(handle)
                cutStream(row.exchange, .enhanceYourCalm)
            } else if owesBody(exchange) && idle >= bodyTime {
                counters.count(.bodyTimeouts)
                noteProtocolAbuse(handle)
                fail(row.exchange, status: 408, .downstreamTimeout)
            } else if monotonicSecond &- row.progressSecond >= connection.streamIdleSeconds {
                counters.count(.streamIdleTimeouts)
                giveUp(row.exchange)
            }
        }
    }

    /// Whether the client has announced a body's length, has window to send it, and does not.
    private func owesBody(_ exchange: Exchange) -> Bool {
        guard case .length = exchange.head.framing, exchange.unconsumedByteCount == 0 else {
            return false
        }
        return exchange.flags.isDisjoint(with: [.requestEnded, .responseStarted])
    }

    private func giveUp(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.responseStarted) {
            cutStream(exchange, .cancel)
        } else if exchanges[exchange].flags.contains(.requestEnded) {
            fail(exchange, status: 504, .upstreamTimeout)
        } else {
            fail(exchange, status: 408, .downstreamTimeout)
        }
    }

    private func cutStream(_ exchange: ExchangeHandle, _ code: HTTP2ErrorCode) {
        if let upstream = unbind(exchange) { close(upstream) }
        exchanges[exchange].responseFlags.insert(.downstreamTimeout)
        resetHTTP2(exchange, code)
    }

    /// Seconds of the monotonic clock.
    var monotonicSecond: UInt32 {
        UInt32(truncatingIfNeeded: loop.nowNanoseconds / 1_000_000_000)
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
