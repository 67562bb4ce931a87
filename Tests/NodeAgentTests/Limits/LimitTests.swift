import LinuxSystem
import Testing

@testable import NodeAgent

/// Every limit of `/config` is tripped once and its counter rises by one.
@Suite(.serialized) struct LimitTests {
    @Test func everyLimitShownIsTrippedAndNamesItsCounter() async throws {
        let row = LimitCase(name: "none") { _ in }
        let shown = try await LimitTests.onThread {
            let rig = try LimitRig(row)
            defer { rig.stop() }
            try rig.start()
            let metrics = rig.process.ask("/metrics")
            return rig.shown().mapValues { ($0.counter, metrics.contains("\n\($0.counter) ")) }
        }
        #expect(Set(shown.keys) == Set(LimitCase.all.map(\.name)))
        #expect(LimitCase.all.count == Set(LimitCase.all.map(\.name)).count)
        for (name, (counter, isShown)) in shown.sorted(by: { $0.key < $1.key }) {
            #expect(isShown, "\(name): no sample \(counter) at /metrics")
        }
    }

    @Test(arguments: LimitCase.all)
    func aLimitTrippedOnceIsCountedOnce(_ row: LimitCase) async throws {
        let (before, after) = try await LimitTests.onThread { () throws -> (UInt64, UInt64?) in
            let rig = try LimitRig(row)
            var isStopped = false
            defer { if !isStopped { rig.stop() } }
            // The status endpoint lists its own limits when it starts.
            let before = rig.counted(row.name) ?? 0
            if row.isStarted { try rig.start() }
            try row.trip(rig)
            let count = { row.isReadInside ? rig.counted(row.name) : rig.outside(row.name) }
            for _ in 0..<30 where count() == before {
                rig.peers.settle()
            }
            rig.peers.settle()
            let after = count()
            rig.stop()
            isStopped = true
            return (before, after)
        }
        #expect(after == before + 1)
    }

    /// Runs on a thread of its own: it waits.
    static func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let result = await BlockingThread.run(name: "limit-test") { Result { try body() } }
        return try #require(result).get()
    }
}

extension LimitRig {
    /// A limit's count as `/config` tells it.
    func outside(_ name: String) -> UInt64? {
        shown()[name].map { UInt64(clamping: $0.count) }
    }
}
