/// Rows of plain values inside a `FlatArena`: a view of memory that somebody else owns, itself a
/// plain value. Whoever reads it keeps the arena alive.
@safe
package struct FlatTable<Row: BitwiseCopyable & Sendable>: BitwiseCopyable, @unchecked Sendable {
    // SAFETY: rows are never changed once they are in a table.

    private let base: UnsafePointer<Row>?
    /// How many rows there are.
    package let count: Int

    /// A table without rows.
    package init() {
        unsafe base = nil
        count = 0
    }

    fileprivate init(base: UnsafePointer<Row>, count: Int) {
        unsafe self.base = unsafe base
        self.count = count
    }

    /// Copies rows to memory that is never freed, for tables that live as long as the process.
    package static func permanent(_ rows: [Row]) -> FlatTable {
        var arena = FlatArena()
        let table = arena.table(rows)
        arena.keepForever()
        return table
    }

    /// A row.
    package subscript(index: Int) -> Row {
        unsafeAddress {
            precondition(index >= 0 && index < count)
            return unsafe base.unsafelyUnwrapped + index
        }
    }
}

extension FlatTable<UInt8> {
    /// Some of the bytes.
    @_lifetime(immortal)
    package func bytes(_ start: Int, _ byteCount: Int) -> RawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= count)
        guard byteCount > 0 else { return RawSpan() }
        let span = unsafe RawSpan(
            _unsafeStart: UnsafeRawPointer(base.unsafelyUnwrapped) + start,
            byteCount: byteCount
        )
        return unsafe _overrideLifetime(span, copying: ())
    }
}

/// Owns the memory of flat tables; frees it when it ends.
@safe package struct FlatArena: ~Copyable {
    private var allocations: [UnsafeMutableRawPointer] = unsafe []
    /// Bytes held.
    package private(set) var byteCount = 0

    /// Makes an arena that holds nothing.
    package init() {}

    deinit {
        unsafe allocations.forEach { allocation in unsafe allocation.deallocate() }
    }

    fileprivate mutating func keepForever() {
        unsafe allocations.removeAll()
    }

    /// Copies rows in and returns them as a table.
    package mutating func table<Row: BitwiseCopyable & Sendable>(_ rows: [Row]) -> FlatTable<Row> {
        guard !rows.isEmpty else { return FlatTable() }
        let pointer = UnsafeMutablePointer<Row>.allocate(capacity: rows.count)
        unsafe rows.withUnsafeBufferPointer { source in
            unsafe pointer.initialize(from: source.baseAddress.unsafelyUnwrapped, count: rows.count)
        }
        unsafe allocations.append(UnsafeMutableRawPointer(pointer))
        byteCount += rows.count * MemoryLayout<Row>.stride
        return unsafe FlatTable(base: UnsafePointer(pointer), count: rows.count)
    }
}
