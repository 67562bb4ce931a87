import CNghttp2
import LinuxSystem

/// The memory of one worker's HTTP/2 sessions. nghttp2 asks for small pieces with every stream and
/// gives them back: they are kept by size and handed out again without a look at the heap.
///
/// All sessions write their frames into one region, since what a session has written is taken
/// before another writes; of its own each would hold 16 KiB while it is idle.
@safe final class HTTP2Memory {
    /// Sizes go up in steps of this many bytes; larger pieces than the greatest come from the heap.
    private static let stepByteCount = 64
    private static let stepMax = 72
    /// Before each piece: its step, or 0 for one of the heap's, then its byte count.
    private static let headByteCount = 16
    /// Pieces of one size that are kept.
    private static let keptMax = 1_024
    /// What nghttp2 asks for to write frames to lies between these (NGHTTP2_FRAMEBUF_CHUNKLEN).
    private static let frameByteCounts = 16_384..<17_408

    private let kept: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let keptCounts: UnsafeMutablePointer<Int>
    private let frameRegion: UnsafeMutableRawPointer
    /// Zeroed pieces of one page's size, which sessions keep their streams in: whole pages, so that
    /// those of idle sessions, zeros again, can be given back to the kernel.
    private let pages: UnsafeMutableRawPointer
    private let freePages: UnsafeMutablePointer<Int32>
    private var freePageCount = 0
    private var touchedPageCount = 0
    private static let pageMax = 16_384
    /// The page that was given out last, since it was asked for.
    private var newestPage: Int32 = -1
    /// A session is being made, whose region for frames is the one that all share.
    private var isOpening = false
    private var calls = unsafe nghttp2_mem()

    init() {
        unsafe kept = .allocate(capacity: HTTP2Memory.stepMax + 1)
        unsafe kept.initialize(repeating: nil, count: HTTP2Memory.stepMax + 1)
        unsafe keptCounts = .allocate(capacity: HTTP2Memory.stepMax + 1)
        unsafe keptCounts.initialize(repeating: 0, count: HTTP2Memory.stepMax + 1)
        unsafe frameRegion = .allocate(
            byteCount: HTTP2Memory.frameByteCounts.upperBound,
            alignment: 16
        )
        unsafe pages = .allocate(
            byteCount: HTTP2Memory.pageMax * PageMemory.pageByteCount,
            alignment: PageMemory.pageByteCount
        )
        unsafe freePages = .allocate(capacity: HTTP2Memory.pageMax)
        unsafe calls = nghttp2_mem(
            mem_user_data: nil,
            malloc: { byteCount, user in unsafe memory(user) { unsafe $0.take(byteCount) } },
            free: { piece, user in
                _ = unsafe memory(user) { memory in
                    unsafe memory.give(piece)
                    return nil
                }
            },
            calloc: { count, byteCount, user in
                unsafe memory(user) { unsafe $0.takeZeroed(count, byteCount) }
            },
            realloc: { piece, byteCount, user in
                unsafe memory(user) { unsafe $0.resize(piece, byteCount) }
            }
        )
        unsafe calls.mem_user_data = unsafe Unmanaged.passUnretained(self).toOpaque()
    }

    /// Every session must have ended.
    deinit {
        for step in 0...HTTP2Memory.stepMax {
            while let piece = unsafe kept[step] {
                unsafe kept[step] = unsafe piece.load(as: UnsafeMutableRawPointer?.self)
                unsafe (piece - HTTP2Memory.headByteCount).deallocate()
            }
        }
        unsafe kept.deallocate()
        unsafe keptCounts.deallocate()
        unsafe frameRegion.deallocate()
        unsafe pages.deallocate()
        unsafe freePages.deallocate()
    }

    /// Makes a session by one of nghttp2's makers, which is handed these calls.
    func open(_ make: (UnsafeMutablePointer<nghttp2_mem>) -> Int32) -> Bool {
        isOpening = true
        defer { isOpening = false }
        return unsafe withUnsafeMutablePointer(to: &calls) { unsafe make($0) } == 0
    }

