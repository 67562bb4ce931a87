import Addressing
import Synchronization

/// Counts offences of sources over all workers, without locks: a fixed table of slots, each a key
/// and a packed count with the time its window began.
///
/// A source's slot is one of a few next to each other; when all are taken by newer windows the
/// oldest gives way, which is counted.
package final class OffenceTable: Sendable {
    private static let slotCount = 4_096
    private static let probeCount = 8
    private static let countBits: UInt64 = 20

    private let keys = InlineArray<4_096, Atomic<UInt64>> { _ in Atomic(0) }
    private let states = InlineArray<4_096, Atomic<UInt64>> { _ in Atomic(0) }
    private let evictions = Atomic<UInt64>(0)

    /// Makes an empty table.
    package init() {}

    /// Sources that gave way to others.
    package var evictionCount: UInt64 { evictions.load(ordering: .relaxed) }

    /// Counts an offence.
    ///
    /// - Returns: how many the source has in its window with this one.
    func record(
        _ source: IPAddress,
        policy: UInt64,
        windowMilliseconds: UInt64,
        nowMilliseconds: UInt64
    ) -> UInt64 {
        let key = OffenceTable.key(source, policy)
        let slot = find(key)
        while true {
            let state = states[slot].load(ordering: .relaxed)
            let began = state >> OffenceTable.countBits
            let isOver = began == 0 || nowMilliseconds &- began > windowMilliseconds
            let count = isOver ? 1 : (state & ((1 << OffenceTable.countBits) - 1)) + 1
            let next = (isOver ? nowMilliseconds : began) << OffenceTable.countBits | count
            let (won, _) = states[slot].compareExchange(
                expected: state,
                desired: next,
                ordering: .relaxed
            )
            if won { return count }
        }
    }

    /// Begins a source's count anew.
    func reset(_ source: IPAddress, policy: UInt64) {
        let key = OffenceTable.key(source, policy)
        for probe in 0..<OffenceTable.probeCount {
            let slot = OffenceTable.place(key, probe)
            if keys[slot].load(ordering: .relaxed) == key {
                states[slot].store(0, ordering: .relaxed)
                return
            }
        }
    }

    private func find(_ key: UInt64) -> Int {
        var oldest = OffenceTable.place(key, 0)
        for probe in 0..<OffenceTable.probeCount {
            let slot = OffenceTable.place(key, probe)
            let found = keys[slot].load(ordering: .relaxed)
            if found == key { return slot }
            if found == 0 {
                let (won, seen) = keys[slot].compareExchange(
                    expected: 0,
                    desired: key,
                    ordering: .relaxed
                )
                if won || seen == key { return slot }
            }
            let age = states[slot].load(ordering: .relaxed)
            if age < states[oldest].load(ordering: .relaxed) { oldest = slot }
        }
        evictions.wrappingAdd(1, ordering: .relaxed)
        keys[oldest].store(key, ordering: .relaxed)
        states[oldest].store(0, ordering: .relaxed)
        return oldest
    }

    private static func key(_ source: IPAddress, _ policy: UInt64) -> UInt64 {
        var hash = (source.high ^ policy) &* 0x9e37_79b9_7f4a_7c15
        hash = (hash ^ hash >> 29 ^ source.low) &* 0xbf58_476d_1ce4_e5b9
        return hash ^ hash >> 32 | 1
    }

    private static func place(_ key: UInt64, _ probe: Int) -> Int {
        (Int(truncatingIfNeeded: key >> 8) + probe) & (slotCount - 1)
    }
}
