import MeshModel

/// Numbers snapshots and says what differs. A pure machine: time is a parameter.
package struct SnapshotBuilder: Sendable {
    /// Changes that come within this time become one snapshot, nanoseconds.
    package static let coalesceNanoseconds: UInt64 = 5_000_000
    /// The longest a change waits while others keep coming, nanoseconds.
    package static let delayNanosecondsMax: UInt64 = 50_000_000

    /// The last snapshot delivered.
    package private(set) var current = MeshSnapshot()
    private var firstChange: UInt64?
    private var lastChange: UInt64 = 0

    /// Makes a builder whose current snapshot is the empty one.
    package init() {}

    /// Notes a change of the store.
    ///
    /// - Returns: when to build, monotonic nanoseconds.
    package mutating func changed(nowNanoseconds: UInt64) -> UInt64 {
        let first = firstChange ?? nowNanoseconds
        firstChange = first
        lastChange = nowNanoseconds
        return min(
            nowNanoseconds + SnapshotBuilder.coalesceNanoseconds,
            first + SnapshotBuilder.delayNanosecondsMax
        )
    }

    /// Takes what the reducers made.
    ///
    /// - Returns: the numbered snapshot with its delta; `nil` when nothing differs.
    package mutating func build(_ reduced: MeshSnapshot) -> (MeshSnapshot, SnapshotDelta)? {
        firstChange = nil
        var next = reduced
        next.version = current.version
        guard next != current || current.version == 0 else { return nil }
        next.version = current.version + 1
        let delta = SnapshotDelta(from: current, to: next)
        current = next
        return (next, delta)
    }
}
