import CLinux
import Glibc

/// The system calls of an event loop, raw: results are counts or descriptors, or negative error
/// numbers, and no memory is owned. NetIO wraps them.
package enum SystemCall {
    /// `recv(2)`.
    package static func receive(
        _ fd: Int32,
        _ target: UnsafeMutableRawPointer,
        _ byteCount: Int
    ) -> Int {
        unsafe clinux_recv(fd, target, byteCount, 0)
    }

    /// `send(2)` without SIGPIPE.
    package static func send(_ fd: Int32, _ source: UnsafeRawPointer, _ byteCount: Int) -> Int {
        unsafe clinux_send(fd, source, byteCount, Int32(MSG_NOSIGNAL))
    }

    /// `sendmsg(2)` of two runs without SIGPIPE.
    package static func send(
        _ fd: Int32,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer
    ) -> Int {
        guard let head = first.baseAddress, let body = second.baseAddress else { return 0 }
        return unsafe clinux_send_two(fd, head, first.count, body, second.count)
    }

    /// `write(2)`.
    package static func write(_ fd: Int32, _ source: UnsafeRawPointer, _ byteCount: Int) -> Int {
        unsafe clinux_write(fd, source, byteCount)
    }

    /// `close(2)`.
    package static func close(_ fd: Int32) { _ = clinux_close(fd) }

    /// `shutdown(2)` of the sending direction.
    package static func endSending(_ fd: Int32) { _ = clinux_shutdown(fd, Int32(SHUT_WR)) }

    /// Has `close` reset the connection (`SO_LINGER` of zero).
    package static func resetOnClose(_ fd: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        let length = socklen_t(MemoryLayout<linger>.size)
        _ = unsafe clinux_setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, length)
    }
}

/// A counter in the kernel that wakes a waiting thread (`eventfd(2)`).
package struct Wakeup: ~Copyable, Sendable {
    private let descriptor: OwnedFD

    /// Makes one.
    ///
    /// - Parameter blocks: whether `wait` waits for a signal.
    package init(blocks: Bool) throws(Errno) {
        let flags = blocks ? 0o2000000 : 0o2000000 | 0o4000
        descriptor = OwnedFD(owning: Int32(try Errno.check(clinux_eventfd(0, Int32(flags)))))
    }

    /// Wakes the waiter; from any thread.
    package func signal() {
        var one: UInt64 = 1
        _ = unsafe clinux_write(descriptor.rawValue, &one, 8)
    }

    /// Takes the signals so far; waits for one if it blocks.
    package func wait() {
        var value: UInt64 = 0
        _ = unsafe clinux_read(descriptor.rawValue, &value, 8)
    }

    /// The descriptor, to be watched by an `Epoll`.
    package var rawValue: Int32 { descriptor.rawValue }
}

/// A set of watched descriptors (`epoll(7)`).
@safe package final class Epoll: @unchecked Sendable {
    // SAFETY: `add` and `remove` are system calls; `wait` and the events belong to one thread.

    /// Events taken at once.
    package static let batch = 256

    private let descriptor: OwnedFD
    private let events: UnsafeMutablePointer<epoll_event>

    /// Makes an empty set.
    package init() throws(Errno) {
        descriptor = OwnedFD(owning: Int32(try Errno.check(clinux_epoll_create())))
        unsafe events = .allocate(capacity: Epoll.batch)
    }

    deinit { unsafe events.deallocate() }

    /// Watches a descriptor until it is closed.
    package func add(_ fd: Int32, events interest: UInt32, tag: UInt64) throws(Errno) {
        let result = clinux_epoll_ctl(descriptor.rawValue, EPOLL_CTL_ADD, fd, interest, tag)
        _ = try Errno.check(result)
    }

    /// Stops watching a descriptor that stays open.
    package func remove(_ fd: Int32) {
        _ = clinux_epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// Waits for events.
    ///
    /// - Returns: how many there are; 0 after the time, or a signal.
    package func wait(milliseconds: Int32) -> Int {
        let result = unsafe clinux_epoll_wait(
            descriptor.rawValue,
            events,
            Int32(Epoll.batch),
            milliseconds
        )
        return max(result, 0)
    }

    /// An event of the last wait.
    package subscript(index: Int) -> (tag: UInt64, events: UInt32) {
        precondition(index >= 0 && index < Epoll.batch)
        return (
            unsafe clinux_epoll_tag(events + index), unsafe clinux_epoll_events(events + index)
        )
    }
}

/// Raw threads, apart from the concurrency runtime's.
package enum RawThread {
    /// Starts a detached thread.
    ///
    /// - Parameter name: at most 15 bytes, as `ps` shows it.
    package static func start(
        name: String,
        _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        let launch = Launch(name: name, body: body)
        let argument = unsafe Unmanaged.passRetained(launch).toOpaque()
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Launch>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            argument
        )
        guard result == 0 else {
            unsafe Unmanaged<Launch>.fromOpaque(argument).release()
            throw Errno(result)
        }
        _ = pthread_detach(thread)
    }

    private final class Launch: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }

        func run() {
            _ = unsafe name.withCString { unsafe clinux_prctl_set_name($0) }
            body()
        }
    }

    /// Lets the calling thread sleep.
    package static func sleep(milliseconds: UInt32) { usleep(milliseconds * 1_000) }
}
