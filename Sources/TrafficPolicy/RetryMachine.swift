import MeshModel

/// How a try came to nothing.
package enum TryFailure: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// No connection came about; nothing was sent.
    case connectFailure
    /// The endpoint said that it did not look at the request (HTTP/2 REFUSED_STREAM, or a stream
    /// above the last one of GOAWAY).
    case refused
    /// The connection or stream ended before a response.
    case reset
    /// No response came in the time of one try.
    case tryTimeout

    /// Whether the endpoint cannot have acted on the request.
    package var isHarmless: Bool {
        switch self {
        case .connectFailure, .refused: true
        case .reset, .tryTimeout: false
        }
    }

    /// The condition that it meets.
    var condition: RetrySettings.Conditions {
        switch self {
        case .connectFailure: .connectFailure
        case .refused: .refused
        case .reset: .reset
        case .tryTimeout: .tryTimeout
        }
    }
}

/// Retries as the engine uses them: plain values.
package struct RetryRule: BitwiseCopyable, Sendable {
    private static let statusMin: UInt16 = 100

    /// Further tries; 0: none.
    package private(set) var attempts: UInt8 = 0
    private var conditions: UInt16 = 0
    private var grpcStatuses: UInt32 = 0
    private var statuses = InlineArray<8, UInt64>(repeating: 0)
    private var backoffNanoseconds: UInt64 = 0
    private var backoffMaxNanoseconds: UInt64 = 0
    /// The longest wait that a response may ask for, nanoseconds; 0: what it asks for is not looked at.
    package private(set) var retryAfterMaxNanoseconds: UInt64 = 0
    /// Whether requests that may have taken effect are tried again as well.
    package private(set) var retriesUnsafe = false

    /// Makes the rule that nothing is tried again.
    package init() {}

    /// Compiles settings. Statuses outside 100...611 are left out.
    package init(_ settings: RetrySettings) {
        attempts = min(settings.attempts, 10)
        conditions = settings.conditions.rawValue
        grpcStatuses = settings.grpcStatuses
        backoffNanoseconds = settings.backoff.wholeNanoseconds
        backoffMaxNanoseconds = max(settings.backoffMax.wholeNanoseconds, backoffNanoseconds)
        retryAfterMaxNanoseconds = settings.retryAfterMax?.wholeNanoseconds ?? 0
        retriesUnsafe = settings.retriesUnsafe
        for status in settings.statuses where status >= RetryRule.statusMin {
            let bit = Int(status - RetryRule.statusMin)
            if bit < 512 { statuses[bit / 64] |= 1 << UInt64(bit % 64) }
        }
    }

    func has(_ condition: RetrySettings.Conditions) -> Bool {
        attempts > 0 && conditions & condition.rawValue != 0
    }

    func lists(status: UInt16) -> Bool {
        guard status >= RetryRule.statusMin else { return false }
        let bit = Int(status - RetryRule.statusMin)
        return bit < 512 && statuses[bit / 64] & (1 << UInt64(bit % 64)) != 0
    }

    func lists(grpcStatus: UInt8) -> Bool {
        grpcStatus < 32 && grpcStatuses & (1 << UInt32(grpcStatus)) != 0
    }

    /// The upper bound of a wait: it doubles with each retry.
    func bound(retry: UInt8) -> UInt64 {
        let (doubled, overflow) = backoffNanoseconds.multipliedReportingOverflow(
            by: 1 << UInt64(min(retry, 20))
        )
        return overflow ? backoffMaxNanoseconds : min(doubled, backoffMaxNanoseconds)
    }
}

/// Whether, and when, a request is tried again.
package enum RetryMachine {
    /// What is known of the request.
    package struct Request: BitwiseCopyable, Sendable {
        /// Whether doing it twice is as good as once (RFC 9110 section 9.2.2).
        package var isIdempotent: Bool
        /// Whether all that was sent of its body can be sent again.
        package var bodyIsHeld: Bool

        /// Makes the facts of a request.
        package init(isIdempotent: Bool, bodyIsHeld: Bool) {
            self.isIdempotent = isIdempotent
            self.bodyIsHeld = bodyIsHeld
        }
    }

    /// Whether a rule wants a failure tried again.
    package static func wants(_ rule: RetryRule, _ failure: TryFailure) -> Bool {
        rule.has(failure.condition)
    }

    /// Whether a rule wants a response tried again.
    ///
    /// - Parameter grpcStatus: of a response that is trailers only; `nil` of any other.
    package static func wants(_ rule: RetryRule, status: UInt16, grpcStatus: UInt8?) -> Bool {
        if rule.has(.gatewayError), (502...504).contains(status) { return true }
        if rule.has(.serverError), status >= 500 { return true }
        if rule.has(.statuses), rule.lists(status: status) { return true }
        guard let grpcStatus, rule.has(.grpcStatuses) else { return false }
        return rule.lists(grpcStatus: grpcStatus)
    }

    /// Whether a request can be sent again: its body is held, and it cannot have taken effect, or
    /// may do so twice.
    ///
    /// - Parameter isHarmless: whether the endpoint cannot have acted on it.
    package static func mayRepeat(_ rule: RetryRule, _ request: Request, isHarmless: Bool) -> Bool {
        request.bodyIsHeld && (isHarmless || request.isIdempotent || rule.retriesUnsafe)
    }

    /// How long the next try is waited for, nanoseconds: drawn at random below a bound that doubles
    /// (full jitter), so that those who failed together do not come back together.
    ///
    /// - Parameters:
    ///   - retry: how many retries there were.
    ///   - random: 64 random bits.
    package static func wait(_ rule: RetryRule, retry: UInt8, random: UInt64) -> UInt64 {
        random.multipliedFullWidth(by: rule.bound(retry: retry)).high
    }
}
