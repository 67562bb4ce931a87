import CByteScan

/// Bounds-checked reads for the parsers. Every read tests its bounds first; the unchecked load
/// behind the test is what keeps a 8-byte step at one compare and one load.
extension RawSpan {
    /// The byte at `offset`; traps out of bounds.
    @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        precondition(UInt(bitPattern: offset) < UInt(bitPattern: byteCount))
        return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    /// Eight bytes from `offset`, the first in the lowest bits; bytes past the end read as zero.
    @inline(__always)
    func word(at offset: Int) -> UInt64 {
        if UInt(bitPattern: offset) < UInt(bitPattern: Swift.max(byteCount &- 7, 0)) {
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
        precondition(offset >= 0)
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

extension RawSpan {
    /// Two bytes from `offset`, the first in the low half; traps out of bounds.
    @inline(__always)
    func pair(at offset: Int) -> UInt16 {
        precondition(UInt(bitPattern: offset) < UInt(bitPattern: Swift.max(byteCount &- 1, 0)))
        return UInt16(
            littleEndian: unsafe unsafeLoadUnaligned(
                fromUncheckedByteOffset: offset,
                as: UInt16.self
            )
        )
    }

    /// Where the first colon of a line stands and where its first control byte other than TAB,
    /// sixteen bytes at a time.
    ///
    /// - Returns: `colon` is -1 or beyond `stop` when the line has none; `stop` is `byteCount` when
    ///   no control byte has arrived.
    @inline(__always)
    func lineMarks(from start: Int) -> (colon: Int, stop: Int) {
        precondition(start >= 0)
        var at = start
        while at <= byteCount &- 16 {
            let controls = unsafe withUnsafeBytes {
                unsafe bytescan_controls($0.baseAddress.unsafelyUnwrapped + at)
            }
            if controls != 0 {
                let stop = at &+ controls.trailingZeroBitCount
                return (colonInSteps(from: start, before: stop), stop)
            }
            at &+= 16
        }
        return lastLineMarks(start, at)
    }

    /// Where the first colon of a range stands; -1 when there is none. Bytes past the range may be
    /// looked at.
    @inline(__always)
    func firstColon(_ range: Range<Int>) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var at = range.lowerBound
        while at < range.upperBound {
            let mask = ByteScan.equal(word(at: at), to: UInt8(ascii: ":"))
            if mask != 0 {
                let found = at &+ ByteScan.firstLane(mask)
                return found < range.upperBound ? found : -1
            }
            at &+= 8
        }
        return -1
    }

    /// Where the first colon stands in steps of sixteen bytes from `start` that begin before `end`;
    /// -1 when these hold none.
    @inline(__always)
    private func colonInSteps(from start: Int, before end: Int) -> Int {
        var at = start
        while at < end && at <= byteCount &- 16 {
            let colons = unsafe withUnsafeBytes {
                unsafe bytescan_colons($0.baseAddress.unsafelyUnwrapped + at)
            }
            if colons != 0 { return at &+ colons.trailingZeroBitCount }
            at &+= 16
        }
        return -1
    }

    /// Where the first byte of a range stands that JSON text must not hold as it is, or
    /// `range.upperBound`. Bytes past the range may be looked at.
    @inline(__always)
    func firstEscaped(_ range: Range<Int>) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var at = range.lowerBound
        while at < range.upperBound && at <= byteCount &- 16 {
            let mask = unsafe withUnsafeBytes {
                unsafe bytescan_escaped($0.baseAddress.unsafelyUnwrapped + at)
            }
            if mask != 0 { return min(at &+ mask.trailingZeroBitCount, range.upperBound) }
            at &+= 16
        }
        while at < range.upperBound && !ByteScan.isEscaped(byte(at: at)) { at &+= 1 }
        return min(at, range.upperBound)
    }

    /// The line's last bytes, fewer than sixteen: read with those before them.
    @inline(never)
    private func lastLineMarks(_ start: Int, _ rest: Int) -> (colon: Int, stop: Int) {
        guard byteCount >= 16 else { return shortLineMarks(start) }
        let first = byteCount &- 16
        let passed = UInt32(truncatingIfNeeded: Swift.min(rest &- first, 16))
        let (controls, colons) = unsafe withUnsafeBytes {
            let last = unsafe $0.baseAddress.unsafelyUnwrapped + first
            return (unsafe bytescan_controls(last), unsafe bytescan_colons(last))
        }
        let control = (controls &>> passed) &<< passed
        let stop = control == 0 ? byteCount : first &+ control.trailingZeroBitCount
        let early = colonInSteps(from: start, before: Swift.min(stop, rest))
        if early >= 0 { return (early, stop) }
        let begun = UInt32(truncatingIfNeeded: Swift.min(Swift.max(start &- first, 0), 16))
        let late = (colons &>> begun) &<< begun
        return (late == 0 ? -1 : first &+ late.trailingZeroBitCount, stop)
    }

    /// Where the first `?`, dot, percent sign or backslash of a range stands, or
    /// `range.upperBound`. Bytes past the range may be looked at.
    func firstNotable(_ range: Range<Int>) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var at = range.lowerBound
        while at < range.upperBound && at <= byteCount &- 16 {
            let mask = unsafe withUnsafeBytes {
                unsafe bytescan_notable($0.baseAddress.unsafelyUnwrapped + at)
            }
            if mask != 0 { return Swift.min(at &+ mask.trailingZeroBitCount, range.upperBound) }
            at &+= 16
        }
        while at < range.upperBound && !ByteScan.isNotable(byte(at: at)) { at &+= 1 }
        return Swift.min(at, range.upperBound)
    }

