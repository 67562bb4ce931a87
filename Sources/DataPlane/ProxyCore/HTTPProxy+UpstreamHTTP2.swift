import Addressing

/// HTTP/2 towards endpoints: exchanges become streams of shared connections.
extension HTTPProxy: HTTP2ClientOwner {
    private static let secureScheme: StaticString = "https"
    private static let plainScheme: StaticString = "http"
    private static let trailersText: StaticString = "trailers"
    private static let connectText: StaticString = "CONNECT"
    private static let webSocketText: StaticString = "websocket"

    // MARK: Streams

    /// Makes an exchange one of a connection's.
    func bindStream(_ upstream: ConnectionHandle, to exchange: ExchangeHandle) {
        guard let streams = streams(upstream) else { return }
        if !takesAnother(upstream) { connections[upstream].flags.insert(.closesAfterExchange) }
        let row = streams.add(exchange, deadline: .max)
        exchanges[exchange].upstreamStream = Int32(row + 1)
        if streams.session != nil {
            setStreamDeadline(upstream, streams, row, upstreamTimeout(exchange))
        }
        settle(upstream, streams)
    }

    /// Takes an exchange off its connection; a stream that has not ended is reset.
    ///
    /// - Returns: whether the exchange had come to a stream.
    func unbindStream(_ exchange: ExchangeHandle, from upstream: ConnectionHandle) -> Bool {
        let index = Int(exchanges[exchange].upstreamStream - 1)
        exchanges[exchange].upstreamStream = 0
        guard let streams = streams(upstream) else { return true }
        let row = streams[index]
        streams[index].body.clear(pool)
        streams.remove(index)
        if exchanges[exchange].flags.contains(.ruled) {
            let annex = exchanges[exchange].annex
            streams.idleNanoseconds = annexes[annex].tries.row.poolNanoseconds
        }
        if row.stream != 0, let session = streams.session {
            session.forget(stream: row.stream)
            if !row.remoteEnded || !row.localEnded { session.reset(stream: row.stream, .cancel) }
            scheduleUpstreamCollection(upstream)
        }
        settle(upstream, streams)
        return row.stream != 0
    }

    /// Makes an exchange's stream another exchange's.
    func handOverStream(_ exchange: ExchangeHandle, to other: ExchangeHandle) {
        let upstream = exchanges[exchange].upstream
        let number = exchanges[exchange].upstreamStream
        guard let streams = streams(upstream) else { return }
        streams[Int(number - 1)].exchange = other
        exchanges[exchange].upstream = .none
        exchanges[exchange].upstreamStream = 0
        if exchanges[exchange].flags.contains(.tracked) { trackUnbound(exchange) }
        exchanges[other].upstream = upstream
        exchanges[other].upstreamStream = number
        exchanges[other].upstreamText = connections[upstream].peerText
        if exchanges[other].flags.contains(.tracked) { trackBound(other, upstream) }
    }

    /// Offers a connection to other exchanges while it has room, and ends it when nobody can use it.
    func settle(_ handle: ConnectionHandle, _ streams: UpstreamStreams) {
        let flags = connections[handle].flags
        let takesMore =
            streams.hasRoom && !isDraining
            && flags.isDisjoint(with: [.closesAfterExchange, .broken, .peerEnded])
            && (streams.session != nil || streams.isShared)
            && endpoints.isOwned(
                connections[handle].endpoint,
                by: connections[handle].endpointGeneration
            )
        if takesMore != flags.contains(.pooled) {
            if takesMore { link(handle) } else { unlinkIdle(handle) }
        }
        guard streams.isEmpty, let session = streams.session else { return }
        if flags.contains(.closesAfterExchange) || isDraining || !session.takesStreams {
            connections[handle].flags.insert(.closesAfterExchange)
            schedule(handle)
        } else if !streams.isIdle {
            streams.isIdle = true
            streams.sweepNanoseconds = 0
            let own = streams.idleNanoseconds
            setDeadline(handle, own > 0 ? own : timeouts.poolIdle)
        }
    }

