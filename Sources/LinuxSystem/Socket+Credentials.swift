import CLinux

/// Who is at the other end of a local socket.
package struct PeerCredentials: Equatable, Sendable {
    /// The process that connected.
    package let processID: Int32
    /// Its effective user when it connected.
    package let userID: UInt32

    /// Makes credentials of their parts.
    package init(processID: Int32, userID: UInt32) {
        self.processID = processID
        self.userID = userID
    }
}

extension Socket {
    /// The credentials of a local socket's peer (`SO_PEERCRED`).
    package static func peerCredentials(of descriptor: Int32) throws(Errno) -> PeerCredentials {
        var raw = clinux_credentials()
        _ = try Errno.check(unsafe clinux_peer_credentials(descriptor, &raw))
        return PeerCredentials(processID: raw.process, userID: raw.user)
    }
}
