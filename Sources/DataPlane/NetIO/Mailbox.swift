import Synchronization

/// A bounded queue from many threads to one loop, without locks: an array of slots, each with a
/// ticket that says whose turn it is (D. Vyukov's bounded MPMC queue, used with one consumer).
// SAFETY: every slot is reached through its ticket, which hands it from one thread to the next.
@safe final class Mailbox: @unchecked Sendable {
    /// Work for the loop's thread.
    final class Letter: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private struct Slot: ~Copyable {
        let ticket: Atomic<Int>
        let letter = Atomic<UInt>(0)
    }

    /// How many letters may wait.
    static let capacity = 1_024

    private let slots: UnsafeMutablePointer<Slot>
    private let refused = Atomic<UInt64>(0)
    private let tail = Atomic<Int>(0)
    private let head = Atomic<Int>(0)

    init() {
        unsafe slots = .allocate(capacity: Mailbox.capacity)
        for index in 0..<Mailbox.capacity {
            unsafe (slots + index).initialize(to: Slot(ticket: Atomic(index)))
        }
    }

    deinit {
        while take() != nil {}
        unsafe slots.deinitialize(count: Mailbox.capacity)
        unsafe slots.deallocate()
    }

    /// Letters that found it full.
    var refusedCount: UInt64 { refused.load(ordering: .relaxed) }

    /// Puts a letter in, from any thread.
    ///
    /// - Returns: `false` when the mailbox is full.
    func put(_ body: @escaping @Sendable () -> Void) -> Bool {
        var position = tail.load(ordering: .relaxed)
        while true {
            let index = position % Mailbox.capacity
            let ticket = unsafe slots[index].ticket.load(ordering: .acquiring)
            if ticket == position {
                let (won, seen) = tail.compareExchange(
                    expected: position,
                    desired: position + 1,
                    ordering: .relaxed
                )
                if won { break }
                position = seen
            } else if ticket < position {
                refused.wrappingAdd(1, ordering: .relaxed)
                return false
            } else {
                position = tail.load(ordering: .relaxed)
            }
        }
        let index = position % Mailbox.capacity
        let raw = unsafe UInt(bitPattern: Unmanaged.passRetained(Letter(body)).toOpaque())
        unsafe slots[index].letter.store(raw, ordering: .relaxed)
        unsafe slots[index].ticket.store(position + 1, ordering: .releasing)
        return true
    }

    /// Takes the oldest letter out; for the loop's own thread.
    func take() -> Letter? {
        let position = head.load(ordering: .relaxed)
        let index = position % Mailbox.capacity
        guard unsafe slots[index].ticket.load(ordering: .acquiring) == position + 1 else {
            return nil
        }
        let raw = unsafe slots[index].letter.load(ordering: .relaxed)
        unsafe slots[index].ticket.store(position + Mailbox.capacity, ordering: .releasing)
        head.store(position + 1, ordering: .relaxed)
        guard let pointer = unsafe UnsafeRawPointer(bitPattern: raw) else { return nil }
        return unsafe Unmanaged<Letter>.fromOpaque(pointer).takeRetainedValue()
    }
}
