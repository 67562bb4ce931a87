import CLinux
import LinuxSystem
import Synchronization

/// An epoll loop: one thread, its descriptors, timers and mailbox (`epoll(7)`).
///
/// Descriptors are registered once, edge-triggered for both directions, and never changed. Only
/// `submit` and `stop` may be called from other threads.
@safe public final class EventLoop {
    /// Events taken from the kernel in one turn.
    private static let eventBatch = 256
    /// Handlers of one loop.
    private static let handlerMax = 64

    /// The kernel or its simulation.
    package let network: Network
    /// The monotonic clock as of this turn, nanoseconds.
    package private(set) var nowNanoseconds: UInt64
    /// Turns so far.
    package private(set) var turnCount: UInt64 = 0
    /// Events for descriptors that had been closed already in the same turn, or whose slot was
    /// reused.
    package internal(set) var staleEventCount: UInt64 = 0

    private let epoll: Int32
    private let wakeup: Int32
    private let mailbox = Mailbox()
    private let isWoken = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)
    private let events: UnsafeMutablePointer<epoll_event>
    private var handlers: [EventHandler] = []
    private var handlerCount: UInt8 = 0

    /// Makes a loop; it does nothing until `run`.
    package init(network: Network = .kernel) throws(Errno) {
        self.network = network
        nowNanoseconds = network.monotonicNanoseconds()
        epoll = Int32(try Errno.check(clinux_epoll_create()))
        let descriptor = clinux_eventfd(0, 0o4000 | 0o2000000)
        wakeup = descriptor < 0 ? -1 : Int32(descriptor)
        unsafe events = .allocate(capacity: EventLoop.eventBatch)
        _ = try Errno.check(descriptor)
        let interest: Readiness = [.readable, .edgeTriggered]
        let result = clinux_epoll_ctl(epoll, 1, wakeup, interest.rawValue, UInt64.max)
        _ = try Errno.check(result)
    }

    deinit {
        if wakeup >= 0 { _ = clinux_close(wakeup) }
        _ = clinux_close(epoll)
        unsafe events.deallocate()
    }

    // MARK: From any thread

    /// Has `body` run on the loop's thread, in order.
    ///
    /// - Returns: `false` when 1,024 submissions wait already.
    package func submit(_ body: @escaping @Sendable () -> Void) -> Bool {
        guard mailbox.put(body) else { return false }
        wake()
        return true
    }

    /// Ends `run` after the turn in hand.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        wake()
    }

    private func wake() {
        guard !isWoken.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        _ = unsafe clinux_write(wakeup, &one, 8)
    }

    // MARK: On the loop's thread

    /// Turns until `stop`.
    package func run() {
        while !isStopped.load(ordering: .acquiring) { turn(waitingUpTo: waitMilliseconds()) }
    }

    /// One turn: waits, handles events, reads the mailbox, ends the turn.
    package func turn(waitingUpTo milliseconds: Int32) {
        let count: Int
        if let simulation = network.simulation {
            count = unsafe simulation.wait(self, events, EventLoop.eventBatch, milliseconds)
        } else {
            let result = unsafe clinux_epoll_wait(
                epoll,
                events,
                Int32(EventLoop.eventBatch),
                milliseconds
            )
            count = max(result, 0)
        }
        nowNanoseconds = network.monotonicNanoseconds()
        turnCount &+= 1
        for index in 0..<count {
            let tag = unsafe clinux_epoll_tag(events + index)
            let readiness = Readiness(rawValue: unsafe clinux_epoll_events(events + index))
            if tag == UInt64.max { drainWakeup() } else { dispatch(tag, readiness) }
        }
        readMailbox()
        for handler in handlers { handler.endTurn() }
    }

    /// Watches a descriptor for both directions, edge-triggered, until it is closed.
    package func watch<Element>(
        _ fd: Int32,
        _ handler: EventHandler,
        _ handle: Handle<Element>
    ) throws(Errno) {
        try watch(fd, handler, index: handle.index, generation: handle.generation)
    }

    /// Watches a descriptor for both directions, edge-triggered, until it is closed.
    package func watch(
        _ fd: Int32,
        _ handler: EventHandler,
        index: Int32,
        generation: UInt32
    ) throws(Errno) {
        let interest: Readiness = [.readable, .writable, .peerEnded, .edgeTriggered]
        try add(fd, interest, handler, index, generation)
    }

    /// Watches a listening descriptor, level-triggered.
    ///
    /// - Parameter isShared: several loops watch it, and one is to be woken for a connection.
    package func watchListener(
        _ fd: Int32,
        _ handler: EventHandler,
        index: Int32,
        generation: UInt32,
        isShared: Bool
    ) throws(Errno) {
        let interest: Readiness = isShared ? [.readable, .exclusive] : [.readable]
        try add(fd, interest, handler, index, generation)
    }

    /// Stops watching a descriptor that stays open elsewhere.
    package func unwatch(_ fd: Int32) {
        guard network.simulation == nil else { return }
        _ = clinux_epoll_ctl(epoll, 2, fd, 0, 0)
    }

    private func add(
        _ fd: Int32,
        _ interest: Readiness,
        _ handler: EventHandler,
        _ index: Int32,
        _ generation: UInt32
    ) throws(Errno) {
        let token = EventToken(
            handler: handler.identifier,
            index: index,
            generation: generation
        )
        if let simulation = network.simulation {
            simulation.watch(fd, token.rawValue, self)
            return
        }
        let result = clinux_epoll_ctl(epoll, 1, fd, interest.rawValue, token.rawValue)
        _ = try Errno.check(result)
    }

    /// Lets go of all handlers, which hold the loop; for the end of the loop's thread.
    package func dispose() {
        handlers.removeAll()
    }

    func nextHandlerIdentifier() -> UInt8 {
        precondition(Int(handlerCount) < EventLoop.handlerMax)
        handlerCount += 1
        return handlerCount - 1
    }

    func register(_ handler: EventHandler) { handlers.append(handler) }

    private func dispatch(_ tag: UInt64, _ readiness: Readiness) {
        let token = EventToken(rawValue: tag)
        handlers[token.handler].ready(token, readiness)
    }

    private func drainWakeup() {
        var value: UInt64 = 0
        _ = unsafe clinux_read(wakeup, &value, 8)
    }

    private func readMailbox() {
        guard isWoken.load(ordering: .acquiring) else { return }
        isWoken.store(false, ordering: .releasing)
        while let letter = mailbox.take() { letter.body() }
    }

    /// How long the next wait may last, by all handlers' timers.
    package func waitMilliseconds() -> Int32 {
        var least: Int32 = -1
        for handler in handlers {
            let wanted = handler.waitMilliseconds()
            if wanted >= 0 && (least < 0 || wanted < least) { least = wanted }
        }
        return least
    }
}
