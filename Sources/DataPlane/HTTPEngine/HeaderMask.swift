/// A set of known header names.
package struct HeaderMask: BitwiseCopyable, Sendable, Equatable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    /// Makes an empty set.
    @inline(__always)
    package init() {}

    /// Makes a set of one name; sets of more are unions, which the compiler folds into constants.
    @inline(__always)
    init(_ identifier: HeaderID) { insert(identifier) }

    /// Makes a set of several names.
    init(_ first: HeaderID, _ second: HeaderID, _ others: HeaderID...) {
        insert(first)
        insert(second)
        for identifier in others { insert(identifier) }
    }

    /// All names of two sets.
    @inline(__always)
    static func | (left: HeaderMask, right: HeaderMask) -> HeaderMask {
        var union = left
        union.low |= right.low
        union.high |= right.high
        return union
    }

    @inline(__always)
    mutating func insert(_ identifier: HeaderID) {
        let bit = UInt64(identifier.rawValue)
        if bit < 64 { low |= 1 &<< bit } else { high |= 1 &<< bit }
    }

    /// Whether two sets have no name in common.
    @inline(__always)
    func isDisjoint(with other: HeaderMask) -> Bool {
        low & other.low | high & other.high == 0
    }

    @inline(__always)
    func contains(_ identifier: HeaderID) -> Bool {
        let bit = UInt64(identifier.rawValue)
        return (bit < 64 ? low : high) &>> bit & 1 == 1
    }
}
