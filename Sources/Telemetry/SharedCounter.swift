import Synchronization

/// One counter that any thread may count up. For the control side, not for workers, whose counts
/// are plain numbers of their own.
package final class SharedCounter: Sendable {
    private let cell = Atomic<UInt64>(0)

    /// Makes a counter of zero.
    package init() {}

    /// Counts up.
    package func add(_ amount: UInt64 = 1) { cell.wrappingAdd(amount, ordering: .relaxed) }

    /// The value now.
    package var value: UInt64 { cell.load(ordering: .relaxed) }
}
