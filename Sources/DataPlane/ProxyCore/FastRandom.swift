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

/// Makes request ids of 128 bits: unlikely to meet another, not secret. 96 bits are drawn at random
/// once in 2^32 ids; the others are a number that counts, scattered so that neighbours differ.
final class RequestIdentifiers {
    private var random: FastRandom
    private var prefix = Digits32()
    private var count: UInt32 = 0

    init(seed: UInt64) {
        random = FastRandom(seed: seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next id as 32 hexadecimal digits.
    @inline(__always)
    func next() -> Digits32 {
        if count == 0 { prefix = Digits32(random.next(), random.next()) }
        count &+= 1
        return prefix.replacingLast(by: count &* 0x9e37_79b1)
    }
}
