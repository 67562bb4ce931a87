import Addressing
import LinuxSystem

/// What a listening socket's connections are, by the number it was added under.
package struct PortConfiguration: Sendable {
    /// The entry point's slot.
    package var entry: Int32
    /// Whether TLS is terminated, by the worker's host table of the entry point.
    package var isTLS: Bool
    /// The network namespace to connect to endpoints from, a descriptor that stays open; -1 for the
    /// node's own.
    package var origin: Int32

    /// Makes a configuration; an origin of -1 is the node's own namespace.
    package init(entry: Int32, isTLS: Bool = false, origin: Int32 = -1) {
        self.entry = entry
        self.isTLS = isTLS
        self.origin = origin
    }
}

/// Clients: accepting, receiving, closing.
extension HTTPProxy {
    /// A body that says its length brings as many bytes, as a power of two, within each time for a
    /// body: 1 KiB.
    private static let bodyPaceShift: UInt64 = 10

    /// Takes over a client's socket.
    ///
    /// - Parameters:
    ///   - local: the address the client dialled.
    ///   - configuration: what the listening socket stands for.
    package func adopt(
        _ fd: Int32,
        peer: SocketAddress,
        local: SocketAddress,
        _ configuration: PortConfiguration
    ) {
        var connection = Connection(fd: fd, role: .downstream, peer: peer, local: local)
        connection.entry = configuration.entry
        connection.origin = configuration.origin
        connection.flags = [.readable, .detects]
        if view.times(configuration.entry).isSet { connection.flags.insert(.timed) }
        if view.boundsConnections(configuration.entry) {
            let isClient = view.proxyAcceptance(configuration.entry) == .off
            guard admits(peer.ip, configuration.entry, isClient: isClient) else {
                loop.network.close(fd)
                return
            }
            connection.flags.insert(.tallied)
        }
        connection.peerText = AddressText(peer, addressScratch)
        guard let handle = connections.insert(connection) else {
            counters.count(.connectionLimitHits)
            if connection.flags.contains(.tallied) {
                tally.remove(peer.ip, entry: connection.entry)
            }
            loop.network.close(fd)
            return
        }
        counters.count(.downstreamConnections)
        do {
            try loop.watch(fd, self, handle)
        } catch {
            close(handle)
            return
        }
        if view.proxyAcceptance(configuration.entry) != .off {
            guard awaitProxyHeader(handle, configuration) else { return }
        } else if !configuration.isTLS {
            setDeadline(handle, headTime(handle))
        } else if !beginTLS(handle) {
            close(handle)
            return
        }
        beginAge(handle)
    }

    @inline(__always)
    func downstreamReady(_ handle: ConnectionHandle, _ readiness: Readiness) {
        let it = connections.place(handle)
        if !readiness.isDisjoint(with: [.error, .hangUp]) {
            guard hangUpIsAnEnd(handle, readiness) else {
                downstreamFailed(handle)
                return
            }
            it.value.flags.insert(.readable)
        }
        if readiness.contains(.peerEnded) { it.value.flags.insert(.peerEnded) }
        if readiness.contains(.readable) { it.value.flags.insert(.readable) }
        if readiness.contains(.writable) && !it.value.output.isEmpty {
            guard flush(handle) else { return }
            downstreamSent(handle)
            guard connections.contains(handle) else { return }
        }
        if it.value.flags.contains(.readable) { receiveDownstream(handle) }
    }

