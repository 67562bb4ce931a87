/// The hash of the view's tables, FNV-1a of 64 bits, folded in byte by byte so that every prefix of
/// a path has its hash on the way. Keys come from the operator; a request only looks up.
struct RouteHash: BitwiseCopyable {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always)
    mutating func combine(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }

    /// The start of a host's hash.
    static func host(entry: Int32, isWildcard: Bool) -> RouteHash {
        start(UInt64(UInt32(bitPattern: entry)) << 1 | (isWildcard ? 1 : 0))
    }

    /// The start of a path's hash.
    static func path(host: Int32, isPrefix: Bool) -> RouteHash {
        start(UInt64(UInt32(bitPattern: host)) << 1 | (isPrefix ? 1 : 0))
    }

    private static func start(_ salt: UInt64) -> RouteHash {
        var hash = RouteHash()
        hash.value = (hash.value ^ salt) &* 0x9e37_79b9_7f4a_7c15
        return hash
    }

    /// Where a hash begins in a table of a power of two slots.
    @inline(__always)
    static func place(_ hash: UInt64, _ slotCount: Int) -> Int {
        Int(truncatingIfNeeded: (hash ^ hash >> 32) & UInt64(slotCount - 1))
    }

    /// Lays keys out by open addressing with linear probing, at most half full.
    static func table<Slot>(_ keys: [Slot], empty: Slot, hash: KeyPath<Slot, UInt64>) -> [Slot] {
        guard !keys.isEmpty else { return [] }
        var slotCount = 2
        while slotCount < keys.count * 2 { slotCount *= 2 }
        var table: [Slot?] = Array(repeating: nil, count: slotCount)
        for key in keys {
            var place = RouteHash.place(key[keyPath: hash], slotCount)
            while table[place] != nil { place = (place + 1) & (slotCount - 1) }
            table[place] = key
        }
        return table.map { $0 ?? empty }
    }
}
