import LinuxSystem
import Synchronization

/// Hears of changes to nf_tables inside pods: one socket a pod, one thread for all.
package final class DriftMonitor: Sendable {
    /// Names a pod's socket.
    package struct Token: Hashable, Sendable {
        let number: UInt64
    }

    /// nf_tables' multicast group 7, as a bit.
    private static let group: UInt32 = 1 << 6

    private struct State {
        var sockets: [UInt64: SocketBox] = [:]
        var changed: Set<UInt64> = []
        var nextNumber: UInt64 = 1
    }

    /// A socket that several owners hold.
    package final class SocketBox: Sendable {
        let socket: NetlinkSocket

        init(_ socket: consuming NetlinkSocket) { self.socket = socket }
    }

    private let state = Mutex(State())
    private let epoll: EpollBox

    private final class EpollBox: Sendable {
        let epoll: Epoll

        init() throws(Errno) { epoll = try Epoll() }
    }

    /// Starts the thread.
    package init() throws(Errno) {
        epoll = try EpollBox()
        let epoll = self.epoll
        try RawThread.start(name: "martlet-drift") { [weak self] in
            while true {
                let count = epoll.epoll.wait(milliseconds: 1_000)
                guard let self else { return }
                for index in 0..<count { note(epoll.epoll[index].tag) }
            }
        }
    }

    /// Opens a socket in the calling thread's namespace.
    package static func open() throws(NetlinkError) -> SocketBox {
        do throws(Errno) {
            return SocketBox(try NetlinkSocket(.netfilter, groups: group))
        } catch {
            throw NetlinkError(subject: "nf_tables notifications", errno: error)
        }
    }

    /// Listens to a pod's socket.
    package func add(_ socket: SocketBox) -> Token {
        let number = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.sockets[number] = socket
            return number
        }
        try? epoll.epoll.add(socket.socket.rawValue, events: 1, tag: number)
        return Token(number: number)
    }

    /// Forgets a pod's socket.
    package func remove(_ token: Token) {
        let socket = state.withLock { $0.sockets.removeValue(forKey: token.number) }
        if let socket { epoll.epoll.remove(socket.socket.rawValue) }
    }

    /// Whether something changed since the last question.
    package func hasChanged(_ token: Token) -> Bool {
        state.withLock { $0.changed.remove(token.number) != nil }
    }

    private func note(_ number: UInt64) {
        let socket = state.withLock { $0.sockets[number] }
        guard let socket, socket.socket.drain() > 0 else { return }
        state.withLock { _ = $0.changed.insert(number) }
    }
}
