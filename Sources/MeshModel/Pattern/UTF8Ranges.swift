/// Splits ranges of scalars into sequences of byte ranges that encode exactly them (RFC 3629).
enum UTF8Ranges {
    /// The last scalar of each encoded length.
    private static let lengthEnds: [UInt32] = [0x7f, 0x7ff, 0xffff, 0x10_ffff]
    /// What no text encodes.
    private static let surrogates: ClosedRange<UInt32> = 0xd800...0xdfff

    /// The sequences of a set, each of one to four byte ranges.
    static func sequences(of set: ScalarSet) -> [[ClosedRange<UInt8>]] {
        var found: [[ClosedRange<UInt8>]] = []
        for range in set.ranges { split(range, &found) }
        return found
    }

    private static func split(
        _ range: ClosedRange<UInt32>,
        _ found: inout [[ClosedRange<UInt8>]]
    ) {
        let (low, high) = (range.lowerBound, range.upperBound)
        if range.overlaps(surrogates) {
            if low < surrogates.lowerBound { split(low...(surrogates.lowerBound - 1), &found) }
            if high > surrogates.upperBound { split((surrogates.upperBound + 1)...high, &found) }
            return
        }
        for end in lengthEnds where low <= end && end < high {
            split(low...end, &found)
            split((end + 1)...high, &found)
            return
        }
        if high <= 0x7f {
            found.append([UInt8(low)...UInt8(high)])
            return
        }
        // Where the leading bytes differ, all that follows them must be the whole of its range.
        for shift: UInt32 in [6, 12, 18] {
            let mask = (1 as UInt32) << shift - 1
            guard low & ~mask != high & ~mask else { continue }
            if low & mask != 0 {
                split(low...(low | mask), &found)
                split(((low | mask) + 1)...high, &found)
                return
            }
            if high & mask != mask {
                split(low...((high & ~mask) - 1), &found)
                split((high & ~mask)...high, &found)
                return
            }
        }
        found.append(zip(encode(low), encode(high)).map { $0...$1 })
    }

    private static func encode(_ value: UInt32) -> [UInt8] {
        switch value {
        case ...0x7f: [UInt8(value)]
        case ...0x7ff: [0xc0 | UInt8(value >> 6), tail(value)]
        case ...0xffff: [0xe0 | UInt8(value >> 12), tail(value >> 6), tail(value)]
        default: [0xf0 | UInt8(value >> 18), tail(value >> 12), tail(value >> 6), tail(value)]
        }
    }

    private static func tail(_ value: UInt32) -> UInt8 { 0x80 | UInt8(value & 0x3f) }
}
