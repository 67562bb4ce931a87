import Addressing
import CLinux
import Glibc

/// Settings of a TCP socket that are not its address.
package struct SocketConfiguration: Sendable {
    /// Several sockets may listen on one address, the kernel spreads connections (`SO_REUSEPORT`).
    package var reusesPort = false
    /// May carry an address that is not the node's own (`IP_TRANSPARENT`). Needs CAP_NET_ADMIN.
    package var isTransparent = false
    /// The packet mark (`SO_MARK`); 0 for none. Needs CAP_NET_ADMIN.
    package var mark: UInt32 = 0
    /// Connections that wait to be accepted.
    package var backlog: Int32 = 4096

    /// Makes a configuration with defaults.
    package init() {}
}

/// TCP and local sockets, non-blocking and close-on-exec.
package enum Socket {
    /// Makes a listening TCP socket; port 0 takes a free one. An IPv6 socket takes IPv6 only.
    package static func listen(
        on address: SocketAddress,
        _ configuration: SocketConfiguration = SocketConfiguration()
    ) throws(Errno) -> OwnedFD {
        let socket = try tcp(isIPv4: address.ip.isIPv4, configuration)
        try set(socket.rawValue, SOL_SOCKET, SO_REUSEADDR, 1)
        if configuration.reusesPort { try set(socket.rawValue, SOL_SOCKET, SO_REUSEPORT, 1) }
        if !address.ip.isIPv4 { try set(socket.rawValue, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        try bind(socket.rawValue, to: address)
        _ = try Errno.check(clinux_listen(socket.rawValue, configuration.backlog))
        return socket
    }

    /// Begins a TCP connection; completion or failure shows as writability.
    ///
    /// - Parameter source: the local address to use, transparent if the configuration says so.
    package static func connect(
        to address: SocketAddress,
        from source: SocketAddress? = nil,
        _ configuration: SocketConfiguration = SocketConfiguration()
    ) throws(Errno) -> OwnedFD {
        let socket = try tcp(isIPv4: address.ip.isIPv4, configuration)
        if let source {
            try set(socket.rawValue, Int32(IPPROTO_IP), clinux_ip_bind_address_no_port, 1)
            try bind(socket.rawValue, to: source)
        }
        var raw = clinux_address()
        let length = encode(address, into: &raw)
        let result = unsafe clinux_connect(socket.rawValue, &raw, length)
        guard result == 0 || result == -Int(EINPROGRESS) else { throw Errno(Int32(-result)) }
        return socket
    }

    /// Makes a listening local socket, replacing a dead one of the same path.
    ///
    /// - Parameter mode: the file's permission bits.
    package static func listen(onPath path: String, mode: UInt32) throws(Errno) -> OwnedFD {
        let result = clinux_socket(
            AF_UNIX,
            clinux_sock_stream | clinux_sock_nonblock
                | clinux_sock_cloexec,
            0
        )
        let socket = OwnedFD(owning: Int32(try Errno.check(result)))
        var raw = clinux_address()
        guard let length = encode(path: path, into: &raw) else { throw .invalid }
        _ = unsafe unlink(path)
        _ = try Errno.check(unsafe clinux_bind(socket.rawValue, &raw, length))
        guard unsafe chmod(path, mode) == 0 else { throw .current() }
        _ = try Errno.check(clinux_listen(socket.rawValue, 64))
        return socket
    }

    /// Begins a connection to a local socket.
    package static func connect(toPath path: String) throws(Errno) -> OwnedFD {
        let result = clinux_socket(
            AF_UNIX,
            clinux_sock_stream | clinux_sock_cloexec,
            0
        )
        let socket = OwnedFD(owning: Int32(try Errno.check(result)))
        var raw = clinux_address()
        guard let length = encode(path: path, into: &raw) else { throw .invalid }
        _ = try Errno.check(unsafe clinux_connect(socket.rawValue, &raw, length))
        return socket
    }

    /// The address a socket is bound to (`getsockname(2)`).
    package static func localAddress(of descriptor: Int32) throws(Errno) -> SocketAddress {
        var raw = clinux_address()
        var length = socklen_t(MemoryLayout<clinux_address>.size)
        _ = try Errno.check(unsafe clinux_getsockname(descriptor, &raw, &length))
        return decode(&raw)
    }

    /// The address of a socket's peer (`getpeername(2)`).
    package static func peerAddress(of descriptor: Int32) throws(Errno) -> SocketAddress {
        var raw = clinux_address()
        var length = socklen_t(MemoryLayout<clinux_address>.size)
        _ = try Errno.check(unsafe clinux_getpeername(descriptor, &raw, &length))
        return decode(&raw)
    }

    /// Takes the next waiting connection, or throws `.again`. Local peers have the address `[::]:0`.
    package static func accept(_ descriptor: Int32) throws(Errno) -> (
        fd: Int32, peer: SocketAddress
    ) {
        var raw = clinux_address()
        var length = socklen_t(MemoryLayout<clinux_address>.size)
        let flags = clinux_sock_nonblock | clinux_sock_cloexec
        let fd = try Errno.check(unsafe clinux_accept4(descriptor, &raw, &length, flags))
        return (Int32(fd), decode(&raw))
    }

    /// The error a non-blocking connect ended with (`SO_ERROR`), or `nil` when it succeeded.
    package static func pendingError(of descriptor: Int32) -> Errno? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let result = unsafe clinux_getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length)
        if result < 0 { return Errno(Int32(-result)) }
        return value == 0 ? nil : Errno(value)
    }

    /// Sets an integer option (`setsockopt(2)`).
    package static func set(
        _ descriptor: Int32,
        _ level: Int32,
        _ name: Int32,
        _ value: Int32
    ) throws(Errno) {
        var value = value
        _ = try Errno.check(
            unsafe clinux_setsockopt(
                descriptor,
                level,
                name,
                &value,
                socklen_t(MemoryLayout<Int32>.size)
            )
        )
    }

    private static func tcp(
        isIPv4: Bool,
        _ configuration: SocketConfiguration
    ) throws(Errno) -> OwnedFD {
        let kind =
            clinux_sock_stream | clinux_sock_nonblock
            | clinux_sock_cloexec
        let fd = try Errno.check(clinux_socket(isIPv4 ? AF_INET : AF_INET6, kind, 0))
        let socket = OwnedFD(owning: Int32(fd))
        try set(socket.rawValue, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if configuration.mark != 0 {
            try set(socket.rawValue, SOL_SOCKET, SO_MARK, Int32(bitPattern: configuration.mark))
        }
        if configuration.isTransparent {
            if isIPv4 {
                try set(socket.rawValue, Int32(IPPROTO_IP), clinux_ip_transparent, 1)
            } else {
                try set(socket.rawValue, Int32(IPPROTO_IPV6), clinux_ipv6_transparent, 1)
            }
        }
        return socket
    }

    private static func bind(_ descriptor: Int32, to address: SocketAddress) throws(Errno) {
        var raw = clinux_address()
        let length = encode(address, into: &raw)
        _ = try Errno.check(unsafe clinux_bind(descriptor, &raw, length))
    }
}
