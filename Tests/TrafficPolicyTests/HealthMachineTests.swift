import Testing

@testable import TrafficPolicy

@Suite struct HealthMachineTests {
    private func states(_ probes: [Bool], healthy: UInt8, unhealthy: UInt8) -> [Bool] {
        var machine = HealthMachine()
        return probes.map { succeeded in
            _ = machine.probed(
                succeeded: succeeded,
                healthyCount: healthy,
                unhealthyCount: unhealthy
            )
            return machine.isHealthy
        }
    }

    @Test func anEndpointIsHealthyUntilItFailsOftenEnoughInARow() {
        #expect(
            states([false, false, true, false, false, false], healthy: 1, unhealthy: 3)
                == [true, true, true, true, true, false]
        )
    }

    @Test func itComesBackAfterSuccessesInARow() {
        #expect(
            states([false, true, false, true, true], healthy: 2, unhealthy: 1)
                == [false, false, false, false, true]
        )
    }

    @Test func aChangeIsToldOnce() {
        var machine = HealthMachine()
        let changes = [false, false, true].map {
            machine.probed(succeeded: $0, healthyCount: 1, unhealthyCount: 1)
        }
        #expect(changes == [true, false, true])
    }

    @Test(arguments: [UInt64(0), 1, 12_345, .max])
    func theWaitIsTheIntervalATenthMoreOrLess(random: UInt64) {
        let wait = HealthMachine.wait(intervalNanoseconds: 1_000, random: random)
        #expect((900...1_100).contains(wait))
    }
}