    /// Gives out a piece; its content is anything.
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        if isOpening && HTTP2Memory.frameByteCounts.contains(byteCount) {
            return unsafe frameRegion
        }
        let needed = byteCount + HTTP2Memory.headByteCount
        let step = (needed + HTTP2Memory.stepByteCount - 1) / HTTP2Memory.stepByteCount
        guard step <= HTTP2Memory.stepMax else {
            return unsafe allocate(needed, step: 0, byteCount)
        }
        guard let piece = unsafe kept[step] else {
            return unsafe allocate(step * HTTP2Memory.stepByteCount, step: step, byteCount)
        }
        unsafe kept[step] = unsafe piece.load(as: UnsafeMutableRawPointer?.self)
        unsafe keptCounts[step] -= 1
        unsafe (piece - 8).storeBytes(of: byteCount, as: Int.self)
        return unsafe piece
    }

    private func allocate(
        _ whole: Int,
        step: Int,
        _ byteCount: Int
    ) -> UnsafeMutableRawPointer {
        let base = UnsafeMutableRawPointer.allocate(byteCount: whole, alignment: 16)
        unsafe base.storeBytes(of: step, as: Int.self)
        unsafe base.storeBytes(of: byteCount, toByteOffset: 8, as: Int.self)
        return unsafe base + HTTP2Memory.headByteCount
    }

    /// Takes a piece back.
    func give(_ piece: UnsafeMutableRawPointer?) {
        guard let piece = unsafe piece, unsafe piece != frameRegion else { return }
        if let page = unsafe number(ofPage: piece) {
            unsafe freePages[freePageCount] = page
            freePageCount += 1
            return
        }
        let step = unsafe (piece - HTTP2Memory.headByteCount).load(as: Int.self)
        guard step > 0, unsafe keptCounts[step] < HTTP2Memory.keptMax else {
            unsafe (piece - HTTP2Memory.headByteCount).deallocate()
            return
        }
        unsafe piece.storeBytes(of: kept[step], as: UnsafeMutableRawPointer?.self)
        unsafe kept[step] = unsafe piece
        unsafe keptCounts[step] += 1
    }

    /// Gives out a piece of zeros; `nil` when the product is past what an address can be.
    func takeZeroed(_ count: Int, _ byteCount: Int) -> UnsafeMutableRawPointer? {
        let (whole, overflow) = count.multipliedReportingOverflow(by: byteCount)
        if !overflow && whole == PageMemory.pageByteCount, let page = unsafe takePage() {
            return unsafe page
        }
        guard !overflow, let piece = unsafe take(whole) else { return nil }
        unsafe piece.initializeMemory(as: UInt8.self, repeating: 0, count: whole)
        return unsafe piece
    }

    // MARK: Pages

    private func takePage() -> UnsafeMutableRawPointer? {
        if freePageCount > 0 {
            freePageCount -= 1
            newestPage = unsafe freePages[freePageCount]
        } else {
            guard touchedPageCount < HTTP2Memory.pageMax else { return nil }
            newestPage = Int32(touchedPageCount)
            touchedPageCount += 1
        }
        let page = unsafe pages + Int(newestPage) * PageMemory.pageByteCount
        unsafe page.initializeMemory(
            as: UInt8.self,
            repeating: 0,
            count: PageMemory.pageByteCount
        )
        return unsafe page
    }

    private func number(ofPage piece: UnsafeMutableRawPointer) -> Int32? {
        let distance = unsafe piece - pages
        guard distance >= 0, distance < touchedPageCount * PageMemory.pageByteCount else {
            return nil
        }
        return Int32(distance / PageMemory.pageByteCount)
    }

    /// The page that was given out since this was asked last; -1 for none.
    func takeNewestPage() -> Int32 {
        defer { newestPage = -1 }
        return newestPage
    }

    /// Gives a page back to the kernel if it holds nothing but zeros: it reads as zeros after that,
    /// whoever has it.
    func dropIfZero(_ page: Int32) {
        guard page >= 0, Int(page) < touchedPageCount else { return }
        let start = unsafe pages + Int(page) * PageMemory.pageByteCount
        for offset in stride(from: 0, to: PageMemory.pageByteCount, by: 8) {
            guard unsafe start.load(fromByteOffset: offset, as: UInt64.self) == 0 else { return }
        }
        unsafe PageMemory.drop(start, PageMemory.pageByteCount)
    }

    // MARK: Growing

    /// Gives out a piece with the content of another, which is taken back.
    func resize(
        _ piece: UnsafeMutableRawPointer?,
        _ byteCount: Int
    ) -> UnsafeMutableRawPointer? {
        guard let piece = unsafe piece else { return unsafe take(byteCount) }
        let before: Int
        if unsafe piece == frameRegion {
            before = HTTP2Memory.frameByteCounts.lowerBound
        } else if unsafe number(ofPage: piece) != nil {
            before = PageMemory.pageByteCount
        } else {
            before = unsafe (piece - 8).load(as: Int.self)
        }
        guard byteCount > before, let larger = unsafe take(byteCount) else { return unsafe piece }
        unsafe larger.copyMemory(from: piece, byteCount: before)
        unsafe give(piece)
        return unsafe larger
    }
}

/// Lends the memory behind a user pointer, without counting a reference to it.
@inline(__always)
private func memory(
    _ user: UnsafeMutableRawPointer?,
    _ body: (HTTP2Memory) -> UnsafeMutableRawPointer?
) -> UnsafeMutableRawPointer? {
    guard let user = unsafe user else { return nil }
    return unsafe Unmanaged<HTTP2Memory>.fromOpaque(user)._withUnsafeGuaranteedRef(body)
}
