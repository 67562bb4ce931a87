import Telemetry
import Testing

@Suite struct SharedCounterTests {
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
