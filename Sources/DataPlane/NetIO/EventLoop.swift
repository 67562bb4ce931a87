import LinuxSystem
import Synchronization

/// An epoll loop: one thread, its descriptors, timers and mailbox (`epoll(7)`).
///
/// Descriptors are registered once, edge-triggered for both directions, and never changed. Only
/// `submit` and `stop` may be called from other threads.
@safe public final class EventLoop {
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

    private let epoll: Epoll
    private let wakeup: Wakeup
    private let mailbox = Mailbox()
    private let isWoken = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)
    private var handlers: [EventHandler] = []
    /// The handlers again, not counted as references: an event costs no reference count.
    private var targets: [Unmanaged<EventHandler>] = unsafe []
    private var handlerCount: UInt8 = 0

    /// Makes a loop; it does nothing until `run`.
    package init(network: Network = .kernel) throws(Errno) {
        self.network = network
        nowNanoseconds = network.monotonicNanoseconds()
        epoll = try Epoll()
        wakeup = try Wakeup(blocks: false)
        let interest: Readiness = [.readable, .edgeTriggered]
        try epoll.add(wakeup.rawValue, events: interest.rawValue, tag: UInt64.max)
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

    /// How many submissions may wait.
    package static let mailboxMax = Mailbox.capacity

    /// Submissions that found as many waiting as may.
    package var refusedSubmissionCount: UInt64 { mailbox.refusedCount }

    /// Ends `run` after the turn in hand.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        wake()
    }

    private func wake() {
        guard !isWoken.exchange(true, ordering: .acquiringAndReleasing) else { return }
        wakeup.signal()
    }

    // MARK: On the loop's thread

    /// Turns until `stop`.
    package func run() {
        while !isStopped.load(ordering: .acquiring) { turn(waitingUpTo: waitMilliseconds()) }
    }

    /// One turn: waits, handles events, reads the mailbox, ends the turn.
    package func turn(waitingUpTo milliseconds: Int32) {
        if let simulation = network.simulation {
            let events = simulation.wait(self, milliseconds)
            nowNanoseconds = network.monotonicNanoseconds()
            for (tag, readiness) in events { dispatch(tag, readiness) }
        } else {
            let count = epoll.wait(milliseconds: milliseconds)
            nowNanoseconds = network.monotonicNanoseconds()
            for index in 0..<count {
                let event = epoll[index]
                if event.tag == UInt64.max {
                    wakeup.wait()
                } else {
                    dispatch(event.tag, Readiness(rawValue: event.events))
                }
            }
        }
        turnCount &+= 1
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
        epoll.remove(fd)
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
        try epoll.add(fd, events: interest.rawValue, tag: token.rawValue)
    }

    /// Lets go of all handlers, which hold the loop; for the end of the loop's thread.
    package func dispose() {
        unsafe targets.removeAll()
        handlers.removeAll()
    }

    func nextHandlerIdentifier() -> UInt8 {
        precondition(Int(handlerCount) < EventLoop.handlerMax)
        handlerCount += 1
        return handlerCount - 1
    }

    func register(_ handler: EventHandler) {
        handlers.append(handler)
        unsafe targets.append(Unmanaged.passUnretained(handler))
    }

    private func dispatch(_ tag: UInt64, _ readiness: Readiness) {
        let token = EventToken(rawValue: tag)
        unsafe targets[token.handler]._withUnsafeGuaranteedRef { $0.ready(token, readiness) }
    }

    private func readMailbox() {
        guard isWoken.load(ordering: .acquiring) else { return }
        isWoken.store(false, ordering: .releasing)
        while let letter = mailbox.take() { letter.body() }
    }

    /// How long the next wait may last, by all handlers' timers.
    package func waitMilliseconds() -> Int32 {
        var least: Int32 = -1
        for handler in handlers { least = EventHandler.sooner(least, handler.waitMilliseconds()) }
        return least
    }
}
