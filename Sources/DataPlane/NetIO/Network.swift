import Addressing
import LinuxSystem

/// What a loop asks of the kernel, or, in simulations, of `SimulatedNetwork`: one predictable branch
/// a call.
///
/// Results are counts, descriptors, or negative error numbers, as the kernel gives them.
package struct Network {
    /// The simulation that stands in for the kernel; `nil` for the kernel itself.
    package let simulation: SimulatedNetwork?

    /// The kernel.
    package static var kernel: Network { Network(simulation: nil) }

    /// Makes a network; `nil` for the kernel.
    package init(simulation: SimulatedNetwork?) {
        self.simulation = simulation
    }

    /// The monotonic clock, nanoseconds.
    func monotonicNanoseconds() -> UInt64 {
        if let simulation { return simulation.nowNanoseconds }
        return Clock.monotonicNanoseconds()
    }

    /// The wall clock, nanoseconds since 1970.
    func wallNanoseconds() -> UInt64 {
        if let simulation { return simulation.nowNanoseconds }
        return Clock.wallNanoseconds()
    }

    /// Receives into a region (`recv(2)`). 0 is the end.
    @inline(__always)
    func receive(_ fd: Int32, _ target: UnsafeMutableRawPointer, _ byteCount: Int) -> Int {
        if let simulation { return unsafe simulation.receive(fd, target, byteCount) }
        return unsafe SystemCall.receive(fd, target, byteCount)
    }

    /// Sends from a region (`send(2)`), without SIGPIPE.
    @inline(__always)
    func send(_ fd: Int32, _ source: UnsafeRawPointer, _ byteCount: Int) -> Int {
        if let simulation { return unsafe simulation.send(fd, source, byteCount) }
        return unsafe SystemCall.send(fd, source, byteCount)
    }

    /// Closes a descriptor.
    package func close(_ fd: Int32) {
        if let simulation {
            simulation.close(fd)
        } else {
            SystemCall.close(fd)
        }
    }

    /// Ends the sending direction (`shutdown(2)`, SHUT_WR).
    package func endSending(_ fd: Int32) {
        if let simulation {
            simulation.endSending(fd)
        } else {
            SystemCall.endSending(fd)
        }
    }

    /// Makes `close` reset the connection (`SO_LINGER` of zero).
    package func resetOnClose(_ fd: Int32) {
        if let simulation {
            simulation.resetOnClose(fd)
        } else {
            SystemCall.resetOnClose(fd)
        }
    }

    /// The error a connect ended with, or `nil`.
    package func connectError(_ fd: Int32) -> Errno? {
        if let simulation { return simulation.connectError(fd) }
        return Socket.pendingError(of: fd)
    }

    /// Takes a waiting connection; `nil` when none waits.
    func accept(_ fd: Int32) throws(Errno) -> (fd: Int32, peer: SocketAddress)? {
        if let simulation { return simulation.accept(fd) }
        do {
            return try Socket.accept(fd)
        } catch .again {
            return nil
        }
    }

    /// Begins a connection.
    package func connect(
        to address: SocketAddress,
        from source: SocketAddress?,
        _ configuration: SocketConfiguration
    ) throws(Errno) -> Int32 {
        if let simulation { return simulation.connect(to: address) }
        return try Socket.connect(to: address, from: source, configuration).release()
    }

    /// The address a socket is bound to, or `[::]:0`.
    package func localAddress(_ fd: Int32) -> SocketAddress {
        if let simulation { return simulation.localAddress(fd) }
        return (try? Socket.localAddress(of: fd)) ?? SocketAddress(.anyIPv6, 0)
    }
}
