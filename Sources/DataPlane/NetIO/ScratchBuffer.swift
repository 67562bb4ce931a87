/// One worker's region for bytes in passing: what was just received, what is about to be sent.
/// Written like a file, from the front.
@safe package final class ScratchBuffer {
    /// Its size.
    package let capacity: Int
    /// Bytes written so far.
    package private(set) var count = 0
    /// Whether an append did not fit; the content is then incomplete.
    package private(set) var overflowed = false

    private let base: UnsafeMutableRawPointer

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

    /// Takes back what was written past `count`.
    package func truncate(to count: Int) {
        precondition(count >= 0 && count <= self.count)
        self.count = count
    }

    /// The written bytes from `start` on.
    @_lifetime(immortal)
    package func bytes(from start: Int = 0) -> RawSpan {
        bytes(start, count - start)
    }

    /// Some bytes of the region, written or not.
    @_lifetime(immortal)
    package func bytes(_ start: Int, _ byteCount: Int) -> RawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= capacity)
        let span = unsafe RawSpan(_unsafeStart: base + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Some bytes of the region, to be written in place. No other span of them may be in use.
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

    /// Appends constant text.
    package func append(_ text: StaticString) {
        guard reserve(text.utf8CodeUnitCount) else { return }
        unsafe (base + count).copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
        count += text.utf8CodeUnitCount
    }

    /// Appends the bytes of an array.
    package func append(_ bytes: [UInt8]) {
        unsafe append(bytes.span.bytes)
    }

    /// Appends text as UTF-8.
    package func append(string text: String) {
        unsafe append(text.utf8.span.bytes)
    }

    /// Appends one byte.
    package func append(byte: UInt8) {
        guard reserve(1) else { return }
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    /// Appends a number in decimal.
    package func append(decimal value: UInt64) {
        guard reserve(20) else { return }
        if value < 10 {
            unsafe base.storeBytes(
                of: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value),
                toByteOffset: count,
                as: UInt8.self
            )
            count += 1
            return
        }
        var rest = value
        var bound: UInt64 = 10
        var digits = 1
        while rest >= bound {
            digits += 1
            guard digits < 20 else { break }
            bound &*= 10
        }
        var position = count + digits
        while position > count {
            position -= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            unsafe base.storeBytes(
                of: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit),
                toByteOffset: position,
                as: UInt8.self
            )
            rest = quotient
        }
        count += digits
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
        let high = ScratchBuffer.hexadecimalText(UInt32(truncatingIfNeeded: shifted >> 32))
        let low = ScratchBuffer.hexadecimalText(UInt32(truncatingIfNeeded: shifted))
        unsafe base.storeBytes(of: high, toByteOffset: count, as: UInt64.self)
        unsafe base.storeBytes(of: low, toByteOffset: count + 8, as: UInt64.self)
        count += digits
    }

    /// Eight hexadecimal digits, the most significant in the lowest byte: nibbles are spread to
    /// bytes, then `0` is added, and 39 more where a nibble is above 9.
    @inline(__always)
    private static func hexadecimalText(_ value: UInt32) -> UInt64 {
        var spread = UInt64(value.byteSwapped)
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff
        spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f
        let above = (spread &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return spread &+ 0x3030_3030_3030_3030 &+ above &* 39
    }

    private func reserve(_ byteCount: Int) -> Bool {
        guard count + byteCount <= capacity else {
            overflowed = true
            return false
        }
        return true
    }

    /// The region's memory, for system calls within NetIO.
    var memory: UnsafeMutableRawPointer { unsafe base }
}
