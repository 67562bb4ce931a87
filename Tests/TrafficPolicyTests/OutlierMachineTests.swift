import Testing

@testable import TrafficPolicy

@Suite struct OutlierMachineTests {
    private let second: UInt64 = 1_000_000_000

    private func policy(_ change: (inout OutlierPolicy) -> Void) -> OutlierPolicy {
        var policy = OutlierPolicy()
        policy.isActive = true
        change(&policy)
        return policy
    }

    /// After which of some outcomes, from 1, an ejection is asked for first; 0 for none.
    private func firstEjection(_ outcomes: [EndpointOutcome], _ policy: OutlierPolicy) -> Int {
        var record = OutlierRecord()
        for (index, outcome) in outcomes.enumerated()
        where OutlierMachine.observe(&record, outcome, latency: 1, policy) {
            return index + 1
        }
        return 0
    }

    @Test(
        arguments: [
            ([.serverError, .serverError, .serverError], 3),
            ([.serverError, .gatewayError, .connectionError], 3),
            ([.serverError, .serverError, .success, .serverError, .serverError], 0),
        ] as [([EndpointOutcome], Int)]
    )
    func errorsInARowCount(outcomes: [EndpointOutcome], at: Int) {
        #expect(firstEjection(outcomes, policy { $0.consecutiveErrors = 3 }) == at)
    }

    @Test(
        arguments: [
            ([.gatewayError, .connectionError], 2),
            ([.serverError, .serverError, .serverError], 0),
            ([.gatewayError, .serverError, .gatewayError], 0),
        ] as [([EndpointOutcome], Int)]
    )
    func gatewayErrorsInARowCountApart(outcomes: [EndpointOutcome], at: Int) {
        #expect(firstEjection(outcomes, policy { $0.consecutiveGatewayErrors = 2 }) == at)
    }

    @Test(
        arguments: [
            (200, .success), (404, .success), (500, .serverError), (501, .serverError),
            (502, .gatewayError), (503, .gatewayError), (504, .gatewayError), (505, .serverError),
        ] as [(UInt16, EndpointOutcome)]
    )
    func statusesAreOutcomes(status: UInt16, outcome: EndpointOutcome) {
        #expect(EndpointOutcome(status: status) == outcome)
    }

    @Test func eachEjectionIsLongerUpToTheLongest() {
        let rules = policy {
            $0.ejectionNanoseconds = 10 * second
            $0.ejectionNanosecondsMax = 25 * second
        }
        var record = OutlierRecord()
        var now: UInt64 = 100 * second
        for length in [10, 20, 25, 25] as [UInt64] {
            OutlierMachine.eject(&record, now: now, rules)
            #expect(record.isEjected)
            let isBackEarly = OutlierMachine.release(&record, now: now + (length - 1) * second)
            #expect(!isBackEarly)
            let isBack = OutlierMachine.release(&record, now: now + length * second)
            #expect(isBack && !record.isEjected)
            now += 100 * second
        }
    }

    @Test func aQuietIntervalShortensTheNextEjection() {
        let rules = policy { $0.ejectionNanoseconds = 10 * second }
        var records = [OutlierRecord()]
        records[0].ejectionCount = 2
        for count in [1, 0, 0] as [UInt16] {
            _ = OutlierMachine.judge(&records, rules)
            #expect(records[0].ejectionCount == count)
        }
    }

    @Test(
        arguments: [
            (0, 1, 10, true), (0, 3, 0, true), (1, 3, 10, false), (1, 20, 10, true),
            (2, 20, 10, false), (1, 4, 50, true), (2, 4, 50, false),
        ] as [(Int, Int, UInt8, Bool)]
    )
    func oneMayAlwaysGoAndMoreByPercent(out: Int, of: Int, percent: UInt8, may: Bool) {
        let rules = policy { $0.ejectedPercentMax = percent }
        #expect(OutlierMachine.mayEject(ejectedCount: out, endpointCount: of, rules) == may)
    }

    private func records(_ failures: [UInt32], of requests: UInt32 = 100) -> [OutlierRecord] {
        failures.map { failed in
            var record = OutlierRecord()
            record.requestCount = requests
            record.failureCount = failed
            return record
        }
    }

    @Test func failuresByPercentAreOutliersTheWorstFirst() {
        var some = records([0, 50, 49, 80])
        #expect(OutlierMachine.judge(&some, policy { $0.failurePercent = 50 }) == [3, 1])
        #expect(some.allSatisfy { $0.requestCount == 0 && $0.failureCount == 0 })
    }

    @Test func aRateFarBelowTheOthersIsAnOutlier() {
        let rules = policy { $0.successRateDeviation = 1_900 }
        var some = records([1, 2, 1, 0, 2, 40])
        #expect(OutlierMachine.judge(&some, rules) == [5])
        var equal = records([40, 40, 40, 40])
        #expect(OutlierMachine.judge(&equal, rules).isEmpty)
        var two = records([0, 90])
        #expect(OutlierMachine.judge(&two, rules).isEmpty)
    }

    @Test func fewRequestsSayNothing() {
        let rules = policy {
            $0.failurePercent = 10
            $0.requestMin = 100
        }
        var some = records([99], of: 99)
        #expect(OutlierMachine.judge(&some, rules).isEmpty)
    }

    @Test func aLatencyFarAboveTheMedianIsAnOutlier() {
        let rules = policy { $0.latencyPercent = 300 }
        var some = records([0, 0, 0, 0])
        for (index, latency) in ([10, 11, 12, 40] as [UInt64]).enumerated() {
            some[index].answerCount = 100
            some[index].latencySum = latency * 100 * 1_000
        }
        #expect(OutlierMachine.judge(&some, rules) == [3])
    }

    @Test func anEjectedEndpointIsNotJudgedAgain() {
        var some = records([100, 0])
        some[0].ejectedUntil = 5
        #expect(OutlierMachine.judge(&some, policy { $0.failurePercent = 50 }).isEmpty)
    }

    /// Whatever happens, no endpoint is out for longer than the longest time, and counts are sane.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func underAnyOutcomesEjectionsStayWithinBounds(seed: UInt64) {
        let rules = policy {
            $0.consecutiveErrors = 3
            $0.failurePercent = 30
            $0.latencyPercent = 200
            $0.successRateDeviation = 1_500
            $0.requestMin = 5
            $0.ejectionNanoseconds = 2 * second
            $0.ejectionNanosecondsMax = 9 * second
        }
        var records = Array(repeating: OutlierRecord(), count: 5)
        var now: UInt64 = second
        for step in 0..<2_000 as Range<UInt64> {
            let draw = KeyedHash.of(seed, step, key: 77)
            let index = Int(draw % 5)
            now += draw >> 40 & 0xfff_ffff
            _ = OutlierMachine.release(&records[index], now: now)
            let outcome = EndpointOutcome.allCases[Int(draw >> 8 & 3)]
            if OutlierMachine.observe(&records[index], outcome, latency: draw >> 32, rules) {
                OutlierMachine.eject(&records[index], now: now, rules)
            }
            if draw >> 16 & 63 == 0 {
                for guilty in OutlierMachine.judge(&records, rules) {
                    #expect(!records[guilty].isEjected, "seed \(seed)")
                    OutlierMachine.eject(&records[guilty], now: now, rules)
                }
            }
            #expect(records[index].ejectedUntil <= now + 9 * second, "seed \(seed)")
            #expect(records[index].consecutiveErrors <= 3, "seed \(seed)")
        }
    }
}
