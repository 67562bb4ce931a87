import DataPlane
import MeshModel
import Testing

/// Endpoints that are taken out for what they answer.
@Suite struct OutlierTests {
    private func settings(_ change: (inout OutlierSettings) -> Void) -> BackendSettings {
        var settings = BackendSettings()
        var outliers = OutlierSettings()
        outliers.consecutiveErrors = 0
        outliers.ejectionTime = .seconds(30)
        change(&outliers)
        settings.outliers = outliers
        return settings
    }

    private func owners(
        _ rig: EngineRig,
        _ count: Int,
        _ answer: (Int) -> String? = { _ in EngineRig.ok }
    ) -> [Int] {
        (0..<count).map { _ in rig.ask(EngineRig.get, answer).endpoint }
    }

    /// Endpoint 0 fails, the others do not.
    private let zeroFails: (Int) -> String? = { $0 == 0 ? EngineRig.status(500) : EngineRig.ok }

    @Test func errorsInARowTakeAnEndpointOutForItsTime() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(clusters: [[0, 1, 2]], settings: settings { $0.consecutiveErrors = 3 })
        #expect(owners(rig, 9, zeroFails).count { $0 == 0 } == 3)
        #expect(!owners(rig, 12).contains(0))
        #expect(rig.proxy.counters[.outlierEjections] == 1)
        rig.pass(seconds: 20)
        #expect(!owners(rig, 6).contains(0))
        rig.pass(seconds: 12)
        #expect(owners(rig, 6).contains(0))
        #expect(rig.proxy.counters[.outlierReturns] == 1)
    }

    @Test func theNextEjectionIsLonger() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(
            clusters: [[0, 1, 2]],
            settings: settings {
                $0.consecutiveErrors = 1
                $0.interval = .seconds(1_000)
            }
        )
        _ = owners(rig, 3, zeroFails)
        rig.pass(seconds: 31)
        #expect(owners(rig, 3, zeroFails).contains(0))
        rig.pass(seconds: 31)
        #expect(!owners(rig, 6).contains(0))
        rig.pass(seconds: 30)
        #expect(owners(rig, 3).contains(0))
    }

    @Test func aSuccessBetweenErrorsBeginsAnew() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.consecutiveErrors = 3 })
        for _ in 0..<4 {
            _ = owners(rig, 4, zeroFails)
            _ = owners(rig, 2)
        }
        #expect(rig.proxy.counters[.outlierEjections] == 0)
    }

    @Test func ejectionsOutliveTheView() throws {
        let rig = try EngineRig(endpointCount: 3)
        let settings = settings { $0.consecutiveErrors = 1 }
        rig.install(clusters: [[0, 1, 2]], settings: settings)
        _ = owners(rig, 3, zeroFails)
        rig.install(clusters: [[0, 1, 2]], settings: settings)
        #expect(!owners(rig, 6).contains(0))
    }

    @Test func noMoreThanThePercentAreOutButOneAlways() throws {
        let rig = try EngineRig(endpointCount: 4)
        var settings = settings {
            $0.consecutiveErrors = 1
            $0.ejectedPercentMax = 50
        }
        settings.balancing.panicPercent = 0
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
        _ = owners(rig, 16) { _ in EngineRig.status(503) }
        #expect(rig.proxy.counters[.outlierEjections] == 2)
        #expect(rig.proxy.counters[.outlierEjectionsRefused] > 0)
        #expect(Set(owners(rig, 8)).count == 2)
    }

    @Test func gatewayErrorsCountApart() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.consecutiveGatewayErrors = 2 })
        _ = owners(rig, 8, zeroFails)
        #expect(rig.proxy.counters[.outlierEjections] == 0)
        _ = owners(rig, 4) { $0 == 0 ? EngineRig.status(502) : EngineRig.ok }
        #expect(rig.proxy.counters[.outlierEjections] == 1)
    }

    @Test func anEndpointThatRefusesConnectionsIsTakenOut() throws {
        let rig = try EngineRig(endpointCount: 2, dead: [0])
        rig.install(clusters: [[0, 1]], settings: settings { $0.consecutiveGatewayErrors = 2 })
        for _ in 0..<8 {
            let found = rig.ask()
            #expect(rig.status(found.client) == "200")
        }
        #expect(rig.proxy.counters[.outlierEjections] == 1)
        #expect(rig.proxy.counters[.retries] == 2)
    }

    @Test func anEndpointThatBreaksOffIsTakenOut() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.consecutiveErrors = 1 })
        let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
        for _ in 0..<2 {
            _ = rig.ask(post) { index in
                guard index == 0, let fd = rig.upstreams[0].last else { return EngineRig.ok }
                rig.network.close(fd)
                return nil
            }
            rig.settle()
        }
        #expect(rig.proxy.counters[.outlierEjections] == 1)
        #expect(!owners(rig, 6).contains(0))
    }

    @Test func anEndpointThatSaysNothingIsTakenOut() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.consecutiveErrors = 1 }) {
            $0.backendRequestTimeout = .seconds(1)
        }
        for _ in 0..<2 { _ = rig.ask(EngineRig.get) { $0 == 0 ? nil : EngineRig.ok } }
        rig.pass(seconds: 2)
        #expect(rig.proxy.counters[.outlierEjections] == 1)
    }

    @Test func failuresByPercentAreLookedAtOnceAnInterval() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(
            clusters: [[0, 1, 2]],
            settings: settings {
                $0.failurePercent = 40
                $0.requestMin = 5
                $0.interval = .seconds(10)
            }
        )
        var turn = 0
        _ = owners(rig, 30) { index in
            guard index == 0 else { return EngineRig.ok }
            turn += 1
            return turn % 2 == 0 ? EngineRig.status(500) : EngineRig.ok
        }
        #expect(rig.proxy.counters[.outlierEjections] == 0)
        rig.pass(seconds: 11)
        #expect(!owners(rig, 9).contains(0))
        #expect(rig.proxy.counters[.outlierEjections] == 1)
    }

    @Test func aRateFarBelowTheOthersIsTakenOut() throws {
        let rig = try EngineRig(endpointCount: 5)
        rig.install(
            clusters: [Array(0..<5)],
            settings: settings {
                $0.successRateDeviation = 1_500
                $0.requestMin = 5
            }
        )
        _ = owners(rig, 40, zeroFails)
        rig.pass(seconds: 11)
        #expect(!owners(rig, 10).contains(0))
    }

    @Test func aSlowEndpointIsTakenOut() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(
            clusters: [[0, 1, 2]],
            settings: settings {
                $0.latencyPercent = 300
                $0.requestMin = 5
                $0.interval = .seconds(60)
            }
        )
        _ = owners(rig, 18) { index in
            rig.network.advance(nanoseconds: index == 0 ? 500_000_000 : 50_000_000)
            return EngineRig.ok
        }
        rig.pass(seconds: 61)
        #expect(!owners(rig, 9).contains(0))
    }

    @Test func anEndpointThatComesBackStartsSlowly() throws {
        let rig = try EngineRig(endpointCount: 2)
        var settings = settings { $0.consecutiveErrors = 1 }
        settings.balancing.slowStart = .seconds(100)
        rig.install(clusters: [[0, 1]], settings: settings)
        _ = owners(rig, 2, zeroFails)
        rig.pass(seconds: 31)
        let back = owners(rig, 22).count { $0 == 0 }
        #expect(back >= 1 && back <= 4, "\(back) of 22")
    }
}
