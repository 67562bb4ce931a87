import Synchronization

/// Holds back a message that comes again and again: a burst passes, then one a window, which says
/// how many were held back.
package final class RepeatLimiter: Sendable {
    /// What is to become of a message.
    package enum Verdict: Equatable {
        /// Write it; so many like it were held back since the last.
        case admitted(suppressedCount: UInt64)
        case suppressed
    }

    /// Messages of one kind that pass in a window.
    package static let burstCount = 5
    /// The window, nanoseconds: 10 s.
    package static let windowNanoseconds: UInt64 = 10_000_000_000
    /// Kinds of message remembered; beyond it the oldest half is forgotten.
    package static let kindMax = 512

    private struct Kind {
        var windowStart: UInt64
        var count = 0
        var suppressedCount: UInt64 = 0
    }

    private struct State {
        var kinds: [String: Kind] = [:]
        var suppressedCount: UInt64 = 0
        var forgottenCount: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Makes a limiter that has seen nothing.
    package init() {}

    /// Messages held back so far.
    package var suppressedCount: UInt64 { state.withLock(\.suppressedCount) }

    /// How often the oldest half of the kinds was forgotten.
    package var forgottenCount: UInt64 { state.withLock(\.forgottenCount) }

    /// Judges a message.
    ///
    /// - Parameters:
    ///   - key: what makes two messages the same.
    ///   - now: nanoseconds, of any clock.
    package func admit(_ key: String, now: UInt64) -> Verdict {
        state.withLock { state in
            if state.kinds[key] == nil, state.kinds.count >= RepeatLimiter.kindMax {
                RepeatLimiter.forget(&state.kinds)
                state.forgottenCount += 1
            }
            var kind = state.kinds[key] ?? Kind(windowStart: now)
            defer { state.kinds[key] = kind }
            if now >= kind.windowStart &+ RepeatLimiter.windowNanoseconds {
                let held = kind.suppressedCount
                kind = Kind(windowStart: now, count: 1)
                return .admitted(suppressedCount: held)
            }
            guard kind.count < RepeatLimiter.burstCount else {
                kind.suppressedCount += 1
                state.suppressedCount += 1
                return .suppressed
            }
            kind.count += 1
            return .admitted(suppressedCount: 0)
        }
    }

    private static func forget(_ kinds: inout [String: Kind]) {
        let byAge = kinds.sorted { $0.value.windowStart < $1.value.windowStart }
        for (key, _) in byAge.prefix(kindMax / 2) { kinds[key] = nil }
    }
}
