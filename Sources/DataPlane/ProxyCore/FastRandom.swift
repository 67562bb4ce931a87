/// A small generator of numbers that need not be secret (xorshift64*): balancing, weights, ids.
struct FastRandom: BitwiseCopyable {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    }

    /// The next 64 bits.
    @inline(__always)
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    /// A number in 0..<bound; 0 when the bound is 0.
    @inline(__always)
    mutating func next(below bound: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: ((next() >> 32) &* UInt64(bound)) >> 32)
    }
}

/// Makes request ids of 128 bits: unlikely to meet another, not secret.
final class RequestIdentifiers {
    private var high: FastRandom
    private var low: FastRandom

    init(seed: UInt64) {
        high = FastRandom(seed: seed ^ 0x5851_f42d_4c95_7f2d)
        low = FastRandom(seed: seed ^ 0x1405_7b7e_f767_814f)
    }

    /// The next id as 32 hexadecimal digits.
    @inline(__always)
    func next() -> Digits32 { Digits32(high.next(), low.next()) }
}
