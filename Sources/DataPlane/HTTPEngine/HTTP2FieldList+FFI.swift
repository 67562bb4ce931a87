import CNghttp2

/// One message's fields on their way into a header block, in nghttp2's form. One serves a worker:
/// it is filled, submitted and filled again.
///
/// Names and values are noted where they stand, not copied: they must stay until the list has been
/// submitted, which copies them and lowers the names.
@safe package final class HTTP2FieldList {
    /// Fields it has room for.
    package let capacity: Int
    /// Fields in it.
    package private(set) var count = 0
    private let list: UnsafeMutablePointer<nghttp2_nv>
    private let digits: UnsafeMutablePointer<UInt8>

    /// Makes a list with room for `capacity` fields.
    package init(capacity: Int) {
        precondition(capacity > 0)
        self.capacity = capacity
        unsafe list = .allocate(capacity: capacity)
        unsafe digits = .allocate(capacity: 3)
    }

    deinit {
        unsafe list.deallocate()
        unsafe digits.deallocate()
    }

    /// Forgets what it holds.
    package func begin() { count = 0 }

    /// Begins a response's fields.
    ///
    /// - Parameter status: 100...599.
    package func begin(status: UInt16) {
        count = 0
        unsafe digits[0] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: status / 100 % 10)
        unsafe digits[1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: status / 10 % 10)
        unsafe digits[2] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: status % 10)
        let name: StaticString = ":status"
        unsafe note(name.utf8Start, name.utf8CodeUnitCount, UnsafePointer(digits), 3)
    }

    /// Notes a field. One more than there is room for is left out.
    package func add(_ name: RawSpan, _ value: RawSpan) {
        unsafe name.withUnsafeBytes { name in
            unsafe value.withUnsafeBytes { value in
                unsafe note(
                    name.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    name.count,
                    value.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    value.count
                )
            }
        }
    }

    /// Notes a field of a constant name.
    package func add(_ name: StaticString, _ value: RawSpan) {
        unsafe value.withUnsafeBytes { value in
            unsafe note(
                name.utf8Start,
                name.utf8CodeUnitCount,
                value.baseAddress?.assumingMemoryBound(to: UInt8.self),
                value.count
            )
        }
    }

    /// Notes fields that stand in one run of bytes.
    package func add(_ fields: Span<HeaderField>, of bytes: RawSpan) {
        for index in fields.indices {
            add(
                bytes.extracting(fields[index].nameRange),
                bytes.extracting(fields[index].valueRange)
            )
        }
    }

    private func note(
        _ name: UnsafePointer<UInt8>?,
        _ nameLength: Int,
        _ value: UnsafePointer<UInt8>?,
        _ valueLength: Int
    ) {
        guard count < capacity else { return }
        unsafe (list + count).initialize(
            to: nghttp2_nv(
                name: UnsafeMutablePointer(mutating: name),
                value: UnsafeMutablePointer(mutating: value),
                namelen: nameLength,
                valuelen: valueLength,
                flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
            )
        )
        count += 1
    }

    /// What nghttp2's submitting functions take.
    var first: UnsafePointer<nghttp2_nv> { unsafe UnsafePointer(list) }
}
