import Addressing
import CLinux
import Glibc

/// Questions and answers with a server, blocking, for a `BlockingThread`. Each has a socket of its
/// own, whose port the kernel picks at random.
package enum ServerExchange {
    /// Sends a datagram and waits for one that is accepted; others are passed over. Only datagrams
    /// of the server's own address and port come this far.
    ///
    /// - Throws: `.timedOut` where none came in time.
    package static func datagram(
        _ bytes: [UInt8],
        to server: SocketAddress,
        timeoutMilliseconds: Int32,
        accepts: ([UInt8]) -> Bool
    ) throws(Errno) -> [UInt8] {
        let socket = try connected(to: server, clinux_sock_dgram)
        try send(bytes, on: socket.rawValue)
        let deadline = Clock.monotonicNanoseconds() + UInt64(timeoutMilliseconds) * 1_000_000
        while true {
            try wait(for: Int16(POLLIN), on: socket.rawValue, until: deadline)
            let answer = try receive(65_535, on: socket.rawValue)
            if accepts(answer) { return answer }
        }
    }

    /// Sends a message behind its length over TCP and reads one like it (RFC 1035 section 4.2.2).
    package static func stream(
        _ bytes: [UInt8],
        to server: SocketAddress,
        timeoutMilliseconds: Int32
    ) throws(Errno) -> [UInt8] {
        let deadline = Clock.monotonicNanoseconds() + UInt64(timeoutMilliseconds) * 1_000_000
        let socket = try connected(to: server, clinux_sock_stream)
        try wait(for: Int16(POLLOUT), on: socket.rawValue, until: deadline)
        if let error = Socket.pendingError(of: socket.rawValue) { throw error }
        let length = UInt16(clamping: bytes.count)
        let framed = [UInt8(length >> 8), UInt8(length & 255)] + bytes
        try send(framed, on: socket.rawValue)
        var received: [UInt8] = []
        while true {
            if received.count >= 2 {
                let wanted = Int(received[0]) << 8 | Int(received[1])
                if received.count >= 2 + wanted { return Array(received[2..<2 + wanted]) }
            }
            try wait(for: Int16(POLLIN), on: socket.rawValue, until: deadline)
            let more = try receive(65_537 - received.count, on: socket.rawValue)
            guard !more.isEmpty else { throw .connectionReset }
            received += more
        }
    }

    private static func connected(
        to server: SocketAddress,
        _ kind: Int32
    ) throws(Errno) -> OwnedFD {
        let family = server.ip.isIPv4 ? AF_INET : AF_INET6
        let flags = kind | clinux_sock_nonblock | clinux_sock_cloexec
        let fd = try Errno.check(clinux_socket(family, flags, 0))
        let socket = OwnedFD(owning: Int32(fd))
        var raw = clinux_address()
        let length = Socket.encode(server, into: &raw)
        let result = unsafe clinux_connect(socket.rawValue, &raw, length)
        guard result == 0 || result == -Int(EINPROGRESS) else { throw Errno(Int32(-result)) }
        return socket
    }

    private static func send(_ bytes: [UInt8], on descriptor: Int32) throws(Errno) {
        let flags = Int32(MSG_NOSIGNAL)
        let sent = unsafe Glibc.send(descriptor, bytes, bytes.count, flags)
        // A question is far smaller than a socket's buffer.
        guard sent == bytes.count else { throw sent < 0 ? .current() : .brokenPipe }
    }

    private static func receive(_ byteLimit: Int, on descriptor: Int32) throws(Errno) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: max(byteLimit, 0))
        let count = unsafe Glibc.recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw .current() }
        return Array(buffer.prefix(count))
    }

    private static func wait(
        for events: Int16,
        on descriptor: Int32,
        until deadline: UInt64
    ) throws(Errno) {
        while true {
            let now = Clock.monotonicNanoseconds()
            guard now < deadline else { throw .timedOut }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let left = Int32(clamping: (deadline - now) / 1_000_000 + 1)
            let ready = unsafe poll(&entry, 1, left)
            if ready > 0 { return }
            if ready < 0 && errno != EINTR { throw .current() }
        }
    }
}
