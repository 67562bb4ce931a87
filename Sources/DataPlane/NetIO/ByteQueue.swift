/// Bytes waiting in pooled blocks, first in first out. A plain value: it is stored in slabs, and
/// its owner must `clear` it.
package struct ByteQueue: BitwiseCopyable {
    private var head = BufferPool.Block.none
    private var tail = BufferPool.Block.none
    private var headStart: Int32 = 0
    private var tailEnd: Int32 = 0
    /// Bytes that wait.
    package private(set) var byteCount = 0

    /// The last bytes of a block link to the next one.
    private static let capacity = BufferPool.blockByteCount - MemoryLayout<Int32>.stride

    /// Makes an empty queue, which holds no block.
    package init() {}

    /// Whether nothing waits.
    package var isEmpty: Bool { byteCount == 0 }

    /// Appends bytes.
    ///
    /// - Returns: whether there were blocks enough; if not, nothing useful is left to do with the
    ///   queue but to clear it.
    package mutating func append(_ bytes: RawSpan, _ pool: BufferPool) -> Bool {
        var rest = 0
        while rest < bytes.byteCount {
            if !tail.isSome || Int(tailEnd) == ByteQueue.capacity {
                guard extend(pool) else { return false }
            }
            let step = min(bytes.byteCount - rest, ByteQueue.capacity - Int(tailEnd))
            unsafe bytes.withUnsafeBytes { source in
                unsafe (pool.pointer(tail) + Int(tailEnd)).copyMemory(
                    from: source.baseAddress.unsafelyUnwrapped + rest,
                    byteCount: step
                )
            }
            tailEnd += Int32(step)
            byteCount += step
            rest += step
        }
        return true
    }

    /// Appends the bytes of an array.
    @discardableResult
    package mutating func append(array bytes: [UInt8], _ pool: BufferPool) -> Bool {
        unsafe append(bytes.span.bytes, pool)
    }

    /// How many bytes the first contiguous run has.
    package var firstRunByteCount: Int {
        head == tail ? Int(tailEnd - headStart) : ByteQueue.capacity - Int(headStart)
    }

    /// The first contiguous run of waiting bytes; empty when nothing waits.
    @_lifetime(immortal)
    package func firstRun(_ pool: BufferPool) -> RawSpan {
        guard head.isSome else { return RawSpan() }
        return pool.bytes(head, Int(headStart), firstRunByteCount)
    }

    /// Drops the first bytes, giving emptied blocks back.
    package mutating func consume(_ count: Int, _ pool: BufferPool) {
        precondition(count >= 0 && count <= byteCount)
        var rest = count
        while rest > 0 {
            let step = min(rest, firstRunByteCount)
            headStart += Int32(step)
            byteCount -= step
            rest -= step
            if byteCount > 0 && firstRunByteCount == 0 { dropHead(pool) }
        }
        if byteCount == 0 { clear(pool) }
    }

    /// Copies the first bytes out without dropping them.
    ///
    /// - Returns: how many were copied: all that wait, or as many as fit.
    package func copy(into target: inout MutableRawSpan, _ pool: BufferPool) -> Int {
        var copied = 0
        var block = head
        var start = Int(headStart)
        while copied < target.byteCount && block.isSome {
            let end = block == tail ? Int(tailEnd) : ByteQueue.capacity
            let step = min(end - start, target.byteCount - copied)
            unsafe target.withUnsafeMutableBytes { bytes in
                unsafe bytes.baseAddress.unsafelyUnwrapped.advanced(by: copied).copyMemory(
                    from: pool.pointer(block) + start,
                    byteCount: step
                )
            }
            copied += step
            if block == tail { break }
            block = next(of: block, pool)
            start = 0
        }
        return copied
    }

    /// Everything that waits, as an array of its own.
    package func bytes(_ pool: BufferPool) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(byteCount)
        forEachRun(pool) { run in
            unsafe run.withUnsafeBytes { unsafe result.append(contentsOf: $0) }
        }
        return result
    }

    private func forEachRun(_ pool: BufferPool, _ body: (RawSpan) -> Void) {
        var block = head
        var start = Int(headStart)
        while block.isSome {
            let end = block == tail ? Int(tailEnd) : ByteQueue.capacity
            body(pool.bytes(block, start, end - start))
            if block == tail { return }
            block = next(of: block, pool)
            start = 0
        }
    }

    /// Drops everything and gives all blocks back.
    package mutating func clear(_ pool: BufferPool) {
        while head.isSome && head != tail { dropHead(pool) }
        pool.give(head)
        head = .none
        tail = .none
        headStart = 0
        tailEnd = 0
        byteCount = 0
    }

    private mutating func extend(_ pool: BufferPool) -> Bool {
        guard let block = pool.take() else { return false }
        if tail.isSome {
            unsafe (pool.pointer(tail) + ByteQueue.capacity).storeBytes(
                of: block.number,
                as: Int32.self
            )
        } else {
            head = block
            headStart = 0
        }
        tail = block
        tailEnd = 0
        return true
    }

    private func next(of block: BufferPool.Block, _ pool: BufferPool) -> BufferPool.Block {
        BufferPool.Block(
            number: unsafe (pool.pointer(block) + ByteQueue.capacity).load(as: Int32.self)
        )
    }

    private mutating func dropHead(_ pool: BufferPool) {
        let following = next(of: head, pool)
        pool.give(head)
        head = following
        headStart = 0
    }
}
