import Testing

@testable import DataPlane

@Suite struct HTTP2MemoryTests {
    @safe private struct Piece {
        var start: UnsafeMutableRawPointer
        var byteCount: Int
        var mark: UInt8

        func fill() {
            unsafe start.initializeMemory(as: UInt8.self, repeating: mark, count: byteCount)
        }

        func isWhole(_ count: Int) -> Bool {
            for offset in 0..<min(count, byteCount) {
                guard unsafe start.load(fromByteOffset: offset, as: UInt8.self) == mark else {
                    return false
                }
            }
            return true
        }
    }

    @Test func piecesOfEverySizeKeepTheirContentThroughTakingGivingAndResizing() throws {
        let seed: UInt64 = 0x6d61_7274_6c65_7402
        var random = SplitMix(state: seed)
        let memory = HTTP2Memory()
        var pieces: [Piece] = []
        for round in 0..<20_000 {
            let byteCount =
                Int.random(in: 1...20_000, using: &random) >> Int.random(in: 0...14, using: &random)
            let choice = Int.random(in: 0..<4, using: &random)
            if choice == 0 || pieces.isEmpty {
                let start = unsafe try #require(memory.take(byteCount))
                unsafe pieces.append(
                    Piece(start: start, byteCount: byteCount, mark: UInt8(round % 251))
                )
                pieces[pieces.count - 1].fill()
            } else if choice == 1 {
                let start = unsafe try #require(memory.takeZeroed(1, byteCount))
                unsafe pieces.append(Piece(start: start, byteCount: byteCount, mark: 0))
                #expect(pieces[pieces.count - 1].isWhole(byteCount), "seed \(seed) round \(round)")
            } else {
                let index = Int.random(in: 0..<pieces.count, using: &random)
                var piece = pieces.remove(at: index)
                #expect(piece.isWhole(piece.byteCount), "seed \(seed) round \(round)")
                guard choice == 2 else {
                    unsafe memory.give(piece.start)
                    continue
                }
                unsafe piece.start = try #require(memory.resize(piece.start, byteCount))
                #expect(piece.isWhole(byteCount), "seed \(seed) round \(round)")
                piece.byteCount = byteCount
                piece.fill()
                pieces.append(piece)
            }
        }
        for piece in pieces { unsafe memory.give(piece.start) }
    }

    @Test func aPieceThatCameBackIsHandedOutAgain() throws {
        let memory = HTTP2Memory()
        let first = unsafe try #require(memory.take(100))
        unsafe memory.give(first)
        #expect(unsafe memory.take(90) == first)
    }

    @Test func aPageIsGivenBackWhileItHoldsNothingAndKeepsWhatItHolds() throws {
        let memory = HTTP2Memory()
        #expect(memory.takeNewestPage() == -1)
        let page = unsafe try #require(memory.takeZeroed(256, 16))
        let number = memory.takeNewestPage()
        #expect(number == 0 && memory.takeNewestPage() == -1)
        unsafe page.storeBytes(of: 5, toByteOffset: 4_088, as: UInt64.self)
        memory.dropIfZero(number)
        #expect(unsafe page.load(fromByteOffset: 4_088, as: UInt64.self) == 5)
        unsafe page.storeBytes(of: 0, toByteOffset: 4_088, as: UInt64.self)
        memory.dropIfZero(number)
        #expect(unsafe page.load(fromByteOffset: 4_088, as: UInt64.self) == 0)
        unsafe page.storeBytes(of: 6, toByteOffset: 8, as: UInt64.self)
        let larger = unsafe try #require(memory.resize(page, 8_192))
        #expect(unsafe larger.load(fromByteOffset: 8, as: UInt64.self) == 6)
        let again = unsafe try #require(memory.takeZeroed(256, 16))
        #expect(unsafe again == page && again.load(fromByteOffset: 8, as: UInt64.self) == 0)
        unsafe memory.give(again)
        unsafe memory.give(larger)
    }

    @Test func sessionsShareTheRegionForFramesAndNothingElse() throws {
        let memory = HTTP2Memory()
        var regions: [UnsafeMutableRawPointer?] = unsafe []
        for _ in 0..<2 {
            _ = unsafe memory.open { _ in
                unsafe regions.append(memory.take(16_394))
                return 0
            }
        }
        #expect(unsafe regions[0] == regions[1])
        let other = unsafe memory.take(16_394)
        #expect(unsafe other != nil && other != regions[0])
        unsafe memory.give(other)
        unsafe memory.give(regions[0])
    }

    @Test func aProductPastTheAddressSpaceIsRefused() {
        let memory = HTTP2Memory()
        #expect(unsafe memory.takeZeroed(Int.max, 2) == nil)
    }
}
