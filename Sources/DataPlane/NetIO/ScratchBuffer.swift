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
    package func append(_ text: String) {
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
        var rest = value
        var digits = 1
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        rest = value
        for position in stride(from: digits - 1, through: 0, by: -1) {
            unsafe base.storeBytes(
                of: UInt8(ascii: "0") + UInt8(rest % 10),
                toByteOffset: count + position,
                as: UInt8.self
            )
            rest /= 10
        }
        count += digits
    }

    /// Appends a number in lower-case hexadecimal.
    ///
    /// - Parameter digits: how many digits, with leading zeros; 0 for as few as needed.
    package func append(hexadecimal value: UInt64, digits: Int = 0) {
        guard reserve(16) else { return }
        let needed = max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 3) / 4)
        let width = digits == 0 ? needed : digits
        for position in 0..<width {
            let nibble = UInt8(truncatingIfNeeded: value >> UInt64(4 * (width - 1 - position))) & 15
            let digit = nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
            unsafe base.storeBytes(of: digit, toByteOffset: count + position, as: UInt8.self)
        }
        count += width
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
