/// The hash of the view's tables. Paths are folded in byte by byte (FNV-1a of 64 bits), so that
/// every prefix of a path has its hash on the way; host names eight bytes at a time. Keys come from
/// the operator; a request only looks up.
struct RouteHash: BitwiseCopyable {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    @inline(__always)
    mutating func combine(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }

    /// Folds a run of bytes in, letters in lower case, in words, the last of which overlaps.
    @inline(__always)
    mutating func combine(lowered bytes: RawSpan, _ start: Int, _ count: Int) {
        var last = count &- 8
        if last < 0 {
            let mask = 1 &<< UInt64(count &* 8) &- 1 as UInt64
            mix(ByteScan.lower(bytes.word(at: start) & mask))
            return
        }
        mix(ByteScan.lower(bytes.word(at: start &+ last)))
        while last > 0 {
            last = max(last &- 8, 0)
            mix(ByteScan.lower(bytes.word(at: start &+ last)))
        }
    }

    @inline(__always)
    private mutating func mix(_ word: UInt64) {
        let mixed = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
        value = mixed ^ mixed >> 32
    }

    /// The start of a host's hash.
    static func host(entry: Int32, isWildcard: Bool) -> RouteHash {
        start(UInt64(UInt32(bitPattern: entry)) << 1 | (isWildcard ? 1 : 0))
    }

    /// The key of a path whose bytes were folded in.
    @inline(__always)
    func key(host: Int32, isPrefix: Bool) -> UInt64 {
        let salt = UInt64(UInt32(bitPattern: host)) << 1 | (isPrefix ? 1 : 0)
        return (value ^ salt) &* 0x9e37_79b9_7f4a_7c15
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
