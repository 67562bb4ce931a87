import MeshModel
import Testing
import TrafficPolicy

@Suite struct RetryMachineTests {
    private func rule(_ change: (inout RetrySettings) -> Void) -> RetryRule {
        var settings = RetrySettings()
        settings.conditions = []
        change(&settings)
        return RetryRule(settings)
    }

    @Test func failuresAreTriedAgainByTheirConditionAlone() {
        let conditions: [(RetrySettings.Conditions, TryFailure)] = [
            (.connectFailure, .connectFailure), (.refused, .refused), (.reset, .reset),
            (.tryTimeout, .tryTimeout),
        ]
        for (condition, own) in conditions {
            let rule = rule { $0.conditions = condition }
            for failure in TryFailure.allCases {
                #expect(RetryMachine.wants(rule, failure) == (failure == own))
            }
        }
    }

    @Test func withoutAttemptsNothingIsTriedAgain() {
        let rule = rule {
            $0.attempts = 0
            $0.conditions = [.reset, .serverError]
        }
        #expect(!RetryMachine.wants(rule, .reset))
        #expect(!RetryMachine.wants(rule, status: 503, grpcStatus: nil))
    }

    @Test(arguments: [
        (RetrySettings.Conditions.gatewayError, [502, 503, 504] as [UInt16]),
        (.serverError, [500, 501, 502, 503, 504, 599]), (.statuses, [409, 429]),
    ])
    func responsesAreTriedAgainByStatus(
        _ condition: RetrySettings.Conditions,
        _ wanted: [UInt16]
    ) {
        let rule = rule {
            $0.conditions = condition
            $0.statuses = [409, 429, 7, 60_000]
        }
        for status in [7, 200, 404, 409, 429, 500, 501, 502, 503, 504, 599, 60_000] as [UInt16]
        where condition != .serverError || status < 600 {
            let wants = RetryMachine.wants(rule, status: status, grpcStatus: nil)
            #expect(wants == wanted.contains(status), "\(status)")
        }
    }

    @Test func grpcStatusesCountInTrailersOnlyResponses() {
        let rule = rule {
            $0.conditions = .grpcStatuses
            $0.grpcStatuses = 1 << 14
        }
        #expect(RetryMachine.wants(rule, status: 200, grpcStatus: 14))
        #expect(!RetryMachine.wants(rule, status: 200, grpcStatus: 13))
        #expect(!RetryMachine.wants(rule, status: 200, grpcStatus: nil))
    }

    @Test func whatMayHaveTakenEffectIsNotRepeatedUnlessTold() {
        let careful = rule { _ in }
        let bold = rule { $0.retriesUnsafe = true }
        let post = RetryMachine.Request(isIdempotent: false, bodyIsHeld: true)
        #expect(!RetryMachine.mayRepeat(careful, post, isHarmless: false))
        #expect(RetryMachine.mayRepeat(careful, post, isHarmless: true))
        #expect(RetryMachine.mayRepeat(bold, post, isHarmless: false))
        let gone = RetryMachine.Request(isIdempotent: true, bodyIsHeld: false)
        #expect(!RetryMachine.mayRepeat(bold, gone, isHarmless: true))
    }

    @Test func waitsAreDrawnBelowABoundThatDoublesUpToTheLongest() {
        let rule = rule {
            $0.backoff = .milliseconds(10)
            $0.backoffMax = .milliseconds(35)
        }
        let bounds: [UInt64] = [10_000_000, 20_000_000, 35_000_000, 35_000_000]
        for (retry, bound) in bounds.enumerated() {
            #expect(RetryMachine.wait(rule, retry: UInt8(retry), random: 0) == 0)
            let longest = RetryMachine.wait(rule, retry: UInt8(retry), random: .max)
            #expect(longest == bound - 1)
        }
        #expect(RetryMachine.wait(rule, retry: 255, random: .max) == 34_999_999)
    }
}