    /// A span of fewer than sixteen bytes.
    private func shortLineMarks(_ start: Int) -> (colon: Int, stop: Int) {
        var at = start
        var colon = -1
        while at < byteCount {
            let byte = byte(at: at)
            if byte == UInt8(ascii: ":") && colon < 0 { colon = at }
            if !ByteScan.isValue(byte) { break }
            at += 1
        }
        return (colon, at)
    }

    /// Where the first byte of a range stands that is no letter, digit, dash or dot, or
    /// `range.upperBound`. Bytes past the range may be looked at.
    func firstNotHost(_ range: Range<Int>) -> Int {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var at = range.lowerBound
        while at < range.upperBound && at <= byteCount &- 16 {
            let mask = unsafe withUnsafeBytes {
                unsafe bytescan_not_host($0.baseAddress.unsafelyUnwrapped + at)
            }
            if mask != 0 { return Swift.min(at &+ mask.trailingZeroBitCount, range.upperBound) }
            at &+= 16
        }
        while at < range.upperBound {
            let mask = ByteScan.notHostByte(word(at: at))
            if mask != 0 { return Swift.min(at &+ ByteScan.firstLane(mask), range.upperBound) }
            at &+= 8
        }
        return range.upperBound
    }
}

extension RawSpan {
    /// Whether the bytes from `start` begin by those of another span.
    @inline(__always)
    func equals(_ start: Int, _ other: RawSpan) -> Bool {
        precondition(start >= 0 && start &+ other.byteCount <= byteCount)
        return unsafe withUnsafeBytes { left in
            unsafe other.withUnsafeBytes { right in
                unsafe bytescan_equal(
                    left.baseAddress.unsafelyUnwrapped + start,
                    right.baseAddress.unsafelyUnwrapped,
                    other.byteCount
                ) != 0
            }
        }
    }
}

extension MutableSpan<HeaderField> {
    /// Copies fields to the front, with their text `distance` bytes further on.
    @inline(__always)
    mutating func copy(
        _ count: Int,
        of source: Span<HeaderField>,
        from start: Int,
        movedBy distance: UInt32
    ) {
        precondition(start >= 0 && count >= 0 && start &+ count <= source.count)
        precondition(count <= self.count && MemoryLayout<HeaderField>.size == 16)
        unsafe withUnsafeMutableBytes { target in
            unsafe source.withUnsafeBytes { fields in
                unsafe bytescan_shift(
                    target.baseAddress.unsafelyUnwrapped,
                    fields.baseAddress.unsafelyUnwrapped + start &* 16,
                    count,
                    distance
                )
            }
        }
    }
}

extension StaticString {
    /// Lends the text's bytes.
    @inline(__always)
    func withUTF8Bytes<Result>(_ body: (RawSpan) -> Result) -> Result {
        withUTF8Buffer { unsafe body($0.span.bytes) }
    }
}

extension HeaderID {
    /// The identifier of a name given as text, any case.
    package init(name: String) {
        let bytes = Array(name.utf8)
        self = unsafe HeaderID.identify(bytes.span.bytes, offset: 0, count: bytes.count)
    }
}
