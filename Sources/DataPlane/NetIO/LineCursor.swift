/// Writes one line of text behind what a buffer holds: the place is kept by whoever writes, which it
/// never leaves the registers for, and the buffer told once, at the end. What does not fit is left out, and the buffer has then overflowed.
@safe package struct LineCursor: ~Copyable {
    private var start: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer
    private var next: UnsafeMutableRawPointer
    /// Whether something did not fit.
    private var overflows = false

    /// Begins behind what `buffer` holds, which nobody else changes until the line has ended.
    @inline(__always)
    package init(_ buffer: ScratchBuffer) {
        unsafe start = buffer.memory + buffer.count
        unsafe next = start
        unsafe end = buffer.memory + buffer.capacity
    }

    /// Ends the line.
    ///
    /// - Parameter buffer: the one it was begun with.
    @inline(__always)
    package consuming func finish(_ buffer: ScratchBuffer) {
        buffer.advance(by: unsafe next - start)
        if overflows { buffer.overflowed = true }
    }

    @inline(__always)
    private mutating func hasRoom(_ byteCount: Int) -> Bool {
        if unsafe end - next >= byteCount { return true }
        overflows = true
        return false
    }

    /// Writes constant text: its copy is a few stores where the call stands.
    @inline(__always)
    package mutating func write(_ text: StaticString) {
        guard hasRoom(text.utf8CodeUnitCount) else { return }
        unsafe next.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        unsafe next += text.utf8CodeUnitCount
    }

    /// Writes some of a region's bytes. Short runs go over in steps of sixteen, which may read and
    /// write past the run, within both regions.
    @inline(__always)
    package mutating func write(_ bytes: RawSpan, _ range: Range<Int>) {
        let length = range.upperBound &- range.lowerBound
        guard range.lowerBound >= 0, range.upperBound <= bytes.byteCount &- 16, length <= 64,
            unsafe end - next >= 80
        else {
            writeLong(bytes, range)
            return
        }
        let from = unsafe bytes.withUnsafeBytes {
            unsafe $0.baseAddress.unsafelyUnwrapped + range.lowerBound
        }
        var offset = 0
        while offset < length {
            let step = unsafe from.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
            unsafe next.storeBytes(of: step, toByteOffset: offset, as: SIMD16<UInt8>.self)
            offset &+= 16
        }
        unsafe next += length
    }

    @inline(__always)
    private mutating func writeLong(_ bytes: RawSpan, _ range: Range<Int>) {
        let run = bytes.extracting(range)
        guard hasRoom(run.byteCount) else { return }
        unsafe LineCursor.copy(run, to: next)
        unsafe next += run.byteCount
    }

    @inline(never)
    @unsafe private static func copy(_ run: RawSpan, to target: UnsafeMutableRawPointer) {
        guard run.byteCount > 0 else { return }
        unsafe run.withUnsafeBytes { source in
            unsafe target.copyMemory(
                from: source.baseAddress.unsafelyUnwrapped,
                byteCount: source.count
            )
        }
    }

    /// Writes the first bytes of three words, the first in the lowest bits.
    @inline(__always)
    package mutating func write(words: (UInt64, UInt64, UInt64), byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= 24)
        guard hasRoom(24) else { return }
        unsafe next.storeBytes(of: words.0.littleEndian, as: UInt64.self)
        unsafe next.storeBytes(of: words.1.littleEndian, toByteOffset: 8, as: UInt64.self)
        unsafe next.storeBytes(of: words.2.littleEndian, toByteOffset: 16, as: UInt64.self)
        unsafe next += byteCount
    }

    /// Writes 32 digits.
    @inline(__always)
    package mutating func write(digits: Digits32) {
        guard hasRoom(32) else { return }
        let words = digits.words
        unsafe next.storeBytes(of: words.0, as: UInt64.self)
        unsafe next.storeBytes(of: words.1, toByteOffset: 8, as: UInt64.self)
        unsafe next.storeBytes(of: words.2, toByteOffset: 16, as: UInt64.self)
        unsafe next.storeBytes(of: words.3, toByteOffset: 24, as: UInt64.self)
        unsafe next += 32
    }

    /// Writes one byte.
    @inline(__always)
    package mutating func write(byte: UInt8) {
        guard hasRoom(1) else { return }
        unsafe next.storeBytes(of: byte, as: UInt8.self)
        unsafe next += 1
    }

    /// Writes a number in decimal.
    @inline(__always)
    package mutating func write(decimal value: UInt64) {
        if value < 10 {
            write(byte: UInt8(truncatingIfNeeded: value) &+ UInt8(ascii: "0"))
        } else {
            writeDigits(value)
        }
    }

    /// Writes a number below 1,000 in three digits.
    @inline(__always)
    package mutating func write(thousandths value: UInt64) {
        precondition(value < 1_000)
        guard hasRoom(4) else { return }
        let hundreds = (value &* 5_243) >> 19
        let rest = value &- hundreds &* 100
        let tens = (rest &* 103) >> 10
        let text = hundreds | tens << 8 | (rest &- tens &* 10) << 16 | 0x30_3030
        unsafe next.storeBytes(
            of: UInt32(truncatingIfNeeded: text).littleEndian,
            as: UInt32.self
        )
        unsafe next += 3
    }

    @inline(__always)
    private mutating func writeDigits(_ value: UInt64) {
        guard hasRoom(20) else { return }
        unsafe next += LineCursor.digits(value, to: next)
    }

    @inline(never)
    @unsafe private static func digits(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
        unsafe ScratchBuffer.write(digits: value, to: target)
    }

    /// Lends the buffer, in which the line stands as far as it was written, to whoever appends to it
    /// by its own means, and goes on behind.
    @inline(__always)
    package mutating func detour(_ buffer: ScratchBuffer, _ body: () -> Void) {
        buffer.advance(by: unsafe next - start)
        body()
        unsafe start = buffer.memory + buffer.count
        unsafe next = start
    }
}
