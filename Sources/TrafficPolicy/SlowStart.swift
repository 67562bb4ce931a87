/// The share of an endpoint that has just come or come back: grows with time to its whole.
package enum SlowStart {
    /// The whole share.
    package static let whole: UInt32 = 1_000
    /// The share at first: a tenth, so that it is not starved of the requests that warm it.
    package static let least: UInt32 = 100

    /// The share after some time of a window; the whole for a window of 0.
    package static func share(age: UInt64, window: UInt64) -> UInt32 {
        guard age < window else { return whole }
        let grown = UInt32(UInt64(whole) &* (age / 1_000) / max(window / 1_000, 1))
        return max(least, min(grown, whole))
    }
}
