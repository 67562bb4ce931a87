/// How many retries may be under way: a share of the requests in hand, so that retries never become
/// a storm of their own, and some that always may.
package struct RetryBudget: BitwiseCopyable, Sendable, Equatable {
    /// Percent of the requests under way; 0: `retryMax` holds.
    package var percent: UInt8
    /// Retries that are always allowed with a budget.
    package var minimum: UInt32
    /// Retries where there is no budget; 0: no bound.
    package var retryMax: UInt32

    /// Makes a budget.
    package init(percent: UInt8 = 20, minimum: UInt32 = 3, retryMax: UInt32 = 0) {
        self.percent = percent
        self.minimum = minimum
        self.retryMax = retryMax
    }

    /// Whether one more retry may begin.
    package func allows(retryCount: UInt32, activeCount: UInt32) -> Bool {
        guard percent > 0 else { return retryMax == 0 || retryCount < retryMax }
        let share = UInt64(activeCount) * UInt64(percent) / 100
        return UInt64(retryCount) < max(share, UInt64(minimum))
    }
}
