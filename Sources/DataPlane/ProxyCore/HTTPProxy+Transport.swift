import Addressing
import LinuxSystem
import MeshModel
import TrafficPolicy

/// Connections to endpoints that speak TLS or HTTP/2: made, agreed on, shared, ended.
extension HTTPProxy {
    /// Puts the transports that a view's clusters name in force. Idle connections of others are
    /// closed; busy ones end with what they have in hand.
    func install(transports: [UpstreamTransport]) {
        self.transports = [:]
        for transport in transports {
            self.transports[transport.number] = transport
            if let other = transport.forTunnels { self.transports[other.number] = other }
        }
        http1Transports.formIntersection(self.transports.keys)
        http1Tunnels.formIntersection(self.transports.keys)
        streamMaxes = streamMaxes.filter { self.transports[$0.key] != nil }
        resumptions = resumptions.filter { self.transports[$0.value.transport] != nil }
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index),
                connections[handle].flags.contains(.pooled), connections[handle].transport >= 0,
                self.transports[connections[handle].transport] == nil
            else { continue }
            retireIdle(handle)
        }
    }

    /// The exchanges of a connection.
    func streams(_ handle: ConnectionHandle) -> UpstreamStreams? {
        guard connections.contains(handle), Int(handle.index) < upstreamStreams.count else {
            return nil
        }
        return upstreamStreams[Int(handle.index)]
    }

    /// Says on a new connection that it has a transport.
    ///
    /// - Returns: `false` when the transport cannot make one.
    func beginTransport(_ handle: ConnectionHandle) -> Bool {
        guard let transport = transports[connections[handle].transport], transport.fault == nil
        else { return false }
        let isShared =
            transport.version == .http2
            || transport.version == .negotiated && !http1Transports.contains(transport.number)
        while upstreamStreams.count <= Int(handle.index) { upstreamStreams.append(nil) }
        upstreamStreams[Int(handle.index)] = UpstreamStreams(
            transport,
            isShared: isShared,
            expecting: streamMaxes[transport.number] ?? 0
        )
        connections[handle].flags.insert(.multiplexed)
        if transport.proxyVersion > 0 {
            guard beginInName(handle, version: transport.proxyVersion) else { return false }
        }
        if isShared { link(handle) }
        return true
    }

    // MARK: Events

    /// Handles the readiness of a connection with a transport.
    @inline(never)
    func multiplexedReady(_ handle: ConnectionHandle, _ readiness: Readiness) {
        if connections[handle].flags.contains(.connecting) {
            guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return }
            guard loop.network.connectError(connections[handle].fd) == nil else {
                transportFailed(handle)
                return
            }
            connections[handle].flags.remove(.connecting)
            connected(handle)
            guard connections.contains(handle) else { return }
            guard connections[handle].flags.contains(.multiplexed) else {
                if flush(handle) { upstreamSent(handle) }
                return
            }
        }
        if readiness.contains(.peerEnded) { connections[handle].flags.insert(.peerEnded) }
        if !readiness.isDisjoint(with: [.readable, .error, .hangUp]) {
            connections[handle].flags.insert(.readable)
        }
        if readiness.contains(.writable) && isBlocked(handle) {
            guard flush(handle) else { return }
        }
        resumeMultiplexed(handle)
    }

    /// A turn of a connection with a transport: frames out, bytes in, the end.
    func resumeMultiplexed(_ handle: ConnectionHandle) {
        collectUpstream(handle)
        for _ in 0..<HTTPProxy.readRoundMax {
            guard connections.contains(handle), canReceive(handle),
                connections[handle].flags.isDisjoint(with: [.connecting])
            else { return }
            let isSecuring = connections[handle].flags.contains(.securing)
            let count = receive(handle, after: 0)
            guard connections.contains(handle) else { return }
            if isSecuring, tlsSession(handle)?.isEstablished == true {
                secured(handle)
                guard connections.contains(handle) else { return }
            }
            guard let count else { return }
            guard connections[handle].flags.contains(.multiplexed) else {
                // Bytes that no request asked for: the connection is not to be trusted.
                upstreamFailed(handle)
                return
            }
            receiveFrames(handle, received.bytes(0, count))
            finishGathering()
        }
        if connections.contains(handle) && canReceive(handle) { schedule(handle) }
    }

    /// TCP is there: TLS follows, or HTTP/2 by prior knowledge.
    private func connected(_ handle: ConnectionHandle) {
        guard let streams = streams(handle) else { return }
        guard let settings = streams.transport.tls else {
            if streams.transport.version == .http1 {
                becomeHTTP1(handle, streams)
            } else {
                beginHTTP2Session(handle)
            }
            return
        }
        let kept = resumptions[connections[handle].endpoint]
        let resumption = kept?.transport == streams.transport.number ? kept?.resumption : nil
        guard let context = streams.transport.context, let tlsTransport,
            let session = TLSSession.endpoint(
                context,
                settings,
                isAddress: streams.transport.isAddress,
                resuming: resumption,
                tlsTransport
            )
        else {
            transportFailed(handle)
            return
        }
        while tlsSessions.count <= Int(handle.index) { tlsSessions.append(nil) }
        tlsSessions[Int(handle.index)] = session
        connections[handle].flags.formUnion([.tls, .securing])
        let progress = session.startHandshake()
        sendTransportOutput(handle)
        if case .failed = progress { transportFailed(handle) }
    }

    /// The handshake is complete: the protocol is known, and waiting requests can be sent.
    private func secured(_ handle: ConnectionHandle) {
        guard let session = tlsSession(handle), let streams = streams(handle),
            let settings = streams.transport.tls
        else { return }
        let speaksHTTP2 = session.speaksHTTP2
        guard session.hasName(of: settings) else {
            counters.count(.upstreamCertificateErrors)
            transportFailed(handle)
            return
        }
        guard speaksHTTP2 || streams.transport.version != .http2 else {
            transportFailed(handle)
            return
        }
        connections[handle].flags.remove(.securing)
        counters.count(.upstreamTLSHandshakes)
        if session.isResumed { counters.count(.upstreamTLSResumptions) }
        if speaksHTTP2 {
            beginHTTP2Session(handle)
        } else {
            becomeHTTP1(handle, streams)
        }
    }

    /// Sends the requests that waited as streams.
    private func beginHTTP2Session(_ handle: ConnectionHandle) {
        guard let streams = streams(handle),
            let session = HTTP2ClientSession(
                owner: self,
                connection: handle.index,
                limits: limits.http2
            )
        else {
            transportFailed(handle)
            return
        }
        counters.count(.upstreamHTTP2Sessions)
        streams.session = session
        streams.heardNanoseconds = loop.nowNanoseconds
        if let first = streams.firstExchange { countConnect(first) }
        for row in 0..<streams.rowCount {
            let exchange = streams[row].exchange
            guard exchanges.contains(exchange) else { continue }
            begun(exchange)
            setStreamDeadline(handle, streams, row, upstreamTimeout(exchange))
            writeRequestHead(exchange, on: handle)
        }
        settle(handle, streams)
        scheduleUpstreamCollection(handle)
    }

    /// The endpoint speaks HTTP/1.1: the first request has the connection to itself, the others
    /// have their own.
    private func becomeHTTP1(_ handle: ConnectionHandle, _ streams: UpstreamStreams) {
        http1Transports.insert(streams.transport.number)
        if connections[handle].flags.contains(.pooled) { unlinkIdle(handle) }
        var rows: [UpstreamStreams.Row] = []
        for index in 0..<streams.rowCount where exchanges.contains(streams[index].exchange) {
            rows.append(streams[index])
        }
        upstreamStreams[Int(handle.index)] = nil
        connections[handle].flags.remove(.multiplexed)
        connections[handle].exchangeCount = 1
        for row in rows.dropFirst() {
            _ = unbind(row.exchange)
            exchanges[row.exchange].tries -= 1
            moveStream(row.exchange, row.body, isEnded: row.isEnded, after: nil)
        }
        guard let row = rows.first else {
            release(handle)
            return
        }
        let exchange = row.exchange
        countConnect(exchange)
        begun(exchange)
        exchanges[exchange].upstreamStream = 0
        connections[handle].exchange = exchange
        setDeadline(handle, upstreamTimeout(exchange))
        writeRequestHead(exchange, on: handle)
        writeBody(exchange, row.body, isEnded: row.isEnded)
        finishGathering()
        if !isBlocked(handle) { upstreamTook(exchange) }
    }

    private func begun(_ exchange: ExchangeHandle) {
        if exchanges[exchange].flags.contains(.tracked) { trackConnected(exchange) }
    }

    private func writeBody(_ exchange: ExchangeHandle, _ body: ByteQueue, isEnded: Bool) {
        var body = body
        while !body.isEmpty {
            let run = body.firstRun(pool)
            let count = run.byteCount
            passBody(exchange, run, isUnanswered: true)
            guard exchanges.contains(exchange) else {
                body.clear(pool)
                return
            }
            body.consume(count, pool)
        }
        if isEnded { passBodyEnd(exchange) }
    }

    // MARK: Failing

    /// The handshake with an endpoint failed, in TCP or in TLS. Nothing was sent: what waits can go
    /// to another endpoint, whatever the method.
    func transportFailed(_ handle: ConnectionHandle) {
        guard let streams = streams(handle) else {
            close(handle)
            return
        }
        if connections[handle].flags.contains(.securing) {
            let isUnbelieved = tlsSession(handle)?.failedVerification == true
            counters.count(isUnbelieved ? .upstreamCertificateErrors : .upstreamTLSErrors)
            // What earlier sessions agreed on may be why.
            resumptions[connections[handle].endpoint] = nil
        }
        let rows = detachAll(handle, streams)
        for row in rows {
            countTry(exchanges.place(row.exchange), connections.place(handle))
            if exchanges[row.exchange].flags.contains(.tracked) {
                endpointFailed(row.exchange, handle)
            }
        }
        close(handle)
        for row in rows where exchanges.contains(row.exchange) {
            moveStream(row.exchange, row.body, isEnded: row.isEnded, after: .connectFailure)
        }
    }

    /// A connection with exchanges in hand broke.
    func multiplexedFailed(_ handle: ConnectionHandle, _ flag: ResponseFlags) {
        guard connections[handle].flags.isDisjoint(with: [.connecting, .securing]),
            let streams = streams(handle)
        else {
            transportFailed(handle)
            return
        }
        let wasReused = streams.openedCount > streams.count
        let rows = detachAll(handle, streams)
        for row in rows where exchanges[row.exchange].flags.contains(.tracked) {
            endpointFailed(row.exchange, handle)
        }
        close(handle)
        for row in rows {
            guard row.stream != 0 else {
                // Nothing of it was sent.
                guard exchanges.contains(row.exchange) else { continue }
                moveStream(row.exchange, row.body, isEnded: row.isEnded, after: .connectFailure)
                continue
            }
            var body = row.body
            body.clear(pool)
            guard exchanges.contains(row.exchange) else { continue }
            upstreamLost(row.exchange, wasReused: wasReused, flag)
        }
    }

    /// Takes all exchanges off a connection that ends.
    private func detachAll(
        _ handle: ConnectionHandle,
        _ streams: UpstreamStreams
    ) -> [UpstreamStreams.Row] {
        var rows: [UpstreamStreams.Row] = []
        if connections[handle].flags.contains(.pooled) { unlinkIdle(handle) }
        connections[handle].flags.insert(.closesAfterExchange)
        for index in 0..<streams.rowCount where exchanges.contains(streams[index].exchange) {
            let row = streams[index]
            rows.append(row)
            streams[index].body = ByteQueue()
            streams[index].remoteEnded = true
            streams[index].localEnded = true
            _ = unbind(row.exchange)
        }
        return rows
    }

    /// Sends a request that no endpoint has seen to another connection.
    ///
    /// - Parameters:
    ///   - failure: what became of the last; `nil` when it only has no room.
    ///   - chosen: the endpoint, where it is known.
    func moveStream(
        _ exchange: ExchangeHandle,
        _ body: ByteQueue,
        isEnded: Bool,
        after failure: TryFailure?,
        to chosen: EngineEndpoint? = nil
    ) {
        var body = body
        if let failure, exchanges[exchange].stream < 0 || isRetried(exchange, failure) {
            body.clear(pool)
            tryFailed(exchange, failure)
            return
        }
        guard exchanges[exchange].tries < limits.triesMax,
            let endpoint = chosen ?? chooseEndpoint(exchange)
        else {
            body.clear(pool)
            if exchanges[exchange].tries >= limits.triesMax {
                counters.count(.triesLimitHits)
                exchanges[exchange].responseFlags.insert(.triesUsedUp)
            }
            fail(exchange, status: 503, .upstreamConnectFailure)
            return
        }
        if failure != nil { counters.count(.retries) }
        exchanges[exchange].tries += 1
        exchanges[exchange].upstreamStartNanoseconds = loop.nowNanoseconds
        exchanges[exchange].upstreamAddress = endpoint.address
        exchanges[exchange].upstreamText = AddressText()
        own(endpoint)
        let origin = owner(of: exchange)
        let transport = self.transport(of: exchange)
        let upstream: ConnectionHandle
        if let idle = takeIdle(endpoint, origin, transport) {
            upstream = idle
        } else if let opened = openUpstream(endpoint, origin, transport) {
            awaitConnection(opened, exchange)
            upstream = opened
        } else {
            body.clear(pool)
            fail(exchange, status: 503, .upstreamConnectFailure)
            return
        }
        bind(upstream, to: exchange)
        guard exchanges[exchange].upstreamStream != 0, let streams = streams(upstream) else {
            writeRequestHead(exchange, on: upstream)
            writeBody(exchange, body, isEnded: isEnded)
            return
        }
        let row = Int(exchanges[exchange].upstreamStream - 1)
        streams[row].body = body
        streams[row].isEnded = isEnded
        if streams.session != nil { writeRequestHead(exchange, on: upstream) }
    }

    // MARK: Ending

    /// The deadline of a connection with a transport has passed.
    func multiplexedTimedOut(_ handle: ConnectionHandle) {
        guard let streams = streams(handle) else { return }
        streams.sweepNanoseconds = 0
        if !connections[handle].flags.isDisjoint(with: [.connecting, .securing]) {
            counters.count(.connectTimeouts)
            transportFailed(handle)
        } else if streams.isEmpty {
            counters.count(.poolIdleTimeouts)
            close(handle)
        } else {
            sweep(handle, streams)
        }
    }

    /// Forgets what a connection that is closed had besides.
    func endTransport(_ handle: ConnectionHandle) {
        let index = Int(handle.index)
        if connections[handle].flags.contains(.tls), index < tlsSessions.count,
            !connections[handle].flags.contains(.securing),
            transports[connections[handle].transport] != nil,
            let resumption = tlsSessions[index]?.resumption
        {
            resumptions[connections[handle].endpoint] = (connections[handle].transport, resumption)
        }
        guard connections[handle].flags.contains(.multiplexed) else { return }
        upstreamStreams[index] = nil
    }
}
