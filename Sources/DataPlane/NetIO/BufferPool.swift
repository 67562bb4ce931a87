import LinuxSystem

/// Blocks of one size for bytes that must outlive an event: partial heads, blocked output.
///
/// The region is reserved whole and touched as used. One thread owns a pool.
@safe package final class BufferPool {
    /// Bytes of one block: a request head of the greatest size and its field table fit.
    package static let blockByteCount = 32_768

    /// How many blocks may be out at once.
    package let blockMax: Int
    /// How many are out now.
    package private(set) var usedCount = 0
    /// How often none was left.
    package private(set) var exhaustedCount: UInt64 = 0

    private let region: UnsafeMutableRawPointer
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    private var touchedCount = 0
    /// The fewest that were free since the last trim: so many of the free ones were not needed.
    private var idleCount = 0
    /// Free blocks, from the first, whose pages the kernel has.
    private var droppedCount = 0
    /// Free blocks that keep their pages.
    private static let warmCount = 16
    /// Blocks that one trim drops at most.
    private static let trimMax = 512

    /// Reserves room for `blockMax` blocks.
    package init(blockMax: Int) {
        precondition(blockMax > 0)
        self.blockMax = blockMax
        unsafe region = .allocate(byteCount: blockMax * BufferPool.blockByteCount, alignment: 4_096)
        unsafe free = .allocate(capacity: blockMax)
    }

    deinit {
        unsafe region.deallocate()
        unsafe free.deallocate()
    }

    /// Takes a block; its bytes are unspecified.
    ///
    /// - Returns: `nil` when all are out, which is counted.
    package func take() -> Block? {
        if freeCount > 0 {
            freeCount -= 1
            usedCount += 1
            if freeCount < idleCount { idleCount = freeCount }
            return Block(number: unsafe free[freeCount])
        }
        guard touchedCount < blockMax else {
            exhaustedCount &+= 1
            return nil
        }
        touchedCount += 1
        usedCount += 1
        return Block(number: Int32(touchedCount))
    }

    /// Gives a block back. `none` is ignored.
    package func give(_ block: Block) {
        guard block.isSome else { return }
        unsafe free[freeCount] = block.number
        freeCount += 1
        usedCount -= 1
    }

    /// Whether there are free blocks whose pages a trim may drop.
    package var wantsTrim: Bool { freeCount - min(droppedCount, idleCount) > BufferPool.warmCount }

    /// Gives the kernel the pages of blocks that were free all the time since the last trim, but for
    /// a few: what a burst of requests took does not stay taken.
    package func trim() {
        droppedCount = min(droppedCount, idleCount)
        let end = min(idleCount - BufferPool.warmCount, droppedCount + BufferPool.trimMax)
        while droppedCount < end {
            let block = Block(number: unsafe free[droppedCount])
            unsafe PageMemory.drop(pointer(block), BufferPool.blockByteCount)
            droppedCount += 1
        }
        idleCount = freeCount
    }

    /// Names a block of a pool; number 0 is none.
    package struct Block: Equatable, BitwiseCopyable, Sendable {
        let number: Int32

        /// No block.
        package static let none = Block(number: 0)
        /// Whether this is a block.
        package var isSome: Bool { number != 0 }
    }

    @inline(__always)
    func pointer(_ block: Block) -> UnsafeMutableRawPointer {
        precondition(block.number >= 1 && Int(block.number) <= touchedCount)
        return unsafe region + (Int(block.number) - 1) * BufferPool.blockByteCount
    }

    /// Bytes of a block.
    @inline(__always)
    @_lifetime(immortal)
    package func bytes(_ block: Block, _ start: Int, _ byteCount: Int) -> RawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= BufferPool.blockByteCount)
        let span = unsafe RawSpan(_unsafeStart: pointer(block) + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Bytes of a block, to be written. No other span of them may be in use.
    @inline(__always)
    @_lifetime(immortal)
    package func mutableBytes(_ block: Block, _ start: Int, _ byteCount: Int) -> MutableRawSpan {
        precondition(start >= 0 && byteCount >= 0 && start + byteCount <= BufferPool.blockByteCount)
        let span = unsafe MutableRawSpan(_unsafeStart: pointer(block) + start, byteCount: byteCount)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Copies bytes into a block.
    package func write(_ bytes: RawSpan, to block: Block, at start: Int) {
        let byteCount = bytes.byteCount
        precondition(start >= 0 && start + byteCount <= BufferPool.blockByteCount)
        guard byteCount > 0 else { return }
        unsafe bytes.withUnsafeBytes { source in
            unsafe (pointer(block) + start).copyMemory(
                from: source.baseAddress.unsafelyUnwrapped,
                byteCount: byteCount
            )
        }
    }

    /// Elements of plain type in a block. `byteOffset` must be aligned for them.
    @inline(__always)
    @_lifetime(immortal)
    package func elements<T: BitwiseCopyable>(
        _ block: Block,
        at byteOffset: Int,
        count: Int,
        of type: T.Type
    ) -> Span<T> {
        let span = unsafe Span<T>(_unsafeStart: typed(block, byteOffset, count), count: count)
        return unsafe _overrideLifetime(span, copying: ())
    }

    /// Elements of plain type in a block, to be written.
    @inline(__always)
    @_lifetime(immortal)
    package func mutableElements<T: BitwiseCopyable>(
        _ block: Block,
        at byteOffset: Int,
        count: Int,
        of type: T.Type
    ) -> MutableSpan<T> {
        let base: UnsafeMutablePointer<T> = unsafe typed(block, byteOffset, count)
        let span = unsafe MutableSpan<T>(_unsafeStart: base, count: count)
        return unsafe _overrideLifetime(span, copying: ())
    }

    @inline(__always)
    private func typed<T: BitwiseCopyable>(
        _ block: Block,
        _ byteOffset: Int,
        _ count: Int
    ) -> UnsafeMutablePointer<T> {
        precondition(
            byteOffset >= 0 && count >= 0 && byteOffset % MemoryLayout<T>.alignment == 0
                && byteOffset + count * MemoryLayout<T>.stride <= BufferPool.blockByteCount
        )
        return unsafe (pointer(block) + byteOffset).assumingMemoryBound(to: T.self)
    }
}
