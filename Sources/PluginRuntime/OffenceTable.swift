import Addressing
import Synchronization

/// Counts offences of sources over all workers, without locks: a fixed number of rows, each with a
/// key and the times of its last offences, so that the window slides exactly.
///
/// A source's row is one of a few next to each other; when all are taken by others the one that
/// has been quiet longest gives way, which is counted. Two workers that note offences of one source
/// in the same instant may see one of the two a call later; never one too many.
package final class OffenceTable: Sendable {
    /// The most offences that a policy may ask for: as many times as a row keeps.
    package static let offenceMax = 64

    private static let probeCount = 8

    private final class Row: Sendable {
        let key = Atomic<UInt64>(0)
        let count = Atomic<UInt64>(0)
        let times = InlineArray<64, Atomic<UInt64>> { _ in Atomic(0) }

        /// When the last offence was; 0 where there is none.
        var lastMilliseconds: UInt64 {
            let count = self.count.load(ordering: .relaxed)
            return count == 0 ? 0 : time(count &- 1)
        }

        func time(_ index: UInt64) -> UInt64 {
            times[Int(index % UInt64(OffenceTable.offenceMax))].load(ordering: .relaxed)
        }

        func note(_ milliseconds: UInt64) -> UInt64 {
            let index = count.wrappingAdd(1, ordering: .relaxed).oldValue
            times[Int(index % UInt64(OffenceTable.offenceMax))]
                .store(milliseconds, ordering: .relaxed)
            return index &+ 1
        }
    }

    private let rows: [Row]
    private let salt = UInt64.random(in: .min ... .max)
    private let evictions = Atomic<UInt64>(0)

    /// Makes an empty table.
    ///
    /// - Parameter sourceMax: sources remembered at once, all policies together.
    package init(sourceMax: Int = 4_096) {
        rows = (0..<max(1, sourceMax)).map { _ in Row() }
    }

    /// Sources that gave way to others.
    package var evictionCount: UInt64 { evictions.load(ordering: .relaxed) }

    /// Notes an offence.
    ///
    /// - Parameters:
    ///   - offences: how many within the window are too many, 1...`offenceMax`.
    ///   - nowMilliseconds: monotonic, above zero.
    /// - Returns: whether this one makes them too many; the source's count then begins anew.
    func record(
        _ source: IPAddress,
        policy: UInt64,
        offences: Int,
        windowMilliseconds: UInt64,
        nowMilliseconds: UInt64
    ) -> Bool {
        let row = row(of: key(source, policy))
        let count = row.note(nowMilliseconds)
        guard count >= UInt64(offences) else { return false }
        let first = row.time(count &- UInt64(offences))
        guard first > 0, nowMilliseconds <= first &+ windowMilliseconds else { return false }
        row.count.store(0, ordering: .relaxed)
        return true
    }

    private func row(of key: UInt64) -> Row {
        let start = Int(truncatingIfNeeded: key >> 8 & 0xffff_ffff)
        var quietest = rows[start % rows.count]
        for probe in 0..<OffenceTable.probeCount {
            let row = rows[(start &+ probe) % rows.count]
            let found = row.key.load(ordering: .relaxed)
            if found == key { return row }
            if found == 0 {
                let (won, seen) = row.key.compareExchange(
                    expected: 0,
                    desired: key,
                    ordering: .relaxed
                )
                if won || seen == key { return row }
            }
            if row.lastMilliseconds < quietest.lastMilliseconds { quietest = row }
        }
        evictions.wrappingAdd(1, ordering: .relaxed)
        quietest.key.store(key, ordering: .relaxed)
        quietest.count.store(0, ordering: .relaxed)
        return quietest
    }

    private func key(_ source: IPAddress, _ policy: UInt64) -> UInt64 {
        var hash = (source.high ^ policy ^ salt) &* 0x9e37_79b9_7f4a_7c15
        hash = (hash ^ hash >> 29 ^ source.low) &* 0xbf58_476d_1ce4_e5b9
        return hash ^ hash >> 32 | 1
    }
}
