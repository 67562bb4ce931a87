/// One deadline a slot, on a hashed wheel. Moving a deadline later costs a store; the wheel is
/// touched only when a slot's deadline becomes earlier than what is armed.
///
/// A slot keeps its place on the wheel when it is freed and reused, so that short-lived slots cost
/// nothing either. Deadlines are rounded up to a tick. One thread owns it.
package final class SlotTimers {
    /// Nanoseconds of a tick, about 16.8 ms: the precision of every timeout of the engine.
    package static let tickNanoseconds: UInt64 = 1 << tickBits
    private static let tickBits: UInt64 = 24
    /// Ticks around the wheel, about 34 s; longer deadlines go around again.
    private static let slotCount = 2_048
    private static let none: Int32 = -1

    /// A slot's deadline and the tick it is armed at, 0 for neither.
    private struct Row: BitwiseCopyable {
        var deadline: UInt64 = 0
        var armedAt: UInt64 = 0
    }

    private let rows: Table<Row>
    private let next: Table<Int32>
    private let previous: Table<Int32>
    private let heads: Table<Int32>
    private let occupied: Table<UInt64>
    private let due: Table<Int32>
    private var dueCount = 0
    private var lastTick: UInt64
    private var armedCount = 0

    /// Makes timers for slots 0..<capacity, none armed.
    package init(capacity: Int, nowNanoseconds: UInt64) {
        rows = Table(count: capacity, repeating: Row())
        next = Table(count: capacity, repeating: SlotTimers.none)
        previous = Table(count: capacity, repeating: SlotTimers.none)
        heads = Table(count: SlotTimers.slotCount, repeating: SlotTimers.none)
        occupied = Table(count: SlotTimers.slotCount / 64, repeating: 0)
        due = Table(count: capacity, repeating: 0)
        lastTick = nowNanoseconds / SlotTimers.tickNanoseconds
    }

    /// Sets a slot's deadline, monotonic nanoseconds; 0 for none.
    @inline(__always)
    package func set(_ slot: Int32, _ deadlineNanoseconds: UInt64) {
        rows[Int(slot)].deadline = deadlineNanoseconds
        // A place on the wheel that is early enough stays; none, which is 0, counts as the latest.
        guard deadlineNanoseconds != 0,
            rows[Int(slot)].armedAt &- 1 > deadlineNanoseconds >> SlotTimers.tickBits
        else { return }
        arm(slot, deadlineNanoseconds)
    }

    @inline(never)
    private func arm(_ slot: Int32, _ deadlineNanoseconds: UInt64) {
        let tick = max(deadlineNanoseconds / SlotTimers.tickNanoseconds + 1, lastTick + 1)
        let armed = rows[Int(slot)].armedAt
        guard armed == 0 || tick < armed else { return }
        if armed != 0 { unlink(slot, armed) }
        link(slot, tick)
    }

    /// A slot's deadline; 0 for none.
    package func deadline(of slot: Int32) -> UInt64 { rows[Int(slot)].deadline }

    /// Milliseconds until the next armed tick, for `epoll_wait(2)`; -1 when nothing is armed.
    package func waitMilliseconds(nowNanoseconds: UInt64) -> Int32 {
        guard armedCount > 0 else { return -1 }
        var tick = lastTick + 1
        let end = tick + UInt64(SlotTimers.slotCount)
        while tick < end {
            let place = Int(tick % UInt64(SlotTimers.slotCount))
            let word = occupied[place / 64] >> UInt64(place % 64)
            if word != 0 {
                tick += UInt64(word.trailingZeroBitCount)
                break
            }
            tick += UInt64(64 - place % 64)
        }
        let due = tick * SlotTimers.tickNanoseconds
        guard due > nowNanoseconds else { return 0 }
        return Int32(min((due - nowNanoseconds) / 1_000_000 + 1, 60_000))
    }

    /// Calls `expired` for every slot whose deadline has passed; its deadline is cleared first.
    package func advance(nowNanoseconds: UInt64, _ expired: (Int32) -> Void) {
        let nowTick = nowNanoseconds / SlotTimers.tickNanoseconds
        guard nowTick > lastTick else { return }
        let steps = min(nowTick - lastTick, UInt64(SlotTimers.slotCount))
        let first = nowTick - steps + 1
        lastTick = nowTick
        guard armedCount > 0 else { return }
        for tick in first...nowTick {
            collect(place: Int(tick % UInt64(SlotTimers.slotCount)), nowTick)
        }
        for index in 0..<dueCount { fire(due[index], nowTick, expired) }
        dueCount = 0
    }

    /// Takes what is due off the wheel, then fires it: a callback may set any deadline.
    private func collect(place: Int, _ nowTick: UInt64) {
        var slot = heads[place]
        while slot != SlotTimers.none {
            let following = next[Int(slot)]
            let armed = rows[Int(slot)].armedAt
            if armed <= nowTick {
                unlink(slot, armed)
                due[dueCount] = slot
                dueCount += 1
            }
            slot = following
        }
    }

    private func fire(_ slot: Int32, _ nowTick: UInt64, _ expired: (Int32) -> Void) {
        let deadline = rows[Int(slot)].deadline
        guard deadline != 0, rows[Int(slot)].armedAt == 0 else { return }
        if deadline / SlotTimers.tickNanoseconds + 1 > nowTick {
            link(slot, deadline / SlotTimers.tickNanoseconds + 1)
        } else {
            rows[Int(slot)].deadline = 0
            expired(slot)
        }
    }

    private func link(_ slot: Int32, _ tick: UInt64) {
        let place = Int(tick % UInt64(SlotTimers.slotCount))
        let head = heads[place]
        next[Int(slot)] = head
        previous[Int(slot)] = SlotTimers.none
        if head != SlotTimers.none { previous[Int(head)] = slot }
        heads[place] = slot
        occupied[place / 64] |= 1 << UInt64(place % 64)
        rows[Int(slot)].armedAt = tick
        armedCount += 1
    }

    private func unlink(_ slot: Int32, _ tick: UInt64) {
        let place = Int(tick % UInt64(SlotTimers.slotCount))
        let before = previous[Int(slot)]
        let after = next[Int(slot)]
        if before == SlotTimers.none {
            heads[place] = after
            if after == SlotTimers.none { occupied[place / 64] &= ~(1 << UInt64(place % 64)) }
        } else {
            next[Int(before)] = after
        }
        if after != SlotTimers.none { previous[Int(after)] = before }
        rows[Int(slot)].armedAt = 0
        armedCount -= 1
    }
}
