/// Bounds-checked reads for the parsers. Every read tests its bounds first; the unchecked load
/// behind the test is what keeps a 8-byte step at one compare and one load.
extension RawSpan {
    /// The byte at `offset`; traps out of bounds.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        precondition(offset >= 0 && offset < byteCount)
        return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    /// Eight bytes from `offset`, the first in the lowest bits; bytes past the end read as zero.
    @inline(__always)
    func word(at offset: Int) -> UInt64 {
        precondition(offset >= 0)
        if offset <= byteCount &- 8 {
            return UInt64(
                littleEndian: unsafe unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset,
                    as: UInt64.self
                )
            )
        }
        return tailWord(at: offset)
    }

    /// The last, incomplete word of the span.
    @inline(never)
    private func tailWord(at offset: Int) -> UInt64 {
        var word: UInt64 = 0
        var shift: UInt64 = 0
        var position = offset
        while position < byteCount && shift < 64 {
            word |= UInt64(byte(at: position)) << shift
            shift += 8
            position += 1
        }
        return word
    }
}

extension StaticString {
    /// Lends the text's bytes.
    @inline(__always)
    func withUTF8Span<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        withUTF8Buffer { unsafe body($0.span) }
    }
}

extension HeaderID {
    /// The identifier of a name given as text, any case.
    package init(name: String) {
        let bytes = Array(name.utf8)
        self = unsafe HeaderID.identify(bytes.span.bytes, offset: 0, count: bytes.count)
    }
}
