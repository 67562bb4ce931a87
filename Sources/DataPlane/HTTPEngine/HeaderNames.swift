/// The known names, found by their length and their words in lower case: a table with a slot of its
/// own for each, so that a name is recognised by one look.
struct HeaderNames: Sendable {
    /// A name's words, the first byte in the lowest bits: at its start and its end, and for names
    /// above 16 bytes those next to them. They overlap where the name is shorter than all together.
    struct Slot: BitwiseCopyable, Sendable {
        var first: UInt64 = 0
        var last: UInt64 = 0
        var second: UInt64 = 0
        var secondLast: UInt64 = 0
        var byteCount = 0
        var id = HeaderID.other
    }

    private static let slotBits: UInt64 = 9

    /// All of them.
    static let known = HeaderNames()

    private let slots: FlatTable<Slot>
    private let multiplier: UInt64

    private init() {
        let names = HeaderID.allCases.compactMap { $0 == .other ? nil : HeaderNames.slot(of: $0) }
        multiplier = HeaderNames.multiplier(for: names)
        var slots = Array(repeating: Slot(), count: 1 << HeaderNames.slotBits)
        for name in names {
            slots[HeaderNames.place(name.first, name.last, name.byteCount, multiplier)] = name
        }
        self.slots = FlatTable.permanent(slots)
    }

    /// Recognises the token of `count` bytes at `offset`, at least 1, which holds no control bytes.
    @inline(__always)
    func identify(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> HeaderID {
        var first = bytes.word(at: offset) | ByteScan.caseBits
        var last = first
        if count < 8 {
            first &= 1 &<< UInt64(count &* 8) &- 1
            last = first
        } else {
            last = bytes.word(at: offset &+ count &- 8) | ByteScan.caseBits
        }
        let slot = slots[HeaderNames.place(first, last, count, multiplier)]
        guard slot.first == first, slot.last == last, slot.byteCount == count else { return .other }
        if count > 16 {
            guard slot.second == bytes.word(at: offset &+ 8) | ByteScan.caseBits,
                slot.secondLast == bytes.word(at: offset &+ count &- 16) | ByteScan.caseBits
            else { return .other }
        }
        return slot.id
    }

    @inline(__always)
    private static func place(
        _ first: UInt64,
        _ last: UInt64,
        _ count: Int,
        _ multiplier: UInt64
    ) -> Int {
        let key = first ^ (last << 29 | last >> 35) &+ UInt64(truncatingIfNeeded: count)
        return Int(truncatingIfNeeded: (key &* multiplier) >> (64 - slotBits))
    }

    private static func slot(of id: HeaderID) -> Slot {
        id.name.withUTF8Bytes { name in
            let count = name.byteCount
            var slot = Slot(byteCount: count, id: id)
            slot.first = name.word(at: 0)
            slot.last = count < 8 ? slot.first : name.word(at: count - 8)
            if count < 8 {
                let mask = 1 << UInt64(count * 8) &- 1 as UInt64
                slot.first = (slot.first | ByteScan.caseBits) & mask
                slot.last = slot.first
            }
            if count > 16 {
                slot.second = name.word(at: 8)
                slot.secondLast = name.word(at: count - 16)
            }
            return slot
        }
    }

    /// Tries odd numbers until every name has a place of its own.
    private static func multiplier(for names: [Slot]) -> UInt64 {
        var candidate: UInt64 = 0x9e37_79b9_7f4a_7c15
        for _ in 0..<100_000 {
            let places = names.map { place($0.first, $0.last, $0.byteCount, candidate) }
            if Set(places).count == names.count { return candidate }
            candidate = candidate &* 0xd134_2543_de82_ef95 | 1
        }
        preconditionFailure("two known names are the same")
    }
}

extension HeaderID {
    /// Recognises the token of `count` bytes at `offset`, without regard to case.
    @inline(__always)
    package static func identify(_ bytes: RawSpan, offset: Int, count: Int) -> HeaderID {
        count > 0 ? HeaderNames.known.identify(bytes, offset, count) : .other
    }
}
