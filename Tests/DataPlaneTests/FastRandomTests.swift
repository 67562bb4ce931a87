import Testing

@testable import DataPlane

@Suite struct FastRandomTests {
    @Test(arguments: [1, 2, 3, 4, 7, 100] as [UInt32])
    func everyNumberBelowTheBoundComesAboutEquallyOften(bound: UInt32) {
        var random = FastRandom(seed: 42)
        var counts = [Int](repeating: 0, count: Int(bound))
        for _ in 0..<(Int(bound) * 1_000) { counts[Int(random.next(below: bound))] += 1 }
        #expect(counts.allSatisfy { (800...1_200).contains($0) })
    }

    @Test func nothingIsBelowZero() {
        var random = FastRandom(seed: 1)
        #expect(random.next(below: 0) == 0)
    }
}
