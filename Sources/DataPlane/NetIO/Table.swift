/// A fixed number of plain values in one allocation, indexed with a bounds check and changed in
/// place. The memory is touched as used when the initial value is all zero bits.
@safe package final class Table<Element: BitwiseCopyable> {
    /// How many there are.
    package let count: Int

    private let base: UnsafeMutablePointer<Element>

    /// Makes a table of `count` copies of `value`.
    package init(count: Int, repeating value: Element) {
        self.count = count
        unsafe base = .allocate(capacity: max(count, 1))
        unsafe base.initialize(repeating: value, count: count)
    }

    /// Makes a table of the elements of an array.
    package convenience init(_ elements: [Element], or filler: Element) {
        self.init(count: elements.count, repeating: filler)
        for (index, element) in elements.enumerated() { self[index] = element }
    }

    deinit { unsafe base.deallocate() }

    /// An element, in place.
    package subscript(index: Int) -> Element {
        unsafeAddress {
            precondition(index >= 0 && index < count)
            return unsafe UnsafePointer(base + index)
        }
        unsafeMutableAddress {
            precondition(index >= 0 && index < count)
            return unsafe base + index
        }
    }

    /// All elements.
    package var span: Span<Element> {
        @_lifetime(immortal)
        get {
            let span = unsafe Span(_unsafeStart: base, count: count)
            return unsafe _overrideLifetime(span, copying: ())
        }
    }

    /// All elements, to be written. No other span of them may be in use.
    package var mutableSpan: MutableSpan<Element> {
        @_lifetime(immortal)
        get {
            let span = unsafe MutableSpan(_unsafeStart: base, count: count)
            return unsafe _overrideLifetime(span, copying: ())
        }
    }
}

extension Table<UInt8> {
    /// Some of the bytes.
    @inline(__always)
    @_lifetime(immortal)
    package func bytes(_ start: Int, _ byteCount: Int) -> RawSpan {
        precondition(start >= 0 && byteCount >= 0 && start &+ byteCount <= count)
        let span = unsafe RawSpan(
            _unsafeStart: UnsafeRawPointer(base) + start,
            byteCount: byteCount
        )
        return unsafe _overrideLifetime(span, copying: ())
    }
}
