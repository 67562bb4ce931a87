/// One worker's region for bytes in passing: what was just received, what is about to be sent.
/// Written like a file, from the front.
@safe package final class ScratchBuffer {
    /// Its size.
    package let capacity: Int
    /// Bytes written so far.
    package private(set) var count = 0
    /// Whether an append did not fit; the content is then incomplete.
    package internal(set) var overflowed = false

    private var base: UnsafeMutableRawPointer

    /// Reserves `capacity` bytes.
    package init(capacity: Int) {
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { unsafe base.deallocate() }

    /// Forgets what was written.
    package func reset() {
        count = 0
        overflowed = false
    }

    /// Exchanges contents with a buffer of the same capacity, without a copy.
    package func exchangeContents(with other: ScratchBuffer) {
        precondition(capacity == other.capacity)
        unsafe swap(&base, &other.base)
        swap(&count, &other.count)
        swap(&overflowed, &other.overflowed)
    }

    /// Takes back what was written past `count`.
    package func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count)
        self.count = count
        overflowed = false
    }

    /// The written bytes from `start` on.
    @inline(__always)
    @_lifetime(immortal)
    package func bytes(from start: Int = 0) -> RawSpan {
        bytes(start, count - start)
    }

    /// Some bytes of the region, written or not.
    @inline(__always)
    @_lifetime(immortal)
    package func bytes(_ start: Int, _ byteCount: Int) -> RawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= capacity)
        let span = unsafe RawSpan(_unsafeStart: base + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Some bytes of the region, to be written in place. No other span of them may be in use.
    @inline(__always)
    @_lifetime(immortal)
    package func mutableBytes(_ start: Int, _ byteCount: Int) -> MutableRawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= capacity)
        let span = unsafe MutableRawSpan(_unsafeStart: base + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Some bytes of the region as an array of their own.
    package func array(_ start: Int, _ byteCount: Int) -> [UInt8] {
        let span = bytes(start, byteCount)
        return unsafe span.withUnsafeBytes { unsafe [UInt8]($0) }
    }

    /// Declares bytes after the written ones as written, after `mutableBytes` filled them.
    @inline(__always)
    package func advance(by byteCount: Int) {
        precondition(byteCount >= 0 && count + byteCount <= capacity)
        count += byteCount
    }

    /// Appends bytes.
    package func append(_ bytes: RawSpan) {
        let length = bytes.byteCount
        guard reserve(length), length > 0 else { return }
        unsafe bytes.withUnsafeBytes { source in
            unsafe (base + count).copyMemory(
                from: source.baseAddress.unsafelyUnwrapped,
                byteCount: length
            )
        }
        count += length
    }

    /// Appends some of a region's bytes. Short runs go over in steps of sixteen, which may read
    /// and write past the run, within both regions.
    package func append(_ bytes: RawSpan, _ range: Range<Int>) {
        let length = range.upperBound &- range.lowerBound
        guard length <= 128, range.lowerBound >= 0, range.upperBound <= bytes.byteCount &- 16,
            count &+ length &+ 16 <= capacity
        else {
            append(bytes.extracting(range))
            return
        }
        unsafe bytes.withUnsafeBytes { source in
            let from = unsafe source.baseAddress.unsafelyUnwrapped + range.lowerBound
            let to = unsafe base + count
            var offset = 0
            while offset < length {
                let step = unsafe from.loadUnaligned(
                    fromByteOffset: offset,
                    as: SIMD16<UInt8>.self
                )
                unsafe to.storeBytes(of: step, toByteOffset: offset, as: SIMD16<UInt8>.self)
                offset &+= 16
            }
        }
        count &+= length
    }

    /// Appends constant text: its copy is a few stores where the call stands.
    @inline(__always)
    package func append(_ text: StaticString) {
        guard reserve(text.utf8CodeUnitCount) else { return }
        unsafe (base + count).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        count &+= text.utf8CodeUnitCount
    }

    /// Appends the bytes of an array.
    package func append(_ bytes: [UInt8]) {
        unsafe append(bytes.span.bytes)
    }

    /// Appends text as UTF-8.
    package func append(string text: String) {
        unsafe append(text.utf8.span.bytes)
    }

    /// Appends the first bytes of three words, the first in the lowest bits.
    @inline(__always)
    package func append(words: (UInt64, UInt64, UInt64), byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= 24)
        guard reserve(24) else { return }
        unsafe base.storeBytes(of: words.0.littleEndian, toByteOffset: count, as: UInt64.self)
        unsafe base.storeBytes(of: words.1.littleEndian, toByteOffset: count &+ 8, as: UInt64.self)
        unsafe base.storeBytes(
            of: words.2.littleEndian,
            toByteOffset: count &+ 16,
            as: UInt64.self
        )
        count &+= byteCount
    }

    /// Appends one byte.
    @inline(__always)
    package func append(byte: UInt8) {
        guard reserve(1) else { return }
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    /// Appends a number in decimal.
    @inline(__always)
    package func append(decimal value: UInt64) {
        guard value < 10 else {
            appendDigits(value)
            return
        }
        append(byte: UInt8(truncatingIfNeeded: value) &+ UInt8(ascii: "0"))
    }

    /// Appends a number of two digits or more.
    private func appendDigits(_ value: UInt64) {
        guard reserve(20) else { return }
        count &+= unsafe ScratchBuffer.write(digits: value, to: base + count)
    }

    /// Writes a number of two digits or more, for which there is room.
    ///
    /// - Returns: how many digits it has.
    @inline(__always)
    @unsafe static func write(digits value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
        let digits = ScratchBuffer.digitCount(value)
        var rest = value
        var position = digits
        while rest >= 100 {
            let quotient = rest / 100
            position &-= 2
            unsafe put(pair: rest &- quotient &* 100, to: target + position)
            rest = quotient
        }
        if rest >= 10 {
            unsafe put(pair: rest, to: target + (position &- 2))
        } else {
            unsafe put(digit: rest, to: target + (position &- 1))
        }
        return digits
    }

    /// Appends a number below 1,000 in three digits.
    package func append(thousandths value: UInt64) {
        precondition(value < 1_000)
        guard reserve(3) else { return }
        let hundreds = value / 100
        unsafe ScratchBuffer.put(digit: hundreds, to: base + count)
        unsafe ScratchBuffer.put(pair: value &- hundreds &* 100, to: base + (count &+ 1))
        count &+= 3
    }

    /// Appends the four octets of an IPv4 address, host byte order, with dots.
    package func append(dotted bits: UInt32) {
        guard reserve(16) else { return }
        var position = count
        for shift: UInt32 in [24, 16, 8, 0] {
            let octet = UInt64(bits >> shift & 255)
            if octet >= 100 {
                let hundreds = octet / 100
                unsafe ScratchBuffer.put(digit: hundreds, to: base + position)
                unsafe ScratchBuffer.put(pair: octet &- hundreds &* 100, to: base + (position &+ 1))
                position &+= 3
            } else if octet >= 10 {
                unsafe ScratchBuffer.put(pair: octet, to: base + position)
                position &+= 2
            } else {
                unsafe ScratchBuffer.put(digit: octet, to: base + position)
                position &+= 1
            }
            unsafe base.storeBytes(of: UInt8(ascii: "."), toByteOffset: position, as: UInt8.self)
            position &+= 1
        }
        count = position &- 1
    }

    /// Digits of a number of two digits or more.
    private static func digitCount(_ value: UInt64) -> Int {
        if value < 100 { return 2 }
        if value < 1_000 { return 3 }
        if value < 10_000 { return 4 }
        var bound: UInt64 = 100_000
        var digits = 5
        while value >= bound {
            digits &+= 1
            guard digits < 20 else { break }
            bound &*= 10
        }
        return digits
    }

    @inline(__always)
    @unsafe private static func put(digit: UInt64, to target: UnsafeMutableRawPointer) {
        unsafe target.storeBytes(
            of: UInt8(truncatingIfNeeded: digit) &+ UInt8(ascii: "0"),
            as: UInt8.self
        )
    }

    /// Two digits of a number below 100: 103/1024 is a tenth up to there.
    @inline(__always)
    @unsafe private static func put(pair: UInt64, to target: UnsafeMutableRawPointer) {
        let tens = (pair &* 103) >> 10
        let text = tens | (pair &- tens &* 10) << 8 | 0x3030
        unsafe target.storeBytes(
            of: UInt16(truncatingIfNeeded: text).littleEndian,
            as: UInt16.self
        )
    }

    /// Appends a number in lower-case hexadecimal, as few digits as needed.
    package func append(hexadecimal value: UInt64) {
        let needed = max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 3) / 4)
        append(hexadecimal: value, digits: needed)
    }

    /// Appends a number in lower-case hexadecimal.
    ///
    /// - Parameter digits: how many digits, 1...16, with leading zeros.
    package func append(hexadecimal value: UInt64, digits: Int) {
        guard reserve(16) else { return }
        let shifted = value << UInt64(64 - 4 * digits)
        let high = Digits32.text(UInt32(truncatingIfNeeded: shifted >> 32))
        let low = Digits32.text(UInt32(truncatingIfNeeded: shifted))
        unsafe base.storeBytes(of: high, toByteOffset: count, as: UInt64.self)
        unsafe base.storeBytes(of: low, toByteOffset: count + 8, as: UInt64.self)
        count += digits
    }

    /// Appends 32 digits.
    @inline(__always)
    package func append(digits: Digits32) {
        guard reserve(32) else { return }
        let words = digits.words
        unsafe base.storeBytes(of: words.0, toByteOffset: count, as: UInt64.self)
        unsafe base.storeBytes(of: words.1, toByteOffset: count &+ 8, as: UInt64.self)
        unsafe base.storeBytes(of: words.2, toByteOffset: count &+ 16, as: UInt64.self)
        unsafe base.storeBytes(of: words.3, toByteOffset: count &+ 24, as: UInt64.self)
        count &+= 32
    }

    @inline(__always)
    private func reserve(_ byteCount: Int) -> Bool {
        if count &+ byteCount <= capacity { return true }
        overflowed = true
        return false
    }

    /// The region's memory, for system calls within NetIO.
    var memory: UnsafeMutableRawPointer { unsafe base }
}
