/// What a client is given to come back to its endpoint with: 16 digits that name the endpoint
/// without telling where it is; where ties end, 8 digits of the second in which this one does; and
/// where they end by not being used, 8 more of the second in which it does unless it is used before.
package struct AffinityToken: Equatable, BitwiseCopyable, Sendable {
    /// Bytes of a token without an end.
    package static let byteCount = 16
    /// Bytes of a token that ends.
    package static let endingByteCount = 24
    /// Bytes of a token that also ends when it is not used.
    package static let idlingByteCount = 32

    /// Names the endpoint.
    package var tag: UInt64
    /// The end, seconds since 1970; 0 for none.
    package var endSecond: UInt32
    /// The end unless it is used before, seconds since 1970; 0 for none.
    package var idleSecond: UInt32

    /// Makes a token.
    package init(tag: UInt64, endSecond: UInt32 = 0, idleSecond: UInt32 = 0) {
        self.tag = tag
        self.endSecond = endSecond
        self.idleSecond = idleSecond
    }

    /// Reads a token as a client sent it; `nil` for what is none.
    package init?(byteCount count: Int, _ byteAt: (Int) -> UInt8) {
        guard
            count == AffinityToken.byteCount || count == AffinityToken.endingByteCount
                || count == AffinityToken.idlingByteCount,
            let tag = AffinityToken.number(0..<16, byteAt),
            let end = AffinityToken.number(16..<min(count, 24), byteAt),
            let idle = AffinityToken.number(min(count, 24)..<count, byteAt)
        else { return nil }
        self.tag = tag
        endSecond = UInt32(truncatingIfNeeded: end)
        idleSecond = UInt32(truncatingIfNeeded: idle)
    }

    /// How many bytes its text has.
    package var byteCount: Int {
        if idleSecond != 0 { return AffinityToken.idlingByteCount }
        return endSecond == 0 ? AffinityToken.byteCount : AffinityToken.endingByteCount
    }

    /// Whether it still holds.
    ///
    /// - Parameter second: now, since 1970.
    package func holds(at second: UInt32) -> Bool {
        (endSecond == 0 || endSecond > second) && (idleSecond == 0 || idleSecond > second)
    }

    /// A byte of its text.
    package func byte(at index: Int) -> UInt8 {
        let nibble: UInt64
        switch index {
        case ..<16: nibble = tag >> UInt64((15 - index) * 4)
        case ..<24: nibble = UInt64(endSecond >> UInt32((23 - index) * 4))
        default: nibble = UInt64(idleSecond >> UInt32((31 - index) * 4))
        }
        let digit = UInt8(truncatingIfNeeded: nibble & 15)
        return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }

    private static func number(_ range: Range<Int>, _ byteAt: (Int) -> UInt8) -> UInt64? {
        var number: UInt64 = 0
        for index in range {
            let byte = byteAt(index)
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                number = number << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                number = number << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }
}
