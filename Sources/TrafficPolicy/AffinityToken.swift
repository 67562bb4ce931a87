/// What a client is given to come back to its endpoint with: 16 digits that name the endpoint
/// without telling where it is, and, where ties end, 8 digits of the second in which this one does.
package struct AffinityToken: Equatable, BitwiseCopyable, Sendable {
    /// Bytes of a token without and with an end.
    package static let byteCount = 16
    /// Bytes of a token that ends.
    package static let endingByteCount = 24

    /// Names the endpoint.
    package var tag: UInt64
    /// The end, seconds since 1970; 0 for none.
    package var endSecond: UInt32

    /// Makes a token.
    package init(tag: UInt64, endSecond: UInt32 = 0) {
        self.tag = tag
        self.endSecond = endSecond
    }

    /// Reads a token as a client sent it; `nil` for what is none.
    package init?(byteCount count: Int, _ byteAt: (Int) -> UInt8) {
        guard count == AffinityToken.byteCount || count == AffinityToken.endingByteCount,
            let tag = AffinityToken.number(0..<16, byteAt),
            let end = AffinityToken.number(16..<count, byteAt)
        else { return nil }
        self.tag = tag
        endSecond = UInt32(truncatingIfNeeded: end)
    }

    /// How many bytes its text has.
    package var byteCount: Int {
        endSecond == 0 ? AffinityToken.byteCount : AffinityToken.endingByteCount
    }

    /// A byte of its text.
    package func byte(at index: Int) -> UInt8 {
        let shift = index < 16 ? (15 - index) * 4 : (23 - index) * 4
        let nibble = (index < 16 ? tag >> UInt64(shift) : UInt64(endSecond) >> UInt64(shift)) & 15
        let digit = UInt8(truncatingIfNeeded: nibble)
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
