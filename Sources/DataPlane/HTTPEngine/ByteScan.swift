/// Eight bytes at a time tests on words loaded little-endian. A set high bit in a lane of a mask
/// marks a byte that matched; the lowest one is always exact.
enum ByteScan {
    static let highBits: UInt64 = 0x8080_8080_8080_8080
    static let lowSevenBits: UInt64 = 0x7f7f_7f7f_7f7f_7f7f
    static let caseBits: UInt64 = 0x2020_2020_2020_2020

    /// One byte in every lane.
    @inline(__always)
    static func repeated(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

    /// The index of the first marked lane.
    @inline(__always)
    static func firstLane(_ mask: UInt64) -> Int { mask.trailingZeroBitCount >> 3 }

    /// Bytes below 0x20, and DEL: what no field value may hold, save TAB.
    @inline(__always)
    static func controls(_ word: UInt64) -> UInt64 {
        let below = (word &- caseBits) & ~word
        let folded = word ^ lowSevenBits
        let delete = (folded &- 0x0101_0101_0101_0101) & ~folded
        return (below | delete) & highBits
    }

    /// Bytes other than letters, digits and `-`: nearly every field name has none before `:`.
    @inline(__always)
    static func notNameByte(_ word: UInt64) -> UInt64 {
        let low = word & lowSevenBits
        let lower = low | caseBits
        let alpha = (lower &+ repeated(0x1f)) & ~(lower &+ repeated(0x05))
        let digit = (low &+ repeated(0x50)) & ~(low &+ repeated(0x46))
        let dash = ~((low ^ repeated(0x2d)) &+ lowSevenBits)
        return ~((alpha | digit | dash) & ~word) & highBits
    }

    /// Bytes other than letters, digits, `-` and `.`: few host names have others.
    @inline(__always)
    static func notHostByte(_ word: UInt64) -> UInt64 {
        let dot = ~(((word & lowSevenBits) ^ repeated(0x2e)) &+ lowSevenBits) & ~word
        return notNameByte(word) & ~dot
    }

    /// Bytes outside 0x21...0x7e, and `#`: what ends or spoils a request target.
    @inline(__always)
    static func notTargetByte(_ word: UInt64) -> UInt64 {
        let low = word & lowSevenBits
        let space = ~(low &+ repeated(0x5f))
        let delete = low &+ repeated(0x01)
        let fragment = ~((low ^ repeated(0x23)) &+ lowSevenBits)
        return (space | delete | fragment | word) & highBits
    }

    /// Bytes equal to `byte`, which must be below 0x80.
    @inline(__always)
    static func equal(_ word: UInt64, to byte: UInt8) -> UInt64 {
        let difference = word ^ repeated(byte)
        return (difference &- 0x0101_0101_0101_0101) & ~difference & highBits
    }

    /// Whether a byte is a token character (RFC 9110 section 5.6.2).
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // Bit n of the low word is byte n, of the high word byte 64 + n.
        let low: UInt64 = 0x03ff_6cfa_0000_0000
        let high: UInt64 = 0x57ff_ffff_c7ff_fffe
        if byte < 64 { return low >> UInt64(byte) & 1 == 1 }
        return byte < 128 && high >> UInt64(byte - 64) & 1 == 1
    }

    /// Whether a byte may stand in a field value: TAB, visible ASCII, SP or obs-text.
    @inline(__always)
    static func isValue(_ byte: UInt8) -> Bool {
        byte >= 0x20 ? byte != 0x7f : byte == 0x09
    }

    /// The number that the first bytes of a word spell; `nil` when one of them is no digit.
    ///
    /// - Parameter digits: 1...8.
    @inline(__always)
    static func decimal(_ word: UInt64, digits: Int) -> UInt64? {
        // Digits to the top, zeros before them; then pairs, fours and all eight are joined.
        let missing = UInt64(64 &- digits &* 8)
        let text = word &<< missing | repeated(0x30) & (1 &<< missing &- 1)
        let value = text &- repeated(0x30)
        let tooLarge = (value &+ repeated(0x76)) | value
        guard tooLarge & highBits == 0 else { return nil }
        let pairs = (value &* 10 &+ value >> 8) & 0x00ff_00ff_00ff_00ff
        let fours = (pairs &* 100 &+ pairs >> 16) & 0x0000_ffff_0000_ffff
        return (fours &* 10_000 &+ fours >> 32) & 0xffff_ffff
    }

    /// Whether a byte of a path ends it or needs a second look.
    static func isNotable(_ byte: UInt8) -> Bool {
        byte == 0x3f || byte == 0x2e || byte == 0x25 || byte == 0x5c
    }

    /// Whether JSON text of ASCII must escape a byte.
    static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte >= 0x7f || byte == 0x22 || byte == 0x5c
    }

    /// Every letter of a word in lower case, ASCII only.
    @inline(__always)
    static func lower(_ word: UInt64) -> UInt64 {
        let low = word & lowSevenBits
        let upper = (low &+ repeated(0x3f)) & ~(low &+ repeated(0x25)) & ~word & highBits
        return word | upper >> 2
    }

    /// The byte in lower case, ASCII only.
    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 {
        byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    }
}

extension RawSpan {
    /// Where the first CR, LF, control byte or DEL that is not TAB stands at or after `start`.
    ///
    /// - Returns: The offset, or `byteCount` when there is none.
    @inline(__always)
    func firstControl(from start: Int) -> Int {
        var position = start
        while position < byteCount {
            let mask = ByteScan.controls(word(at: position))
            if mask == 0 {
                position += 8
                continue
            }
            position += ByteScan.firstLane(mask)
            if position >= byteCount || byte(at: position) != 0x09 { break }
            position += 1
        }
        return position < byteCount ? position : byteCount
    }

    /// Whether the range equals `text`, which is lower case, without regard to ASCII case.
    func equalsIgnoringCase(_ offset: Int, _ count: Int, _ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Bytes { wanted in
            var index = 0
            while index < count {
                let mask =
                    count &- index >= 8 ? UInt64.max : 1 &<< UInt64((count &- index) &* 8) &- 1
                let given = ByteScan.lower(word(at: offset &+ index))
                guard (given ^ wanted.word(at: index)) & mask == 0 else { return false }
                index += 8
            }
            return true
        }
    }

    /// Whether two ranges of equal length hold the same text without regard to ASCII case.
    @inline(never)
    func equalsIgnoringCase(_ first: Int, _ second: Int, count: Int) -> Bool {
        var index = 0
        while index < count {
            guard
                ByteScan.lower(byte(at: first + index)) == ByteScan.lower(byte(at: second + index))
            else { return false }
            index += 1
        }
        return true
    }
}
