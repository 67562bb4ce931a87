/// 128 bits as 32 digits of lower-case hexadecimal: text that is written more than once.
package struct Digits32: BitwiseCopyable, Sendable {
    /// Eight digits each, as they stand in memory.
    let words: (UInt64, UInt64, UInt64, UInt64)

    /// All zero.
    package init() { self.init(0, 0) }

    /// The digits of 128 bits, the most significant first.
    @inline(__always)
    package init(_ high: UInt64, _ low: UInt64) {
        words = (
            Digits32.text(UInt32(truncatingIfNeeded: high >> 32)).littleEndian,
            Digits32.text(UInt32(truncatingIfNeeded: high)).littleEndian,
            Digits32.text(UInt32(truncatingIfNeeded: low >> 32)).littleEndian,
            Digits32.text(UInt32(truncatingIfNeeded: low)).littleEndian
        )
    }

    /// The same digits with the last eight replaced by those of a number.
    @inline(__always)
    package func replacingLast(by value: UInt32) -> Digits32 {
        Digits32((words.0, words.1, words.2, Digits32.text(value).littleEndian))
    }

    private init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    /// Eight hexadecimal digits, the most significant in the lowest byte: nibbles are spread to
    /// bytes, then `0` is added, and 39 more where a nibble is above 9.
    @inline(__always)
    static func text(_ value: UInt32) -> UInt64 {
        var spread = UInt64(value.byteSwapped)
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f
        let above = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ above &* 39
    }
}
