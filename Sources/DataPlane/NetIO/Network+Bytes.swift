import LinuxSystem

/// How an attempt to send everything ended.
package enum SendOutcome: Equatable, BitwiseCopyable {
    /// Everything was sent.
    case sent
    /// The socket is full; the rest waits for writability.
    case blocked
    /// The connection is broken.
    case failed(Errno)
}

/// How an attempt to receive ended.
package enum ReceiveOutcome: Equatable, BitwiseCopyable {
    /// That many bytes came, at least one.
    case received(Int)
    /// The peer ended its direction.
    case ended
    /// Nothing is there now.
    case blocked
    /// The connection is broken.
    case failed(Errno)
}

extension Network {
    private static let again = -11
    private static let interrupted = -4

    /// Receives into a scratch region at `offset`, at most `byteLimit` bytes.
    @inline(__always)
    package func receive(
        _ fd: Int32,
        into scratch: ScratchBuffer,
        at offset: Int,
        byteLimit: Int
    ) -> ReceiveOutcome {
        precondition(offset >= 0 && byteLimit > 0 && offset &+ byteLimit <= scratch.capacity)
        var count = Network.interrupted
        if simulation == nil {
            count = unsafe SystemCall.receive(fd, scratch.memory + offset, byteLimit)
            if count > 0 { return .received(count) }
        }
        return receive(fd, into: scratch, at: offset, byteLimit: byteLimit, after: count)
    }

    /// Says what a call meant that received nothing, and makes it again if it was interrupted.
    @inline(never)
    private func receive(
        _ fd: Int32,
        into scratch: ScratchBuffer,
        at offset: Int,
        byteLimit: Int,
        after first: Int
    ) -> ReceiveOutcome {
        var count = first
        while true {
            if count > 0 { return .received(count) }
            if count == 0 { return .ended }
            if count == Network.again { return .blocked }
            if count != Network.interrupted { return .failed(Errno(Int32(-count))) }
            count = unsafe receive(fd, scratch.memory + offset, byteLimit)
        }
    }

    /// Sends bytes.
    ///
    /// - Returns: how many were sent before the socket was full or failed, and how it ended.
    package func send(_ fd: Int32, _ bytes: RawSpan) -> (byteCount: Int, outcome: SendOutcome) {
        var sent = 0
        while sent < bytes.byteCount {
            let count = unsafe bytes.withUnsafeBytes { source in
                unsafe send(fd, source.baseAddress.unsafelyUnwrapped + sent, bytes.byteCount - sent)
            }
            if count >= 0 {
                sent += count
                continue
            }
            if count == Network.interrupted { continue }
            if count == Network.again { return (sent, .blocked) }
            return (sent, .failed(Errno(Int32(-count))))
        }
        return (sent, .sent)
    }

    /// Tries to send bytes in one call.
    ///
    /// - Returns: how many the socket took; 0 or less when it took none.
    @inline(__always)
    package func sendOnce(_ fd: Int32, _ bytes: RawSpan) -> Int {
        guard bytes.byteCount > 0 else { return 0 }
        return unsafe bytes.withUnsafeBytes { source in
            unsafe send(fd, source.baseAddress.unsafelyUnwrapped, bytes.byteCount)
        }
    }

    /// Sends what a queue holds, as far as the socket takes it.
    package func send(_ fd: Int32, _ queue: inout ByteQueue, _ pool: BufferPool) -> SendOutcome {
        while !queue.isEmpty {
            let (count, outcome) = send(fd, queue.firstRun(pool))
            queue.consume(count, pool)
            if outcome != .sent { return outcome }
        }
        return .sent
    }

    /// Sends two runs of bytes, in one call where the kernel takes them.
    ///
    /// - Returns: how many bytes of both were sent, and how it ended.
    package func send(
        _ fd: Int32,
        _ first: RawSpan,
        _ second: RawSpan
    ) -> (byteCount: Int, outcome: SendOutcome) {
        if simulation != nil {
            let (count, outcome) = send(fd, first)
            guard outcome == .sent else { return (count, outcome) }
            let (rest, last) = send(fd, second)
            return (count + rest, last)
        }
        let count = unsafe first.withUnsafeBytes { head in
            unsafe second.withUnsafeBytes { body in
                unsafe SystemCall.send(fd, head, body)
            }
        }
        let total = first.byteCount + second.byteCount
        if count == total { return (count, .sent) }
        if count >= 0 { return (count, .blocked) }
        if count == Network.interrupted { return send(fd, first, second) }
        if count == Network.again { return (0, .blocked) }
        return (0, .failed(Errno(Int32(-count))))
    }
}