    /// Has frames collected at the end of the turn, so that several streams share a call.
    func scheduleUpstreamCollection(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        connections[handle].flags.insert(.collects)
        schedule(handle)
    }

    /// Sends the frames that may be sent, as long as the socket takes them.
    func collectUpstream(_ handle: ConnectionHandle) {
        guard let streams = streams(handle), let session = streams.session else { return }
        connections[handle].flags.remove(.collects)
        if !isBlocked(handle) {
            session.collect { run in
                write(handle, run)
                return !isBlocked(handle)
            }
        }
        guard connections.contains(handle), streams.isEmpty,
            connections[handle].flags.contains(.closesAfterExchange), !isBlocked(handle)
        else { return }
        finishGathering()
        close(handle)
    }

    /// Gives received bytes to the session.
    func receiveFrames(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard let streams = streams(handle), let session = streams.session else { return }
        streams.heardNanoseconds = loop.nowNanoseconds
        streams.isAsked = false
        let hadSettings = session.hasSettings
        let goesOn = session.receive(bytes)
        if session.hasSettings && !hadSettings {
            streamMaxes[streams.transport.number] = session.streamMax
        }
        guard connections.contains(handle) else { return }
        if !goesOn {
            counters.count(.protocolErrors)
            session.collect { run in
                write(handle, run)
                return !isBlocked(handle)
            }
            finishGathering()
            multiplexedFailed(handle, .upstreamProtocolError)
            return
        }
        settle(handle, streams)
        if streams.awaitsSettings && session.hasSettings { openWaiting(handle, streams, session) }
        collectUpstream(handle)
        // nghttp2 may have ended the session by itself, once it has said so.
        guard connections.contains(handle), !streams.isEmpty, !session.isOpen else { return }
        counters.count(.protocolErrors)
        finishGathering()
        multiplexedFailed(handle, .upstreamProtocolError)
    }

    // MARK: Deadlines

    /// Gives a stream time, from now; 0 for no end.
    func setStreamDeadline(
        _ handle: ConnectionHandle,
        _ streams: UpstreamStreams,
        _ row: Int,
        _ nanoseconds: UInt64
    ) {
        // A tunnel's time is its exchange's.
        let isTunnel = exchanges[streams[row].exchange].flags.contains(.tunnel)
        let deadline =
            nanoseconds == 0 || isTunnel ? .max : loop.nowNanoseconds &+ nanoseconds
        streams[row].deadlineNanoseconds = deadline
        guard deadline < .max, streams.sweepNanoseconds == 0 || deadline < streams.sweepNanoseconds
        else { return }
        streams.sweepNanoseconds = deadline
        setDeadline(handle, nanoseconds)
    }

    /// Lets an exchange's stream take as long as it wants.
    func endStreamDeadline(_ exchange: ExchangeHandle, _ upstream: ConnectionHandle) {
        let row = Int(exchanges[exchange].upstreamStream - 1)
        streams(upstream)?[row].deadlineNanoseconds = .max
    }

    /// Fails streams whose time is over, asks an endpoint that has been silent whether it is there.
    func sweep(_ handle: ConnectionHandle, _ streams: UpstreamStreams) {
        var next = UInt64.max
        for row in 0..<streams.rowCount {
            let exchange = streams[row].exchange
            guard exchanges.contains(exchange) else { continue }
            guard streams[row].deadlineNanoseconds <= loop.nowNanoseconds else {
                next = min(next, streams[row].deadlineNanoseconds)
                continue
            }
            counters.count(.upstreamTimeouts)
            if exchanges[exchange].flags.contains(.tracked) { endpointFailed(exchange, handle) }
            tryFailed(exchange, .tryTimeout)
        }
        let silence = loop.nowNanoseconds &- streams.heardNanoseconds
        if silence >= timeouts.upstreamIdle {
            if streams.isAsked {
                multiplexedFailed(handle, .upstreamTimeout)
                return
            }
            // Streams that time out may share a connection that is dead.
            streams.isAsked = true
            streams.session?.ping()
            connections[handle].flags.insert(.closesAfterExchange)
            scheduleUpstreamCollection(handle)
            settle(handle, streams)
        }
        guard next < .max, !streams.isEmpty else { return }
        streams.sweepNanoseconds = next
        setDeadline(handle, next &- loop.nowNanoseconds)
    }

