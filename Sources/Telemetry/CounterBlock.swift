import Synchronization

/// A small, fixed group of counters with one writer: a worker, or the control side.
///
/// `add` is a plain load and a plain store, without a lock prefix; two writers would lose counts.
/// Any thread may read.
package final class CounterBlock: Sendable {
    /// Cells of one block: eight cache lines.
    package static let cellCount = 64

    @usableFromInline let cells: InlineArray<64, Atomic<UInt64>>

    /// Makes a block of zeros.
    package init() { cells = InlineArray { _ in Atomic(0) } }

    /// Counts up. Only the block's one writer calls this.
    ///
    /// - Parameters:
    ///   - index: 0..<`cellCount`.
    @inlinable package func add(_ index: Int, _ amount: UInt64 = 1) {
        let before = cells[index].load(ordering: .relaxed)
        cells[index].store(before &+ amount, ordering: .relaxed)
    }

    /// Replaces a value, for gauges such as open connections. Only the block's one writer calls
    /// this.
    @inlinable package func set(_ index: Int, _ value: UInt64) {
        cells[index].store(value, ordering: .relaxed)
    }

    /// Counts down, for gauges such as open connections. Only the block's one writer calls this.
    @inlinable package func subtract(_ index: Int, _ amount: UInt64 = 1) {
        let before = cells[index].load(ordering: .relaxed)
        cells[index].store(before &- amount, ordering: .relaxed)
    }

    /// The value now, from any thread.
    package func value(_ index: Int) -> UInt64 { cells[index].load(ordering: .relaxed) }
}

/// One counter that any thread may count up. For the control side, not for workers.
package final class SharedCounter: Sendable {
    private let cell = Atomic<UInt64>(0)

    /// Makes a counter of zero.
    package init() {}

    /// Counts up.
    package func add(_ amount: UInt64 = 1) { cell.wrappingAdd(amount, ordering: .relaxed) }

    /// The value now.
    package var value: UInt64 { cell.load(ordering: .relaxed) }
}
