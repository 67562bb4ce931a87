import Testing

@testable import TrafficPolicy

/// The small machines that balancing is made of.
@Suite struct BalancingMathTests {
    // MARK: SmoothTurn

    private func turns(_ weights: [Int64], _ count: Int) -> [Int] {
        var credits = weights.map { _ in Int64(0) }
        return (0..<count).map { _ in
            var turn = SmoothTurn()
            for index in weights.indices {
                turn.offer(index, &credits[index], weight: weights[index])
            }
            credits[turn.taken] -= turn.sum
            return turn.taken
        }
    }

    @Test func weightedTurnsAreSpreadOut() {
        #expect(turns([5, 1, 1], 7) == [0, 0, 1, 0, 2, 0, 0])
    }

    @Test(arguments: [[1, 1, 1], [3, 2, 1], [10, 1], [7, 5, 3, 1]] as [[Int64]])
    func overARoundEveryEndpointHasItsWeight(weights: [Int64]) {
        let round = Int(weights.reduce(0, +))
        let taken = turns(weights, round * 3)
        for index in weights.indices {
            #expect(taken.count { $0 == index } == Int(weights[index]) * 3)
        }
    }

    @Test func whereNothingIsOfferedNothingIsTaken() { #expect(SmoothTurn().taken == -1) }

    // MARK: PeakLatency

    @Test func aSlowAnswerIsFeltAtOnceAndForgottenSlowly() {
        var latency = PeakLatency()
        latency.observe(1_000_000, now: 1_000_000_000)
        latency.observe(80_000_000, now: 1_001_000_000)
        let high = latency.cost(activeCount: 0, now: 1_001_000_000)
        #expect(high >= 80_000_000)
        latency.observe(1_000_000, now: 1_002_000_000)
        #expect(latency.cost(activeCount: 0, now: 1_002_000_000) > 70_000_000)
        #expect(latency.cost(activeCount: 0, now: 21_000_000_000) < high / 2)
    }

    @Test func costGrowsWithLoad() {
        var latency = PeakLatency()
        latency.observe(1_000_000, now: 5)
        let idle = latency.cost(activeCount: 0, now: 5)
        #expect(latency.cost(activeCount: 3, now: 5) == idle * 4)
    }

    @Test func anUnknownEndpointIsTriedOnceBeforeItHasAnswered() {
        let latency = PeakLatency()
        #expect(latency.cost(activeCount: 0, now: 9) == 0)
        #expect(latency.cost(activeCount: 1, now: 9) == PeakLatency.unknownNanoseconds)
    }

    // MARK: SlowStart

    @Test(
        arguments: [
            (0, 100), (10_000, 100), (20_000, 200), (50_000, 500), (99_000, 990), (100_000, 1_000),
            (200_000, 1_000),
        ] as [(UInt64, UInt32)]
    )
    func sharesGrowInALine(age: UInt64, share: UInt32) {
        #expect(SlowStart.share(age: age * 1_000, window: 100_000_000) == share)
    }

    @Test func withoutAWindowTheShareIsWhole() {
        #expect(SlowStart.share(age: 0, window: 0) == SlowStart.whole)
    }

    // MARK: RetryBudget

    @Test(
        arguments: [
            (0, 0, true), (2, 0, true), (3, 0, false), (3, 15, false), (3, 20, true),
            (19, 100, true),
            (20, 100, false),
        ] as [(UInt32, UInt32, Bool)]
    )
    func aBudgetIsAShareOfWhatIsUnderWay(retries: UInt32, active: UInt32, allowed: Bool) {
        let budget = RetryBudget(percent: 20, minimum: 3)
        #expect(budget.allows(retryCount: retries, activeCount: active) == allowed)
    }

    @Test func withoutABudgetTheBoundHolds() {
        let bounded = RetryBudget(percent: 0, minimum: 3, retryMax: 2)
        #expect(bounded.allows(retryCount: 1, activeCount: 0))
        #expect(!bounded.allows(retryCount: 2, activeCount: 1_000))
        #expect(RetryBudget(percent: 0, retryMax: 0).allows(retryCount: 9_999, activeCount: 0))
    }

    // MARK: ZoneSpread

    @Test(
        arguments: [
            (1, 3, 1, 3, 65_536), (2, 3, 1, 3, 65_536), (1, 4, 1, 2, 32_768), (0, 4, 1, 2, 0),
            (4, 4, 1, 9, 65_536), (1, 9, 0, 0, 65_536), (1, 10, 2, 5, 16_384),
        ] as [(Int, Int, Int, Int, UInt32)]
    )
    func aZoneKeepsWhatItsEndpointsCanTake(
        local: Int,
        all: Int,
        localNodes: Int,
        nodes: Int,
        share: UInt32
    ) {
        let found = ZoneSpread.localShare(
            localEndpoints: local,
            endpoints: all,
            localNodes: localNodes,
            nodes: nodes
        )
        #expect(found == share)
    }

    @Test(
        arguments: [
            // Endpoints of the zones besides the own, their nodes; all endpoints, all nodes.
            ([5, 3], [1, 1], 10, 4, [10, 2]), ([2, 2], [1, 1], 10, 4, [0, 0]),
            ([4, 4], [1, 3], 10, 5, [10, 0]), ([3, 0], [0, 1], 4, 2, [6, 0]),
            ([3, 1], [0, 0], 4, 0, [3, 1]),
        ] as [([Int], [Int], Int, Int, [UInt64])]
    )
    func otherZonesTakeWhatTheirEndpointsCanTakeBesidesTheirOwn(
        zones: [Int],
        nodes: [Int],
        all: Int,
        nodeCount: Int,
        residuals: [UInt64]
    ) {
        let found = zones.indices.map { index in
            ZoneSpread.residual(
                zoneEndpoints: zones[index],
                endpoints: all,
                zoneNodes: nodes[index],
                nodes: nodeCount
            )
        }
        #expect(found == residuals)
    }

    @Test(
        arguments: [
            ([3, 1], 0, 0), ([3, 1], 49_151, 0), ([3, 1], 49_152, 1), ([3, 1], 65_535, 1),
            ([0, 2], 0, 1), ([0, 0], 0, nil), ([], 9, nil),
        ] as [([UInt64], UInt32, Int?)]
    )
    func aTicketFallsToAZoneByWhatItCanTake(residuals: [UInt64], ticket: UInt32, zone: Int?) {
        let sum = residuals.reduce(0, +)
        let found = ZoneSpread.zone(ticket: ticket, sum: sum, count: residuals.count) {
            residuals[$0]
        }
        #expect(found == zone)
    }

    // MARK: AffinityToken

    private func read(_ text: String) -> AffinityToken? {
        let bytes = Array(text.utf8)
        return AffinityToken(byteCount: bytes.count) { bytes[$0] }
    }

    @Test(arguments: [
        AffinityToken(tag: 0x0123_4567_89ab_cdef), AffinityToken(tag: 0),
        AffinityToken(tag: .max, endSecond: 0x6543_2100),
        AffinityToken(tag: 1, endSecond: 0x6543_2100, idleSecond: 0x0102_0304),
        AffinityToken(tag: 1, idleSecond: 0x8102_0304),
    ])
    func tokensAreReadAsTheyAreWritten(token: AffinityToken) {
        let bytes = (0..<token.byteCount).map { token.byte(at: $0) }
        #expect(read(String(decoding: bytes, as: UTF8.self)) == token)
    }

    @Test(
        arguments: [(0, 0, true), (9, 0, false), (11, 0, true), (11, 10, false), (0, 11, true)]
            as [(UInt32, UInt32, Bool)]
    )
    func aTokenHoldsUntilItsFirstEnd(end: UInt32, idle: UInt32, holds: Bool) {
        let token = AffinityToken(tag: 1, endSecond: end, idleSecond: idle)
        #expect(token.holds(at: 10) == holds)
    }

    @Test(arguments: ["", "0123", "0123456789abcdeg", "0123456789ABCDEF", "0123456789abcdef0"])
    func whatIsNoTokenIsNone(text: String) { #expect(read(text) == nil) }
}