    // MARK: Requests

    /// Sends a head that was written as one of HTTP/1.1 as a stream's.
    ///
    /// - Parameter start: where it begins in what is gathered; it is taken out again.
    func submitStream(_ exchange: ExchangeHandle, on upstream: ConnectionHandle, from start: Int) {
        let row = Int(exchanges[exchange].upstreamStream - 1)
        guard let streams = streams(upstream), let session = streams.session else { return }
        let isTunnel = exchanges[exchange].head.tunnel != .none
        guard session.hasSettings || !isTunnel && streams.opensEarly else {
            gathered.truncate(to: start)
            streams.awaitsSettings = true
            return
        }
        guard !isTunnel || session.takesTunnels else {
            gathered.truncate(to: start)
            refuseTunnel(exchange, streams)
            return
        }
        defer { gathered.truncate(to: start) }
        guard !gathered.overflowed,
            listFields(gathered.bytes(from: start), streams.transport, isTunnel: isTunnel)
        else {
            counters.count(.bufferLimitHits)
            markBroken(upstream)
            return
        }
        let hasBody = isTunnel || exchanges[exchange].head.framing != .none
        streams[row].localEnded = !hasBody
        guard
            let stream = session.submitRequest(
                tag: Int32(row + 1),
                upstreamFields,
                hasBody: hasBody
            )
        else {
            markBroken(upstream)
            return
        }
        streams[row].stream = stream
        streams.openedCount += 1
        scheduleUpstreamCollection(upstream)
    }

    /// The endpoint's settings have come: opens the streams that waited for them. What is more than
    /// the endpoint takes goes by other connections, as often as a request may be tried.
    private func openWaiting(
        _ handle: ConnectionHandle,
        _ streams: UpstreamStreams,
        _ session: HTTP2ClientSession
    ) {
        streams.awaitsSettings = false
        let most = session.streamMax
        var openCount = streams.openCount
        for index in 0..<streams.rowCount where streams[index].stream == 0 {
            let row = streams[index]
            guard exchanges.contains(row.exchange) else { continue }
            guard openCount >= most, exchanges[row.exchange].tries < limits.triesMax,
                let endpoint = chooseEndpoint(row.exchange)
            else {
                // Past what the endpoint takes it is nghttp2 that has it wait.
                openCount += 1
                writeRequestHead(row.exchange, on: handle)
                continue
            }
            streams[index].body = ByteQueue()
            _ = unbind(row.exchange)
            moveStream(row.exchange, row.body, isEnded: row.isEnded, after: nil, to: endpoint)
        }
        finishGathering()
    }

