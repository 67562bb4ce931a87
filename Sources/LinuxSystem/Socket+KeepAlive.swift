import Glibc

extension Socket {
    /// Has the kernel probe an idle peer, so that one that vanished without a word is noticed after
    /// `idleSeconds + probeCount * intervalSeconds` (`tcp(7)`).
    package static func keepAlive(
        _ descriptor: Int32,
        idleSeconds: Int32,
        intervalSeconds: Int32,
        probeCount: Int32
    ) throws(Errno) {
        let level = Int32(IPPROTO_TCP)
        try set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
        try set(descriptor, level, TCP_KEEPIDLE, idleSeconds)
        try set(descriptor, level, TCP_KEEPINTVL, intervalSeconds)
        try set(descriptor, level, TCP_KEEPCNT, probeCount)
        let unacknowledged = (idleSeconds + probeCount * intervalSeconds) * 1_000
        try set(descriptor, level, TCP_USER_TIMEOUT, unacknowledged)
    }
}
