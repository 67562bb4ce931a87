import DataPlane
import Testing

@Suite struct SlabTests {
    @Test func aHandleIsStaleOnceItsSlotIsFreedThoughTheSlotIsUsedAgain() throws {
        let slab = Slab<Int>(capacity: 2)
        let first = try #require(slab.insert(1))
        slab.remove(first)
        #expect(!slab.contains(first))
        let second = try #require(slab.insert(2))
        #expect(second.index == first.index && second != first)
        #expect(!slab.contains(first) && slab.contains(second))
        slab.remove(first)
        #expect(slab.count == 1 && slab[second] == 2)
        #expect(slab.staleCount == 3)
    }

    @Test func aFullSlabGivesNoHandle() {
        let slab = Slab<Int>(capacity: 1)
        #expect(slab.insert(1) != nil)
        #expect(slab.insert(2) == nil)
    }
}
