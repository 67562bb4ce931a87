import Addressing

/// The bitmaps that say whether some deny prefix touches a source: by IPv4 /24, and by a hash of the
/// IPv6 /32. A function of the prefixes alone.
struct DenyFilter: Equatable {
    /// Prefixes shorter than this set no bits but switch the filter of their family off: /8 is
    /// 65,536 bits of the IPv4 filter already.
    private static let v4BitsMin = 8
    private static let v4Bits = 24
    private static let v6Bits = 32

    var v4Words: [UInt32: UInt64] = [:]
    var v6Words: [UInt32: UInt64] = [:]
    /// A prefix of the family is too wide for the filter: always ask the trie.
    var isWideV4 = false
    var isWideV6 = false

    init(_ prefixes: some Sequence<IPPrefix>) {
        for prefix in prefixes {
            if prefix.base.isIPv4 { addV4(prefix) } else { addV6(prefix) }
        }
    }

    private mutating func addV4(_ prefix: IPPrefix) {
        guard prefix.length >= DenyFilter.v4BitsMin else {
            isWideV4 = true
            return
        }
        let first = prefix.base.v4Bits >> 8
        let count = 1 << UInt32(max(0, DenyFilter.v4Bits - prefix.length))
        guard count >= 64 else {
            for bit in first..<first + UInt32(count) {
                v4Words[bit >> 6, default: 0] |= 1 << UInt64(bit & 63)
            }
            return
        }
        for word in first >> 6..<(first + UInt32(count)) >> 6 { v4Words[word] = .max }
    }

    private mutating func addV6(_ prefix: IPPrefix) {
        guard prefix.length >= DenyFilter.v6Bits else {
            isWideV6 = true
            return
        }
        let bit = (UInt32(truncatingIfNeeded: prefix.base.high >> 32) &* 2_654_435_761) >> 8
        v6Words[bit >> 6, default: 0] |= 1 << UInt64(bit & 63)
    }
}

/// What turns one dictionary into another: deletions and updates, the fewest.
struct MapDiff<Key: Hashable, Value: Equatable> {
    var updates: [Key: Value]
    var removals: [Key]

    init(from old: [Key: Value], to new: [Key: Value]) {
        updates = new.filter { old[$0.key] != $0.value }
        removals = old.keys.filter { new[$0] == nil }
    }
}
