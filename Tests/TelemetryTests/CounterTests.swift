import Telemetry
import Testing

@Suite struct CounterTests {
    private let definitions = [
        CounterDefinition("martlet_a_total", help: "A."),
        CounterDefinition("martlet_b", help: "B.", kind: .gauge),
    ]

    @Test func aGroupSumsTheBlocksOfAllWorkers() {
        let group = CounterGroup(definitions, workerCount: 3)
        for worker in 0..<3 { group.block(worker: worker).add(0, UInt64(worker + 1)) }
        #expect(group.total(0) == 6)
        #expect(group.total(1) == 0)
    }

    @Test func gaugesGoBothWays() {
        let block = CounterBlock()
        block.add(1, 5)
        block.subtract(1, 2)
        #expect(block.value(1) == 3)
        block.set(1, 40)
        #expect(block.value(1) == 40)
        #expect(block.value(0) == 0)
    }

    @Test func aRowKeepsItsPlaceAndCountsForItsLabelsAlone() {
        let table = CounterTable(labelNames: ["route"], columns: definitions, workerCount: 2)
        let a = table.base(for: ["a"])
        let b = table.base(for: ["b"])
        #expect(a != b && a != 0 && b != 0)
        #expect(table.base(for: ["a"]) == a)
        table.cells(worker: 0).add(a)
        table.cells(worker: 1).add(a, 2)
        table.cells(worker: 1).add(b + 1)
        table.cells(worker: 1).subtract(b + 1)
        #expect(table.total(["a"], column: 0) == 3)
        #expect(table.total(["b"], column: 0) == 0)
        #expect(table.total(["b"], column: 1) == 0)
    }

    @Test func aFullTableCountsUnderOther() {
        let table = CounterTable(labelNames: ["route"], columns: definitions, workerCount: 1)
        for row in 1..<table.rowMax { #expect(table.base(for: ["r\(row)"]) != 0) }
        #expect(table.base(for: ["one too many"]) == 0)
        #expect(table.overflowCount == 1)
        table.cells(worker: 0).add(0)
        #expect(table.total(["other"], column: 0) == 1)
    }

    @Test func aRowIsReusedOnlyAfterItRestedAndThenStartsAtZero() {
        let table = CounterTable(labelNames: ["route"], columns: definitions, workerCount: 1)
        let names = (1..<table.rowMax).map { "r\($0)" }
        for name in names { _ = table.base(for: [name]) }
        let first = table.base(for: ["r1"])
        table.cells(worker: 0).add(first, 7)
        let kept = Set(names.dropFirst().map { [$0] })
        table.retain(kept)
        #expect(table.base(for: ["new"]) == 0)
        for _ in 0..<4 { table.retain(kept) }
        #expect(table.base(for: ["new"]) == first)
        #expect(table.total(["new"], column: 0) == 0)
        table.cells(worker: 0).add(first)
        #expect(table.total(["new"], column: 0) == 1)
        #expect(table.total(["r1"], column: 0) == 0)
    }

    @Test func labelsThatComeBackGoOnWhereTheyWere() {
        let table = CounterTable(labelNames: ["route"], columns: definitions, workerCount: 1)
        let base = table.base(for: ["a"])
        table.cells(worker: 0).add(base, 4)
        table.retain([])
        #expect(table.totals().map(\.labels) == [["other"]])
        #expect(table.base(for: ["a"]) == base)
        #expect(table.total(["a"], column: 0) == 4)
        #expect(table.totals().count == 2)
    }

    @Test func aSharedCounterLosesNothing() async {
        let counter = SharedCounter()
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<1_000 { counter.add() } }
            }
        }
        #expect(counter.value == 8_000)
    }
}
