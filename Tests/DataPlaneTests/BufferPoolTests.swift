import DataPlane
import LinuxSystem
import Testing

/// Blocks and their memory, which `PageMemory` gives back to the kernel.
@Suite struct BufferPoolTests {
    private func write(_ byte: UInt8, _ pool: BufferPool, _ block: BufferPool.Block) {
        var bytes = pool.mutableBytes(block, 0, 8)
        for offset in 0..<8 { bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self) }
    }

    private func first(_ pool: BufferPool, _ block: BufferPool.Block) -> UInt8 {
        unsafe pool.bytes(block, 0, 8).unsafeLoad(fromByteOffset: 0, as: UInt8.self)
    }

    @Test func whatABurstTookIsGivenBackAndTheRestStays() throws {
        let pool = BufferPool(blockMax: 200)
        var blocks: [BufferPool.Block] = []
        for _ in 0..<100 { blocks.append(try #require(pool.take())) }
        for (index, block) in blocks.enumerated() { write(UInt8(index + 1), pool, block) }
        let kept = blocks.removeLast()
        for block in blocks { pool.give(block) }
        #expect(pool.wantsTrim)
        // The first trim begins to watch: all were in use since the pool was made.
        pool.trim()
        pool.trim()
        #expect(!pool.wantsTrim)
        #expect(first(pool, kept) == 100)
        #expect(blocks.count { first(pool, $0) == 0 } == 99 - 16)
        for _ in 0..<99 {
            let block = try #require(pool.take())
            write(7, pool, block)
            #expect(first(pool, block) == 7)
        }
        #expect(first(pool, kept) == 100)
    }

    @Test func pagesThatTheKernelHasReadAsZerosAndTakeWhatIsWrittenAgain() {
        let byteCount = PageMemory.pageByteCount
        let pages = UnsafeMutableRawPointer.allocate(byteCount: byteCount * 2, alignment: byteCount)
        defer { unsafe pages.deallocate() }
        unsafe pages.initializeMemory(as: UInt8.self, repeating: 3, count: byteCount * 2)
        unsafe PageMemory.drop(pages, byteCount)
        #expect(unsafe pages.load(fromByteOffset: byteCount - 1, as: UInt8.self) == 0)
        #expect(unsafe pages.load(fromByteOffset: byteCount, as: UInt8.self) == 3)
        unsafe pages.storeBytes(of: 4, as: UInt8.self)
        #expect(unsafe pages.load(as: UInt8.self) == 4)
    }

    @Test func blocksThatAreNeededFromTimeToTimeKeepTheirPages() throws {
        let pool = BufferPool(blockMax: 100)
        for _ in 0..<4 {
            var blocks: [BufferPool.Block] = []
            for _ in 0..<50 { blocks.append(try #require(pool.take())) }
            for block in blocks { write(9, pool, block) }
            for block in blocks { pool.give(block) }
            pool.trim()
            #expect(blocks.allSatisfy { first(pool, $0) == 9 })
        }
    }
}
