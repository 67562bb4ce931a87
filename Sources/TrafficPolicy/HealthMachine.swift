/// Whether an endpoint lives, by what its probes found: a state changes only after so many of the
/// other kind in a row. An endpoint is healthy until it is found not to be.
package struct HealthMachine: Hashable, Sendable {
    /// Whether it lives.
    package private(set) var isHealthy = true
    /// Probes in a row that said otherwise.
    private var contradictionCount: UInt8 = 0

    /// Makes a machine that says healthy.
    package init() {}

    /// Takes what a probe found.
    ///
    /// - Parameters:
    ///   - healthyCount: successes in a row that make it healthy, from 1.
    ///   - unhealthyCount: failures in a row that make it unhealthy, from 1.
    /// - Returns: whether the state changed.
    package mutating func probed(
        succeeded: Bool,
        healthyCount: UInt8,
        unhealthyCount: UInt8
    ) -> Bool {
        guard succeeded != isHealthy else {
            contradictionCount = 0
            return false
        }
        contradictionCount += 1
        guard contradictionCount >= (isHealthy ? unhealthyCount : healthyCount) else {
            return false
        }
        isHealthy = succeeded
        contradictionCount = 0
        return true
    }

    /// When the next probe is due: the interval, a tenth more or less at random, so that the probes
    /// of many nodes do not come at once.
    package static func wait(intervalNanoseconds: UInt64, random: UInt64) -> UInt64 {
        let spread = max(1, intervalNanoseconds / 5)
        return intervalNanoseconds - spread / 2 + random % spread
    }
}
