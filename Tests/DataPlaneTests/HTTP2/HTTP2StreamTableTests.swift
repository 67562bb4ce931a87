import Testing

@testable import DataPlane

@Suite struct HTTP2StreamTableTests {
    private func row(_ stream: Int32) -> HTTP2StreamTable.Row {
        HTTP2StreamTable.Row(
            stream: stream,
            exchange: Handle(index: stream, generation: 1)
        )
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func whatIsInTheTableIsFoundAndNothingElse(seed: UInt64) {
        var random = FastRandom(seed: seed)
        var table = HTTP2StreamTable()
        var live: Set<Int32> = []
        var next: Int32 = 1
        for _ in 0..<20_000 {
            if live.count < 100 && random.next(below: 2) == 0 {
                table.insert(row(next))
                live.insert(next)
                // Some ids are passed over, so that slots collide.
                next += 2 * Int32(1 + random.next(below: 40))
            } else if let stream = live.randomElement() {
                #expect(table.remove(stream)?.index == stream)
                live.remove(stream)
                #expect(table.exchange(stream) == nil)
            }
        }
        #expect(table.count == live.count)
        #expect(live.allSatisfy { table.exchange($0)?.index == $0 })
        #expect((0..<table.capacity).count { table[$0].stream != 0 } == live.count)
        #expect(table.capacity <= 256)
    }

    @Test func aRowIsChangedInPlace() throws {
        var table = HTTP2StreamTable()
        table.insert(row(7))
        let slot = try #require(table.slot(of: 7))
        table[slot].progressSecond = 9
        #expect(table[slot].progressSecond == 9 && table[slot].stream == 7)
        #expect(table.slot(of: 9) == nil)
        #expect(table.remove(9) == nil)
        #expect(!table.isEmpty)
    }
}
