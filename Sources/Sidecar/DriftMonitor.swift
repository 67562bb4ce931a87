import LinuxSystem
import Synchronization

/// Hears of changes to nf_tables, routes and policy rules inside pods: two sockets a pod, one thread
/// for all.
package final class DriftMonitor: Sendable {
    /// Names a pod's sockets.
    package struct Token: Hashable, Sendable {
        let number: UInt64
    }

    /// nf_tables' multicast group 7, as a bit.
    private static let rulesGroup: UInt32 = 1 << 6
    /// Routes and policy rules of both families (`RTNLGRP_IPV4_ROUTE` 7, `_RULE` 8,
    /// `RTNLGRP_IPV6_ROUTE` 11, `_RULE` 19), as bits.
    private static let routeGroups: UInt32 = 1 << 6 | 1 << 7 | 1 << 10 | 1 << 18

    /// What happened inside a pod since the last question.
    package enum Change: Equatable, Sendable {
        /// Nothing.
        case none
        /// Something that the kernel told of.
        case told
        /// Something, and perhaps more: the kernel had no room to tell of all.
        case overflowed
    }

    private struct State {
        var sockets: [UInt64: SocketBoxes] = [:]
        var changes: [UInt64: Change] = [:]
        var nextNumber: UInt64 = 1
    }

    /// A pod's sockets, held by several owners.
    package final class SocketBoxes: Sendable {
        let rules: NetlinkSocket
        let routes: NetlinkSocket

        init(rules: consuming NetlinkSocket, routes: consuming NetlinkSocket) {
            self.rules = rules
            self.routes = routes
        }
    }

    private let receiveByteLimit: Int32?
    private let state = Mutex(State())
    private let epoll: EpollBox

    private final class EpollBox: Sendable {
        let epoll: Epoll

        init() throws(Errno) { epoll = try Epoll() }
    }

    /// Starts the thread.
    ///
    /// - Parameter receiveByteLimit: room for what a pod's sockets have to tell; the kernel's default
    ///   unless given.
    package init(receiveByteLimit: Int32? = nil) throws(Errno) {
        self.receiveByteLimit = receiveByteLimit
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

    /// Opens a pod's sockets in the calling thread's namespace.
    package func open() throws(NetlinkError) -> SocketBoxes {
        do throws(Errno) {
            return SocketBoxes(
                rules: try NetlinkSocket(
                    .netfilter,
                    groups: DriftMonitor.rulesGroup,
                    receiveByteLimit: receiveByteLimit
                ),
                routes: try NetlinkSocket(
                    .route,
                    groups: DriftMonitor.routeGroups,
                    receiveByteLimit: receiveByteLimit
                )
            )
        } catch {
            throw NetlinkError(subject: "notifications of rules and routes", errno: error)
        }
    }

    /// Listens to a pod's sockets, or to none of them.
    package func add(_ sockets: SocketBoxes) throws(Errno) -> Token {
        let number = state.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.sockets[number] = sockets
            return number
        }
        do throws(Errno) {
            try epoll.epoll.add(sockets.rules.rawValue, events: 1, tag: number)
            try epoll.epoll.add(sockets.routes.rawValue, events: 1, tag: number)
        } catch {
            remove(Token(number: number))
            throw error
        }
        return Token(number: number)
    }

    /// Forgets a pod's sockets.
    package func remove(_ token: Token) {
        let sockets = state.withLock { state in
            state.changes[token.number] = nil
            return state.sockets.removeValue(forKey: token.number)
        }
        guard let sockets else { return }
        epoll.epoll.remove(sockets.rules.rawValue)
        epoll.epoll.remove(sockets.routes.rawValue)
    }

    /// What happened since the last question.
    package func takeChange(_ token: Token) -> Change {
        state.withLock { $0.changes.removeValue(forKey: token.number) ?? .none }
    }

    private func note(_ number: UInt64) {
        let sockets = state.withLock { $0.sockets[number] }
        guard let sockets else { return }
        let drained = [sockets.rules.drain(), sockets.routes.drain()]
        let hasOverflowed = drained.contains(where: \.hasOverflowed)
        guard hasOverflowed || drained.contains(where: { $0.count > 0 }) else { return }
        state.withLock { state in
            guard state.sockets[number] != nil, state.changes[number] != .overflowed else { return }
            state.changes[number] = hasOverflowed ? .overflowed : .told
        }
    }
}
