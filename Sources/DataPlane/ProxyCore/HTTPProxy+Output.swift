import LinuxSystem

/// Sending: what one event produces for a connection is gathered and sent in one call.
extension HTTPProxy {
    /// Begins or goes on gathering for a connection; what was gathered for another is sent.
    @inline(__always)
    func gather(for handle: ConnectionHandle) {
        guard gathering != handle else {
            if !passing.isEmpty { gatherPassing() }
            return
        }
        finishGathering()
        gathering = handle
    }

    /// Begins to send a run of `received` as it is, without TLS, when nothing is before it.
    ///
    /// - Returns: `false` when it must be written.
    @inline(__always)
    func pass(_ handle: ConnectionHandle, _ run: Range<Int>) -> Bool {
        gather(for: handle)
        guard gathered.count == 0 else { return false }
        passing = run
        return true
    }

    /// Something is to come behind the run that passes: it is gathered like anything else.
    private func gatherPassing() {
        gathered.append(received.bytes(passing.lowerBound, passing.count))
        passing = 0..<0
    }

    /// Sends bytes on a connection that stand at `offset` of `received`.
    @inline(__always)
    func write(_ handle: ConnectionHandle, _ bytes: RawSpan, at offset: Int) {
        if gathering == handle && passing.upperBound == offset && !passing.isEmpty {
            passing = passing.lowerBound..<(offset &+ bytes.byteCount)
        } else {
            write(handle, bytes)
        }
    }

    /// Sends bytes on a connection, by way of the gathered ones.
    func write(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        gather(for: handle)
        if bytes.byteCount < HTTPProxy.gatherByteLimit
            && gathered.count + bytes.byteCount <= gathered.capacity
        {
            gathered.append(bytes)
        } else {
            sendGathered(and: bytes)
        }
    }

    /// Makes room for a head to be appended to the gathered bytes.
    @inline(__always)
    func reserveGathered(for handle: ConnectionHandle) {
        gather(for: handle)
        if gathered.count > gathered.capacity / 2 { sendGathered(and: RawSpan()) }
    }

    /// Sends what has been gathered.
    @inline(__always)
    func finishGathering() {
        if gathering.isSome { endGathering() }
    }

    @inline(never)
    private func endGathering() {
        if !passing.isEmpty {
            let run = received.bytes(passing.lowerBound, passing.upperBound &- passing.lowerBound)
            passing = 0..<0
            sendAtOnce(run)
        } else if gathered.overflowed {
            breakOverflown()
            gathered.reset()
        } else if gathered.count > 0 {
            sendAtOnce(gathered.bytes())
            gathered.reset()
        }
        gathering = .none
    }

    private func breakOverflown() {
        counters.count(.bufferLimitHits)
        if connections.contains(gathering) { markBroken(gathering) }
    }

    /// Sends bytes on `gathering`, by the short way when nothing stands before them.
    @inline(__always)
    private func sendAtOnce(_ bytes: RawSpan) {
        let handle = gathering
        guard let it = connections.find(handle), it.value.output.isEmpty,
            it.value.flags.isDisjoint(with: [.tls, .broken, .connecting])
        else {
            send(handle, bytes, RawSpan())
            return
        }
        let sent = loop.network.sendOnce(it.value.fd, bytes)
        guard sent < bytes.byteCount else { return }
        sendPlain(handle, bytes.extracting(max(sent, 0)..<bytes.byteCount), RawSpan())
    }

    /// Sends what has been gathered, and bytes behind it. Gathered bytes that did not fit are a broken
    /// message: the connection goes no further.
    private func sendGathered(and bytes: RawSpan) {
        if gathered.overflowed {
            breakOverflown()
        } else {
            send(gathering, gathered.bytes(), bytes)
        }
        gathered.reset()
    }

    private func send(_ handle: ConnectionHandle, _ first: RawSpan, _ second: RawSpan) {
        guard connections.contains(handle), !connections[handle].flags.contains(.broken) else {
            return
        }
        if connections[handle].flags.contains(.tls) {
            sendEncrypted(handle, first)
            sendEncrypted(handle, second)
        } else {
            sendPlain(handle, first, second)
        }
    }

    /// Sends two runs, or queues them behind what is queued already.
    func sendPlain(_ handle: ConnectionHandle, _ first: RawSpan, _ second: RawSpan) {
        guard first.byteCount + second.byteCount > 0 else { return }
        guard connections[handle].output.isEmpty,
            !connections[handle].flags.contains(.connecting)
        else {
            enqueue(handle, first)
            enqueue(handle, second)
            return
        }
        let fd = connections[handle].fd
        let sent: Int
        let outcome: SendOutcome
        if first.byteCount > 0 && second.byteCount > 0 {
            (sent, outcome) = loop.network.send(fd, first, second)
        } else {
            (sent, outcome) = loop.network.send(fd, first.byteCount > 0 ? first : second)
        }
        if case .failed = outcome {
            markBroken(handle)
            return
        }
        guard outcome == .blocked else { return }
        if sent < first.byteCount {
            enqueue(handle, first.extracting(sent..<first.byteCount))
            enqueue(handle, second)
        } else {
            enqueue(handle, second.extracting((sent - first.byteCount)..<second.byteCount))
        }
    }

    private func enqueue(_ handle: ConnectionHandle, _ bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        if connections[handle].output.isEmpty && connections[handle].role == .downstream {
            setDeadline(handle, timeouts.send)
        }
        if !connections[handle].output.append(bytes, pool) {
            counters.count(.bufferLimitHits)
            markBroken(handle)
        }
    }

    /// Has the connection closed at the end of this event: it cannot be used further.
    func markBroken(_ handle: ConnectionHandle) {
        connections[handle].flags.insert(.broken)
        schedule(handle)
    }

    /// Whether a connection has bytes its socket did not take: its source is then paused.
    @inline(__always)
    func isBlocked(_ handle: ConnectionHandle) -> Bool {
        connections.contains(handle) && !connections[handle].output.isEmpty
    }

    /// Sends queued output.
    ///
    /// - Returns: whether the connection is still there and has nothing left to send.
    func flush(_ handle: ConnectionHandle) -> Bool {
        guard !connections[handle].output.isEmpty else { return true }
        let fd = connections[handle].fd
        let before = connections[handle].output.byteCount
        switch loop.network.send(fd, &connections[handle].output, pool) {
        case .sent:
            return true
        case .blocked:
            if connections[handle].role == .downstream
                && connections[handle].output.byteCount < before
            {
                setDeadline(handle, timeouts.send)
            }
            return false
        case .failed:
            connectionFailed(handle)
            return false
        }
    }

    /// Sets a connection's deadline, from now.
    @inline(__always)
    func setDeadline(_ handle: ConnectionHandle, _ nanoseconds: UInt64) {
        connectionTimers.set(
            handle.index,
            nanoseconds == 0 ? 0 : loop.nowNanoseconds &+ nanoseconds
        )
    }
}
