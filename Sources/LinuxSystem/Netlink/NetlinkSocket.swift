import CLibMNL
import CLinux
import Glibc

/// Why a netlink request failed.
package struct NetlinkError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the request was about.
    package let subject: String
    /// The kernel's answer.
    package let errno: Errno

    /// Makes an error.
    package init(subject: String, errno: Errno) {
        self.subject = subject
        self.errno = errno
    }

    /// `subject: reason`.
    package var description: String { "\(subject): \(errno)" }
}

/// A netlink socket by libmnl, in the network namespace of the thread that made it. It may be used
/// by any thread, one at a time.
@safe package struct NetlinkSocket: ~Copyable, @unchecked Sendable {
    // SAFETY: the socket has one owner, and its calls are made by one thread at a time.

    /// The kernel's parts.
    package enum Bus: Sendable {
        /// Links, addresses, routes, rules.
        case route
        /// nf_tables.
        case netfilter
        /// Sockets of other protocols.
        case diagnosis

        fileprivate var number: Int32 {
            switch self {
            case .route: NETLINK_ROUTE
            case .netfilter: NETLINK_NETFILTER
            case .diagnosis: NETLINK_SOCK_DIAG
            }
        }
    }

    private let socket: OpaquePointer
    private var sequence: UInt32 = 0

    /// Opens a socket.
    ///
    /// - Parameters:
    ///   - groups: a bit for each multicast group to hear, group 1 in the lowest.
    ///   - receiveByteLimit: room for what waits to be read; the kernel's default unless given.
    package init(
        _ bus: Bus,
        groups: UInt32 = 0,
        receiveByteLimit: Int32? = nil
    ) throws(Errno) {
        guard let socket = unsafe mnl_socket_open2(bus.number, clinux_sock_cloexec) else {
            throw .current()
        }
        var isReady = true
        if var limit = receiveByteLimit {
            let size = socklen_t(MemoryLayout<Int32>.size)
            let fd = unsafe mnl_socket_get_fd(socket)
            isReady = unsafe setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &limit, size) == 0
        }
        guard isReady, unsafe mnl_socket_bind(socket, groups, 0) == 0 else {
            let error = Errno.current()
            unsafe mnl_socket_close(socket)
            throw error
        }
        unsafe self.socket = unsafe socket
    }

    deinit { unsafe mnl_socket_close(socket) }

    /// The descriptor, to be watched by an `Epoll`.
    package var rawValue: Int32 { unsafe mnl_socket_get_fd(socket) }

    /// Sends messages in one go and waits for the last one's acknowledgement. With a batch of
    /// nf_tables nothing is changed unless everything is.
    package mutating func perform(_ messages: [NetlinkMessage]) throws(NetlinkError) {
        let first = sequence + 1
        var bytes: [UInt8] = []
        for message in messages {
            sequence += 1
            bytes += message.finished(sequence: sequence)
        }
        let all = messages.map(\.subject).joined(separator: ", ")
        try send(bytes, subject: all)
        let acknowledged = try acknowledgedSequence(messages, first)
        while true {
            for reply in try receive(subject: all) {
                guard let number = reply.errorNumber, reply.sequence >= first else { continue }
                let index = Int(reply.sequence - first)
                let subject = index < messages.count ? messages[index].subject : all
                if number != 0 {
                    throw NetlinkError(subject: subject, errno: Errno(number))
                }
                if reply.sequence == acknowledged { return }
            }
        }
    }

    private func acknowledgedSequence(
        _ messages: [NetlinkMessage],
        _ first: UInt32
    ) throws(NetlinkError) -> UInt32 {
        for index in messages.indices.reversed() {
            let flags = messages[index].finished(sequence: 0)[6]
            if flags & UInt8(NetlinkMessage.Flags.acknowledge.rawValue) != 0 {
                return first + UInt32(index)
            }
        }
        throw NetlinkError(subject: "no message asks for an acknowledgement", errno: .invalid)
    }

    /// Asks for objects and returns all answers.
    package mutating func dump(_ message: NetlinkMessage) throws(NetlinkError) -> [NetlinkReply] {
        sequence += 1
        try send(message.finished(sequence: sequence), subject: message.subject)
        let isDump =
            message.finished(sequence: 0)[7] & UInt8(NetlinkMessage.Flags.dump.rawValue >> 8) != 0
        var replies: [NetlinkReply] = []
        while true {
            for reply in try receive(subject: message.subject) where reply.sequence == sequence {
                if let number = reply.errorNumber {
                    guard number == 0 else {
                        throw NetlinkError(subject: message.subject, errno: Errno(number))
                    }
                    return replies
                }
                if reply.type == 3 { return replies }
                replies.append(reply)
                if !isDump { return replies }
            }
        }
    }

    /// What waited in a socket that hears notifications.
    package struct Drained: Equatable, Sendable {
        /// Messages taken.
        package var count = 0
        /// Whether the kernel had no room for some (`ENOBUFS`), of which nothing is known.
        package var hasOverflowed = false
    }

    /// Takes what waits, without waiting: the notifications of a group.
    package func drain() -> Drained {
        var drained = Drained()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let fd = rawValue
        while true {
            let received = unsafe recv(fd, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if received > 0 {
                drained.count += 1
            } else if received < 0 && errno == ENOBUFS {
                drained.hasOverflowed = true
            } else {
                return drained
            }
        }
    }

    private func send(_ bytes: [UInt8], subject: String) throws(NetlinkError) {
        let sent = unsafe bytes.withUnsafeBytes { buffer in
            unsafe mnl_socket_sendto(socket, buffer.baseAddress, buffer.count)
        }
        guard sent == bytes.count else {
            throw NetlinkError(subject: subject, errno: .current())
        }
    }

    private func receive(subject: String) throws(NetlinkError) -> [NetlinkReply] {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe mnl_socket_recvfrom(socket, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw NetlinkError(subject: subject, errno: .current()) }
            return NetlinkReply.split(buffer[..<count])
        }
    }
}