    /// Reads a written head into `upstreamFields` (RFC 9113 section 8.3.1).
    private func listFields(
        _ text: RawSpan,
        _ transport: UpstreamTransport,
        isTunnel: Bool
    ) -> Bool {
        var target = 0
        while target < text.byteCount, text.byte(at: target) != UInt8(ascii: " ") { target += 1 }
        let method = text.extracting(0..<target)
        target += 1
        var end = target
        while end < text.byteCount, text.byte(at: end) != UInt8(ascii: " ") { end += 1 }
        let lines = end + " HTTP/1.1\r\n".utf8.count
        guard lines <= text.byteCount else { return false }
        var fields = writtenFields.mutableSpan
        var reader = FieldLines()
        guard
            case .complete = reader.read(
                text,
                from: lines,
                into: &fields,
                HTTPProxy.writtenHeadLimits,
                fieldMemos
            )
        else { return false }
        upstreamFields.begin()
        if isTunnel {
            HTTPProxy.connectText.withUTF8Bytes { upstreamFields.add(":method", $0) }
            HTTPProxy.webSocketText.withUTF8Bytes { upstreamFields.add(":protocol", $0) }
        } else {
            upstreamFields.add(":method", method)
        }
        if transport.tls != nil {
            HTTPProxy.secureScheme.withUTF8Bytes { upstreamFields.add(":scheme", $0) }
        } else {
            HTTPProxy.plainScheme.withUTF8Bytes { upstreamFields.add(":scheme", $0) }
        }
        for index in 0..<reader.count where fields[index].id == .host {
            upstreamFields.add(":authority", text.extracting(fields[index].valueRange))
        }
        upstreamFields.add(":path", text.extracting(target..<end))
        var takesTrailers = false
        for index in 0..<reader.count {
            let field = fields[index]
            // It was written only where the client takes trailers.
            if field.id == .te { takesTrailers = true }
            guard field.id != .host, !field.flags.contains(.hopByHop),
                !isTunnel || !field.isNamed("sec-websocket-key", in: text)
            else { continue }
            upstreamFields.add(
                text.extracting(field.nameRange),
                text.extracting(field.valueRange)
            )
        }
        if takesTrailers { HTTPProxy.trailersText.withUTF8Bytes { upstreamFields.add("te", $0) } }
        return true
    }

    /// Bounds of a head that the proxy wrote itself.
    private static let writtenHeadLimits = HeadLimits(
        headByteLimit: 65_536,
        fieldCountMax: ExchangeBlock.fieldMax + 16
    )

    /// Keeps a piece of a request's body until frames can take it.
    func queueUpstreamBody(_ exchange: ExchangeHandle, _ bytes: RawSpan) {
        let upstream = exchanges[exchange].upstream
        let row = Int(exchanges[exchange].upstreamStream - 1)
        guard let streams = streams(upstream) else { return }
        guard streams[row].body.append(bytes, pool) else {
            counters.count(.bufferLimitHits)
            fail(exchange, status: 503, .overflow)
            return
        }
        resumeUpstreamBody(upstream, streams, row)
    }

    /// All of a request is there.
    func endUpstreamBody(_ exchange: ExchangeHandle) {
        let row = Int(exchanges[exchange].upstreamStream - 1)
        guard let streams = streams(exchanges[exchange].upstream) else { return }
        streams[row].isEnded = true
        resumeUpstreamBody(exchanges[exchange].upstream, streams, row)
    }

    private func resumeUpstreamBody(
        _ upstream: ConnectionHandle,
        _ streams: UpstreamStreams,
        _ row: Int
    ) {
        guard streams[row].stream != 0 else { return }
        streams.session?.resumeBody(stream: streams[row].stream)
        scheduleUpstreamCollection(upstream)
    }

    /// Whether an endpoint takes no more of a request's body now.
    @inline(__always)
    func isUpstreamBlocked(_ exchange: ExchangeHandle) -> Bool {
        guard exchanges[exchange].upstreamStream != 0 else {
            return isBlocked(exchanges[exchange].upstream)
        }
        return isStreamBlocked(exchange)
    }

    /// Bytes of a stream's request that no frame has taken yet.
    func streamBodyByteCount(_ exchange: ExchangeHandle) -> Int {
        guard let streams = streams(exchanges[exchange].upstream) else { return 0 }
        return streams[Int(exchanges[exchange].upstreamStream - 1)].body.byteCount
    }

    private func isStreamBlocked(_ exchange: ExchangeHandle) -> Bool {
        guard let streams = streams(exchanges[exchange].upstream) else { return false }
        return !streams[Int(exchanges[exchange].upstreamStream - 1)].body.isEmpty
    }

