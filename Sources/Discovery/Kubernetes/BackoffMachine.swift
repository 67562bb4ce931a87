/// How long to wait before trying again: doubling from `first` to `most`, the upper half of every
/// wait random, so that the agents of a cluster do not return together.
package struct BackoffMachine: Equatable, Sendable {
    /// The first wait, before jitter.
    package let first: Duration
    /// No wait is longer.
    package let most: Duration
    /// Failures in a row so far.
    package private(set) var failureCount = 0

    /// Makes a machine that has seen no failure.
    package init(first: Duration = .milliseconds(250), most: Duration = .seconds(30)) {
        self.first = first
        self.most = most
    }

    /// Counts a failure and returns the wait that follows it.
    ///
    /// - Parameters:
    ///   - random: any 64 random bits.
    ///   - atLeast: what the server asked for (`Retry-After`); bounded by twice `most`.
    package mutating func failed(random: UInt64, atLeast: Duration = .zero) -> Duration {
        let doublings = min(failureCount, 16)
        failureCount += 1
        let ceiling = min(first * (1 << doublings), most)
        let parts = Int64(random % 1_025)
        let jittered = ceiling / 2 + ceiling / 2 * parts / 1_024
        return max(jittered, min(atLeast, most * 2))
    }

    /// Forgets all failures: the peer works.
    package mutating func succeeded() { failureCount = 0 }
}
