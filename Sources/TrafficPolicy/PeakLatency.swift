/// An endpoint's latency as it is felt: jumps up with a slow answer at once and comes down slowly
/// with time (Finagle's peak EWMA).
package struct PeakLatency: BitwiseCopyable, Sendable {
    /// In how much time an old value has lost half its say against a new one.
    package static let decayNanoseconds: UInt64 = 10_000_000_000
    /// What an endpoint that never answered counts as while it has requests in hand.
    package static let unknownNanoseconds: UInt64 = 1_000_000_000

    private var nanoseconds: UInt64 = 0
    private var stamp: UInt64 = 0

    /// An endpoint that has not answered yet.
    package init() {}

    /// Takes the latency of an answer that came now.
    package mutating func observe(_ latency: UInt64, now: UInt64) {
        let age = now > stamp ? now - stamp : 0
        stamp = now
        guard latency < nanoseconds else {
            nanoseconds = latency
            return
        }
        let gain = PeakLatency.share(age)
        nanoseconds -= (nanoseconds - latency) / 1_024 * gain
    }

    /// The cost of sending one more request.
    package func cost(activeCount: UInt32, now: UInt64) -> UInt64 {
        guard nanoseconds > 0 else {
            return UInt64(activeCount) * PeakLatency.unknownNanoseconds
        }
        let age = now > stamp ? now - stamp : 0
        let faded = nanoseconds - nanoseconds / 1_024 * PeakLatency.share(age)
        return (faded + 1).multipliedReportingOverflow(by: UInt64(activeCount) + 1).partialValue
    }

    /// What of the old is gone after some time, of 1,024.
    private static func share(_ age: UInt64) -> UInt64 {
        let bounded = min(age, decayNanoseconds * 1_000)
        return bounded * 1_024 / (bounded + decayNanoseconds)
    }
}