    /// All queued output has been sent: what waited for that goes on.
    private func downstreamSent(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.closesWhenSent) {
            beginDiscarding(handle)
            return
        }
        if connections[handle].flags.contains(.http2) {
            collectHTTP2(handle)
            return
        }
        let exchange = connections[handle].exchange
        guard exchanges.contains(exchange) else {
            setDeadline(handle, idleTime(handle))
            return
        }
        let isTunnel = exchanges[exchange].flags.contains(.tunnel)
        let isTimed = !isTunnel && !exchanges[exchange].flags.contains(.requestEnded)
        setDeadline(handle, isTimed ? bodyTime(handle) : 0)
        resumeResponse(exchange)
        if isTunnel { settleTunnel(exchange) }
    }

    /// Lets a paused connection be read again, at the end of this turn.
    func resumeReading(_ handle: ConnectionHandle) {
        guard connections[handle].flags.contains(.readPaused) else { return }
        connections[handle].flags.remove(.readPaused)
        schedule(handle)
    }

    /// A scheduled turn: leftover bytes first, then the socket.
    func resumeDownstream(_ handle: ConnectionHandle) {
        runCollection(handle)
        guard connections.contains(handle) else { return }
        if !connections[handle].input.isEmpty && !connections[handle].headEnd.isActive {
            processWaiting(handle)
        }
        guard connections.contains(handle) else { return }
        if connections[handle].flags.contains(.readable) { receiveDownstream(handle) }
    }

    private func processWaiting(_ handle: ConnectionHandle) {
        guard !connections[handle].flags.contains(.readPaused) else { return }
        processInput(handle)
    }

    /// Works through all bytes that wait.
    private func processInput(_ handle: ConnectionHandle) {
        let count = stageAll(handle)
        let consumed = processDownstream(handle, count)
        keep(handle, from: consumed, to: count)
    }

    /// Copies the bytes that wait to the front of `received`, so that more can be received behind.
    @inline(__always)
    func stage(_ it: Place<Connection>) -> Int {
        guard !it.value.input.isEmpty else { return 0 }
        var target = received.mutableBytes(0, received.capacity - HTTPProxy.receiveByteLimit)
        return it.value.input.copy(into: &target, pool)
    }

    /// Copies all bytes that wait to the front of `received`: a head in part and what was received
    /// behind it at once.
    func stageAll(_ handle: ConnectionHandle) -> Int {
        var target = received.mutableBytes(0, received.capacity)
        return connections[handle].input.copy(into: &target, pool)
    }

    /// Keeps the unprocessed rest of the bytes in hand for later.
    @inline(__always)
    func keep(_ handle: ConnectionHandle, from start: Int, to end: Int) {
        guard let it = connections.find(handle) else { return }
        if !it.value.input.isEmpty { it.value.input.clear(pool) }
        guard start < end else { return }
        if !it.value.input.append(received.bytes(start, end - start), pool) {
            counters.count(.bufferLimitHits)
            markBroken(handle)
        }
    }

    private func receiveDownstream(_ handle: ConnectionHandle) {
        for _ in 0..<HTTPProxy.readRoundMax {
            guard let it = connections.find(handle), canReceive(it) else { return }
            if it.value.headEnd.isActive {
                guard receiveHeadPart(handle) else { return }
                if !connections[handle].headEnd.isActive { processInput(handle) }
                finishGathering()
                continue
            }
            let waiting = stage(it)
            guard let count = receive(handle, it, after: waiting) else { return }
            let total = waiting + count
            let consumed = processDownstream(handle, total)
            keep(handle, from: consumed, to: total)
            finishGathering()
        }
        if let it = connections.find(handle), canReceive(it) { schedule(handle) }
    }

    @inline(__always)
    func canReceive(_ handle: ConnectionHandle) -> Bool { canReceive(connections.place(handle)) }

    @inline(__always)
    func canReceive(_ it: Place<Connection>) -> Bool {
        it.value.flags.intersection([.readable, .readPaused, .broken]) == .readable
    }

    /// Receives plain bytes behind those staged.
    ///
    /// - Parameter it: the connection of `handle`.
    /// - Returns: how many; `nil` when nothing came or the connection is gone.
    @inline(__always)
    func receive(
        _ handle: ConnectionHandle,
        _ it: Place<Connection>,
        after waiting: Int
    ) -> Int? {
        if !it.value.flags.isDisjoint(with: [.tls, .awaitsProxyHeader]) {
            return receiveEncrypted(handle, waiting)
        }
        let outcome = loop.network.receive(
            it.value.fd,
            into: received,
            at: waiting,
            byteLimit: HTTPProxy.receiveByteLimit
        )
        switch outcome {
        case .received(let count):
            if count < HTTPProxy.receiveByteLimit && !it.value.flags.contains(.peerEnded)
                && loop.network.simulation == nil
            {
                it.value.flags.remove(.readable)
            }
            return count
        case .blocked:
            it.value.flags.remove(.readable)
        case .ended:
            it.value.flags.remove(.readable)
            peerEnded(handle)
        case .failed:
            connectionFailed(handle)
        }
        return nil
    }

    /// Receives on a connection that is to be looked up.
    func receive(_ handle: ConnectionHandle, after waiting: Int) -> Int? {
        receive(handle, connections.place(handle), after: waiting)
    }

    func peerEnded(_ handle: ConnectionHandle) {
        switch connections[handle].role {
        case .downstream: downstreamEnded(handle)
        case .upstream: upstreamEnded(handle)
        }
    }

    /// The client has ended its direction: an exchange that has all of its request goes on.
    func downstreamEnded(_ handle: ConnectionHandle) {
        let exchange = connections[handle].exchange
        if exchanges.contains(exchange), exchanges[exchange].flags.contains(.tunnel) {
            tunnelClientEnded(exchange)
            return
        }
        guard exchanges.contains(exchange), exchanges[exchange].flags.contains(.requestEnded),
            !connections[handle].flags.contains(.http2)
        else {
            downstreamFailed(handle)
            return
        }
        connections[handle].flags.insert(.closesAfterExchange)
    }

    /// The client is gone: what it asked for is given up.
    func downstreamFailed(_ handle: ConnectionHandle) {
        if connections[handle].flags.contains(.http2) { abandonHTTP2Exchanges(handle) }
        let exchange = connections[handle].exchange
        if exchanges.contains(exchange) { abandon(exchange, .downstreamClosed) }
        close(handle)
    }

    /// Works through the bytes in hand.
    ///
    /// - Returns: how many were taken; the rest waits.
    private func processDownstream(_ handle: ConnectionHandle, _ count: Int) -> Int {
        var at = 0
        if !connections[handle].flags.isDisjoint(with: [.detects, .http2]) {
            if connections[handle].flags.contains(.detects) {
                guard detectProtocol(handle, received.bytes(0, count)) else { return 0 }
            }
            if connections[handle].flags.contains(.http2) {
                receiveHTTP2(handle, received.bytes(0, count))
                return count
            }
        }
        while at < count, let it = connections.find(handle) {
            if !it.value.flags.isDisjoint(
                with: [.discards, .readPaused, .broken, .closesWhenSent]
            ) {
                guard it.value.flags.contains(.discards) else { return at }
                discard(handle, count - at)
                return count
            }
            let step: Int
            if it.value.exchange.isSome, exchanges.contains(it.value.exchange) {
                step = processBody(handle, at, count)
            } else {
                step = processHead(handle, at, count)
            }
            guard step > 0 else { return at }
            at &+= step
        }
        return at
    }

    /// Parses a request head and begins its exchange.
    @inline(__always)
    private func processHead(_ handle: ConnectionHandle, _ start: Int, _ end: Int) -> Int {
        guard let block = pool.take() else {
            counters.count(.bufferLimitHits)
            markBroken(handle)
            return 0
        }
        var fields = pool.mutableElements(
            block,
            at: ExchangeBlock.fieldOffset,
            count: ExchangeBlock.fieldMax,
            of: HeaderField.self
        )
        let bytes = received.bytes(start, end - start)
        var head = HTTP1RequestHead()
        switch HTTP1Head.read(&head, bytes, &fields, limits.head, fieldMemos) {
        case .needMore:
            pool.give(block)
            if connections[handle].exchangeCount > 0 && connections[handle].input.isEmpty {
                setDeadline(handle, headTime(handle))
            }
            beginHeadSearch(handle, bytes)
            return 0
        case .fault(let fault):
            pool.give(block)
            refuse(handle, fault)
            return 0
        case .complete:
            pool.write(bytes.extracting(0..<head.headByteCount), to: block, at: 0)
            beginExchange(handle, block, &head)
            return head.headByteCount
        }
    }

    /// Whether so many bytes more prolong the time for a body. One that says its length must come at
    /// a pace: a dribble prolongs nothing until it has come to a whole KiB.
    @inline(__always)
    func isProgress(_ exchange: ExchangeHandle, _ byteCount: Int) -> Bool {
        guard case .length = exchanges[exchange].head.framing else { return true }
        let before = exchanges[exchange].bytesReceived
        return (before ^ (before &+ UInt64(byteCount))) >> HTTPProxy.bodyPaceShift > 0
    }

    /// Takes bytes of the body of the request in hand.
    private func processBody(_ handle: ConnectionHandle, _ start: Int, _ end: Int) -> Int {
        let exchange = connections[handle].exchange
        guard !exchanges[exchange].flags.contains(.requestEnded) else {
            connections[handle].flags.insert(.readPaused)
            return 0
        }
        let bytes = received.bytes(start, end - start)
        if exchanges[exchange].flags.contains(.tunnel) { return passFromClient(exchange, bytes) }
        switch connections[handle].body.next(bytes) {
        case .data(let skipped, let byteCount):
            let data = bytes.extracting(skipped..<(skipped + byteCount))
            if isProgress(exchange, byteCount) { setDeadline(handle, bodyTime(handle)) }
            forwardRequestBody(exchange, data)
            if connections.contains(handle), connections[handle].body.isComplete {
                requestEnded(exchange)
            }
            return skipped + byteCount
        case .needMore(let consumed):
            return keepRequestTrailers(handle, exchange, bytes, consumed, isEnd: false)
        case .end(let consumed):
            return keepRequestTrailers(handle, exchange, bytes, consumed, isEnd: true)
        case .fault(let fault):
            counters.count(.protocolErrors)
            countLimit(of: fault)
            refuseBody(exchange, fault)
            return 0
        }
    }

    /// Takes framing that may hold trailers.
    private func keepRequestTrailers(
        _ handle: ConnectionHandle,
        _ exchange: ExchangeHandle,
        _ bytes: RawSpan,
        _ consumed: Int,
        isEnd: Bool
    ) -> Int {
        let byteCount = connections[handle].body.trailerByteCount
        if byteCount > 0 {
            let fault = keepTrailers(
                exchange,
                .request,
                bytes,
                consumed: consumed,
                byteCount: byteCount,
                isEnd: isEnd
            )
            if let fault {
                counters.count(.protocolErrors)
                refuseBody(exchange, fault)
                return 0
            }
        }
        if isEnd { requestEnded(exchange) }
        return consumed
    }

    func discard(_ handle: ConnectionHandle, _ byteCount: Int) {
        let before = connections[handle].bodyDiscarded
        connections[handle].bodyDiscarded = before + byteCount
        if connections[handle].bodyDiscarded > limits.discardByteLimit {
            counters.count(.discardLimitHits)
            close(handle)
        }
    }

    /// Closes towards a client that may still be sending: the sending direction ends at once, the
    /// rest is thrown away for a while, so that no reset overtakes the response (RFC 9112 9.6).
    func beginDiscarding(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        if isBlocked(handle) {
            connections[handle].flags.insert(.closesWhenSent)
            return
        }
        if connections[handle].flags.contains(.tls) { closeTLS(handle) }
        loop.network.endSending(connections[handle].fd)
        connections[handle].input.clear(pool)
        connections[handle].headEnd = HeadEndSearch()
        connections[handle].flags.insert(.discards)
        connections[handle].flags.subtract([.readPaused, .closesWhenSent])
        setDeadline(handle, timeouts.discard)
        schedule(handle)
    }

    /// Answers a request whose head could not be read, and closes.
    private func refuse(_ handle: ConnectionHandle, _ fault: HTTP1Fault) {
        counters.count(.protocolErrors)
        countLimit(of: fault)
        noteProtocolAbuse(handle)
        writeBareReply(handle, status: fault.status)
        logRefusal(handle, status: fault.status)
        finishGathering()
        beginDiscarding(handle)
    }

    /// A connection's deadline has passed.
    func connectionTimedOut(_ handle: ConnectionHandle) {
        guard connections[handle].role == .downstream else {
            upstreamTimedOut(handle)
            return
        }
        let exchange = connections[handle].exchange
        if isBlocked(handle) {
            counters.count(.sendTimeouts)
            noteProtocolAbuse(handle)
            downstreamFailed(handle)
        } else if connections[handle].flags.contains(.awaitsProxyHeader) {
            proxyHeaderTimedOut(handle)
        } else if connections[handle].flags.contains(.handshaking) {
            handshakeTimedOut(handle)
        } else if connections[handle].flags.contains(.discards) {
            counters.count(.discardTimeouts)
            close(handle)
        } else if connections[handle].flags.contains(.http2) {
            http2TimedOut(handle)
        } else if exchanges.contains(exchange) {
            counters.count(.bodyTimeouts)
            noteProtocolAbuse(handle)
            fail(exchange, status: 408, .downstreamTimeout)
        } else if connections[handle].input.isEmpty && connections[handle].exchangeCount > 0 {
            counters.count(.idleTimeouts)
            close(handle)
        } else {
            headerTimedOut(handle)
        }
    }

    private func headerTimedOut(_ handle: ConnectionHandle) {
        counters.count(.headerTimeouts)
        if connections[handle].input.isEmpty {
            close(handle)
            return
        }
        noteProtocolAbuse(handle)
        writeBareReply(handle, status: 408)
        logRefusal(handle, status: 408)
        finishGathering()
        beginDiscarding(handle)
    }

    /// Closes idle connections and has the others close after what they have in hand.
    package func drain() {
        isDraining = true
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index) else { continue }
            let connection = connections[handle]
            switch connection.role {
            case .downstream where connection.flags.contains(.http2): drainHTTP2(handle)
            case .downstream where connection.exchange.isSome: break
            case .downstream where connection.input.isEmpty && connection.exchangeCount > 0:
                close(handle)
            case .downstream: break
            case .upstream where connection.flags.contains(.pooled): retireIdle(handle)
            case .upstream: break
            }
        }
    }

    /// Downstream connections that connect from a namespace.
    package func connectionCount(origin: Int32) -> Int {
        var count = 0
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index) else { continue }
            if connections[handle].role == .downstream && connections[handle].origin == origin {
                count += 1
            }
        }
        return count
    }

    /// Closes idle upstream connections that were made from a namespace.
    package func dropIdle(origin: Int32) {
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index),
                connections[handle].flags.contains(.pooled),
                connections[handle].origin == origin
            else { continue }
            retireIdle(handle)
        }
    }

    /// Downstream connections and exchanges that are left.
    package var activeCount: Int {
        var count = 0
        for index in 0..<connections.endIndex {
            guard let handle = connections.handle(at: index) else { continue }
            if connections[handle].role == .downstream { count += 1 }
        }
        return count
    }
}