    func requestBody(
        _ session: HTTP2ClientSession,
        tag: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome {
        let row = Int(tag - 1)
        guard let handle = connections.handle(at: session.connection),
            let streams = streams(handle), exchanges.contains(streams[row].exchange)
        else { return .deferred }
        let exchange = streams[row].exchange
        let count = streams[row].body.copy(into: &target, pool)
        streams[row].body.consume(count, pool)
        if count > 0 {
            streams[row].isPulled = true
            exchanges[exchange].flags.insert(.bodyForwarded)
            setStreamDeadline(handle, streams, row, silenceLimit(exchange))
        }
        guard streams[row].body.isEmpty else { return .bytes(count) }
        guard streams[row].isEnded else {
            upstreamTook(exchange)
            return count > 0 ? .bytes(count) : .deferred
        }
        streams[row].localEnded = true
        upstreamTook(exchange)
        guard exchanges.contains(exchange), exchanges[exchange].flags.contains(.requestTrailers)
        else { return .end(count) }
        upstreamFields.begin()
        upstreamFields.add(
            trailerFields(exchange, .request),
            of: trailerBytes(exchange, .request)
        )
        session.submitTrailers(stream: streams[row].stream, upstreamFields)
        return .trailers(count)
    }

    // MARK: Responses

    private func bound(
        _ session: HTTP2ClientSession,
        _ tag: Int32
    ) -> (handle: ConnectionHandle, streams: UpstreamStreams, exchange: ExchangeHandle)? {
        guard let handle = connections.handle(at: session.connection),
            let streams = streams(handle), exchanges.contains(streams[Int(tag - 1)].exchange)
        else { return nil }
        return (handle, streams, streams[Int(tag - 1)].exchange)
    }

    func endpointHead(_ session: HTTP2ClientSession, tag: Int32, isEnd: Bool) {
        guard let (handle, streams, exchange) = bound(session, tag) else { return }
        let row = Int(tag - 1)
        guard exchanges[exchange].flags.isDisjoint(with: [.responseStarted, .responseHeld]) else {
            fail(exchange, status: 502, .upstreamProtocolError)
            return
        }
        let head = responseHead(session, exchange, isEnd: isEnd)
        guard head.isInterim == false else {
            noteInterim(exchange, head, session.text.bytes())
            return
        }
        if isEnd { streams[row].remoteEnded = true }
        if exchanges[exchange].head.tunnel != .none && (200..<300).contains(head.status) {
            beginStreamTunnel(handle, exchange, head, session.text.bytes())
            return
        }
        setStreamDeadline(handle, streams, row, silenceLimit(exchange))
        beginStreamResponse(handle, exchange, head, session.text.bytes())
    }

    /// A stream's head in the form of one of HTTP/1.1, its fields in `responseFields`.
    private func responseHead(
        _ session: HTTP2ClientSession,
        _ exchange: ExchangeHandle,
        isEnd: Bool
    ) -> HTTP1ResponseHead {
        let given = session.head
        var head = HTTP1ResponseHead()
        head.status = given.status
        head.fieldCount = given.fieldCount
        head.needsRewriting = true
        head.reasonOffset = session.text.count
        session.text.append(StatusText.reason(given.status))
        head.reasonLength = session.text.count - head.reasonOffset
        head.headByteCount = session.text.count
        let status = given.status
        let isBodyless =
            exchanges[exchange].head.method == .head || status == 204 || status == 304
            || head.isInterim
        if isBodyless {
            head.framing = .none
        } else if isEnd {
            head.framing = .length(0)
        } else {
            head.framing = given.contentLength.map { .length($0) } ?? .chunked
        }
        for index in 0..<given.fieldCount { responseFields[index] = session.fields[index] }
        return head
    }

    func endpointData(_ session: HTTP2ClientSession, tag: Int32, _ bytes: RawSpan) {
        guard let (handle, streams, exchange) = bound(session, tag) else { return }
        let row = Int(tag - 1)
        streams[row].owedByteCount += Int32(clamping: bytes.byteCount)
        if exchanges[exchange].flags.contains(.tunnel) {
            _ = passFromEndpoint(exchange, bytes, at: -1)
        } else {
            forwardStreamBody(exchange, bytes)
        }
        guard exchanges.contains(exchange), exchanges[exchange].upstreamStream == tag else {
            return
        }
        if isDownstreamBlocked(exchange) {
            streams[row].deadlineNanoseconds = .max
        } else {
            setStreamDeadline(handle, streams, row, silenceLimit(exchange))
            giveBack(handle, streams, row)
        }
    }

    /// The client has taken what there was: the endpoint may go on sending.
    @inline(__always)
    func resumeResponse(_ exchange: ExchangeHandle) {
        let upstream = exchanges[exchange].upstream
        guard connections.contains(upstream) else { return }
        if exchanges[exchange].upstreamStream == 0 {
            resumeReading(upstream)
        } else {
            resumeStream(exchange, upstream)
        }
    }

    private func resumeStream(_ exchange: ExchangeHandle, _ upstream: ConnectionHandle) {
        let row = Int(exchanges[exchange].upstreamStream - 1)
        guard let streams = streams(upstream), streams[row].owedByteCount > 0 else { return }
        setStreamDeadline(upstream, streams, row, silenceLimit(exchange))
        giveBack(upstream, streams, row)
        scheduleUpstreamCollection(upstream)
    }

    private func giveBack(_ handle: ConnectionHandle, _ streams: UpstreamStreams, _ row: Int) {
        let count = Int(streams[row].owedByteCount)
        streams[row].owedByteCount = 0
        streams.session?.consume(stream: streams[row].stream, count)
    }

    func endpointTrailers(_ session: HTTP2ClientSession, tag: Int32) {
        guard let (_, _, exchange) = bound(session, tag) else { return }
        let fields = session.fields.span.extracting(0..<session.head.fieldCount)
        if !keepTrailers(exchange, session.text.bytes(), fields, .response) {
            counters.count(.trailerLimitHits)
            fail(exchange, status: 502, .upstreamProtocolError)
        }
    }

    func endpointEnded(_ session: HTTP2ClientSession, tag: Int32) {
        guard let (_, streams, exchange) = bound(session, tag) else { return }
        streams[Int(tag - 1)].remoteEnded = true
        if exchanges[exchange].flags.contains(.tunnel) {
            tunnelEndpointEnded(exchange)
        } else {
            responseEnded(exchange)
        }
    }

    func endpointClosed(_ session: HTTP2ClientSession, tag: Int32, _ errorCode: UInt32) {
        guard let (handle, streams, exchange) = bound(session, tag) else { return }
        let index = Int(tag - 1)
        let row = streams[index]
        // All of it has passed, and waits for the client here.
        if row.remoteEnded && row.localEnded && errorCode == 0 { return }
        let isRefused = errorCode == HTTP2ErrorCode.refusedStream.rawValue
        let isUnanswered = exchanges[exchange].flags.isDisjoint(with: [
            .responseStarted, .responseHeld,
        ])
        streams[index].remoteEnded = true
        streams[index].localEnded = true
        if isRefused && isUnanswered {
            guard !row.isPulled else {
                // What was sent of its body may be kept.
                _ = unbind(exchange)
                tryFailed(exchange, .refused)
                return
            }
            streams[index].body = ByteQueue()
            _ = unbind(exchange)
            moveStream(exchange, row.body, isEnded: row.isEnded, after: .refused)
            return
        }
        if exchanges[exchange].flags.contains(.tracked) { endpointFailed(exchange, handle) }
        _ = unbind(exchange)
        let isProtocolError = errorCode == HTTP2ErrorCode.protocolError.rawValue
        if isProtocolError { counters.count(.protocolErrors) }
        upstreamLost(
            exchange,
            wasReused: false,
            isProtocolError ? .upstreamProtocolError : .upstreamClosed
        )
    }

    func endpointLimitReached(_ limit: HTTP2Limit) { countLimit(limit) }
}
