import DataPlane
import MeshModel
import Testing

/// Which endpoint gets a request, by algorithm.
@Suite struct BalancingTests {
    private func settings(_ change: (inout BalancingSettings) -> Void) -> BackendSettings {
        var settings = BackendSettings()
        change(&settings.balancing)
        return settings
    }

    private func owners(
        _ rig: EngineRig,
        _ count: Int,
        _ request: (Int) -> String
    ) -> [Int] {
        (0..<count).map { rig.ask(request($0)).endpoint }
    }

    private static let hashes: [BalancingAlgorithm] = [.ringHash, .maglev]

    @Test(arguments: hashes)
    func theSameHeaderGoesToTheSameEndpointOnEveryWorker(algorithm: BalancingAlgorithm) throws {
        let settings = settings {
            $0.algorithm = algorithm
            $0.hashKeys = [.header("x-user")]
        }
        let request = { (number: Int) in EngineRig.get("/", "X-User: user-\(number % 12)") }
        var found: [[Int]] = []
        for seed in [1, 2] as [UInt64] {
            let rig = try EngineRig(endpointCount: 4, seed: seed)
            rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
            found.append(owners(rig, 24, request))
        }
        #expect(found[0] == found[1])
        #expect(found[0].prefix(12) == found[0].suffix(12))
        #expect(Set(found[0]).count >= 3)
    }

    @Test(arguments: hashes)
    func onlyTheKeysOfAnEndpointThatGoesMove(algorithm: BalancingAlgorithm) throws {
        let settings = settings {
            $0.algorithm = algorithm
            $0.hashKeys = [.header("x-user")]
        }
        let request = { (number: Int) in EngineRig.get("/", "x-user: user-\(number)") }
        let rig = try EngineRig(endpointCount: 4)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
        let before = owners(rig, 40, request)
        rig.install(clusters: [[0, 1, 3]], settings: settings)
        let after = owners(rig, 40, request)
        #expect(!after.contains(2) && before.contains(2))
        let moved = zip(before, after).count { $0 != 2 && $0 != $1 }
        #expect(moved <= (algorithm == .ringHash ? 0 : 3))
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
        #expect(owners(rig, 40, request) == before)
    }

    @Test(arguments: hashes)
    func whatAnUnhealthyEndpointHadGoesElsewhereAndComesBack(
        algorithm: BalancingAlgorithm
    ) throws {
        let settings = settings {
            $0.algorithm = algorithm
            $0.hashKeys = [.path]
        }
        let rig = try EngineRig(endpointCount: 3)
        rig.install(clusters: [[0, 1, 2]], settings: settings)
        let request = { (number: Int) in EngineRig.get("/item/\(number)?q=\(number)") }
        let before = owners(rig, 30, request)
        let endpoint = try #require(rig.endpoint(1))
        rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        let without = owners(rig, 30, request)
        #expect(!without.contains(1))
        #expect(zip(before, without).allSatisfy { $0 == 1 || $0 == $1 })
        rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: true)
        #expect(owners(rig, 30, request) == before)
    }

    @Test(arguments: [
        (BalancingSettings.HashKey.cookie("sid"), "/", "cookie: a=b; sid=%; c=d"),
        (.query("u"), "/p?a=1&u=%&b=2", "x-a: b"),
        (.header("x-user"), "/", "x-user: %"),
    ])
    func aHashIsMadeOfTheKey(key: BalancingSettings.HashKey, path: String, line: String) throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings {
                $0.algorithm = .ringHash
                $0.hashKeys = [key]
            }
        )
        let request = { (number: Int) in
            let text = "value-\(number % 10)"
            return EngineRig.get(
                path.split(separator: "%", omittingEmptySubsequences: false).joined(
                    separator: text
                ),
                line.split(separator: "%", omittingEmptySubsequences: false).joined(
                    separator: text
                ),
                "x-noise: \(number)"
            )
        }
        let found = owners(rig, 20, request)
        #expect(found.prefix(10) == found.suffix(10))
        #expect(Set(found).count >= 3)
    }

    @Test(arguments: hashes)
    func aKeyThatEverybodyAsksForOverflowsToOthers(algorithm: BalancingAlgorithm) throws {
        for (percent, most) in [(0, 12), (150, 5), (100, 3)] as [(UInt32, Int)] {
            let rig = try EngineRig(endpointCount: 4)
            rig.install(
                clusters: [[0, 1, 2, 3]],
                settings: settings {
                    $0.algorithm = algorithm
                    $0.hashKeys = [.path]
                    $0.hashLoadPercent = percent
                }
            )
            // None is answered: all are in hand.
            let found = (0..<12).map { _ in rig.ask { _ in nil }.endpoint }
            let counts = (0..<4).map { index in found.count { $0 == index } }
            #expect(counts.max() == most, "\(percent): \(counts)")
            #expect(found.allSatisfy { $0 == found[0] } == (percent == 0))
        }
    }

    @Test func theFirstKeyThatIsPresentCounts() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings {
                $0.algorithm = .maglev
                $0.hashKeys = [.header("x-user"), .path]
            }
        )
        let byHeader = owners(rig, 10) { EngineRig.get("/\($0)", "x-user: one") }
        #expect(Set(byHeader).count == 1)
        let byPath = owners(rig, 10) { EngineRig.get("/\($0)") }
        #expect(Set(byPath).count >= 3)
    }

    @Test func withoutAnyKeyTheClientsAddressIsHashed() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings { $0.algorithm = .ringHash })
        #expect(Set(owners(rig, 10) { EngineRig.get("/\($0)") }).count == 1)
    }

    @Test func atRandomEveryEndpointHasItsShare() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(clusters: [[0, 1, 2]], settings: settings { $0.algorithm = .random })
        let found = owners(rig, 90) { _ in EngineRig.get }
        for index in 0..<3 {
            let count = found.count { $0 == index }
            #expect(count > 12 && count < 50, "\(index) had \(count) of 90")
        }
        // In turn none would be chosen twice in a row.
        #expect(zip(found, found.dropFirst()).contains { $0 == $1 })
    }

    @Test func theQuickerEndpointGetsMore() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.algorithm = .peakEWMA })
        var counts = [0, 0]
        for _ in 0..<40 {
            let found = rig.ask(EngineRig.get) { index in
                if index == 0 { rig.network.advance(nanoseconds: 200_000_000) }
                return EngineRig.ok
            }
            counts[found.endpoint] += 1
        }
        #expect(counts[1] >= 30, "\(counts)")
        #expect(counts[0] >= 1)
    }

    @Test func aNewEndpointsShareGrows() throws {
        let rig = try EngineRig(endpointCount: 2)
        let settings = settings { $0.slowStart = .seconds(100) }
        rig.install(clusters: [[0]], settings: settings)
        #expect(rig.ask().endpoint == 0)
        rig.install(clusters: [[0, 1]], settings: settings)
        let early = owners(rig, 22) { _ in EngineRig.get }.count { $0 == 1 }
        #expect(early >= 1 && early <= 3, "\(early) of 22")
        rig.pass(seconds: 50)
        let halfway = owners(rig, 30) { _ in EngineRig.get }.count { $0 == 1 }
        #expect(halfway >= 8 && halfway <= 12, "\(halfway) of 30")
        rig.pass(seconds: 60)
        #expect(owners(rig, 20) { _ in EngineRig.get }.count { $0 == 1 } == 10)
    }

    @Test func whereAllEndpointsAreNewNoneStartsSlowly() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings { $0.slowStart = .seconds(100) })
        #expect(owners(rig, 10) { _ in EngineRig.get }.count { $0 == 1 } == 5)
    }

    @Test func anUnhealthyEndpointsTurnIsSharedEvenly() throws {
        let rig = try EngineRig(endpointCount: 4)
        var settings = BackendSettings()
        settings.healthCheck = HealthCheckSettings(.tcp)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
        let endpoint = try #require(rig.endpoint(1))
        rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        let found = owners(rig, 30) { _ in EngineRig.get }
        for index in [0, 2, 3] {
            let count = found.count { $0 == index }
            #expect((9...11).contains(count), "\(index) had \(count)")
        }
    }

    @Test func healthOfAnEarlierOwnerOfTheSlotIsNotBelieved() throws {
        let rig = try EngineRig(endpointCount: 2)
        var settings = BackendSettings()
        settings.healthCheck = HealthCheckSettings(.tcp)
        rig.install(clusters: [[0]], settings: settings)
        let earlier = try #require(rig.endpoint(0))
        rig.install(clusters: [[]], settings: settings)
        rig.install(clusters: [[1]], settings: settings)
        let later = try #require(rig.endpoint(1))
        #expect(later.slot == earlier.slot && later.generation != earlier.generation)
        settings.balancing.panicPercent = 0
        rig.install(clusters: [[1]], settings: settings)
        rig.proxy.setHealth(earlier.slot, generation: earlier.generation, isHealthy: false)
        #expect(rig.ask().endpoint == 1)
        rig.proxy.setHealth(later.slot, generation: later.generation, isHealthy: false)
        let refused = rig.ask()
        #expect(refused.endpoint == -1 && rig.status(refused.client) == "503")
    }

    @Test(arguments: [(50, [0, 1, 2, 3]), (25, [3]), (0, [3])] as [(UInt8, [Int])])
    func belowThePanicThresholdHealthIsNotLookedAt(percent: UInt8, served: [Int]) throws {
        let rig = try EngineRig(endpointCount: 4)
        var settings = settings { $0.panicPercent = percent }
        settings.healthCheck = HealthCheckSettings(.tcp)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings)
        for index in 0..<3 {
            let endpoint = try #require(rig.endpoint(index))
            rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        }
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }).sorted() == served)
        #expect((rig.proxy.counters[.panicChoices] > 0) == (served.count > 1))
    }

    @Test(arguments: BalancingAlgorithm.allCases)
    func aFailedEndpointIsNotTriedAgainFirst(algorithm: BalancingAlgorithm) throws {
        let rig = try EngineRig(endpointCount: 3, dead: [0])
        rig.install(
            clusters: [[0, 1, 2]],
            settings: settings {
                $0.algorithm = algorithm
                $0.hashKeys = [.path]
                $0.slowStart = .seconds(1)
            }
        )
        for number in 0..<12 {
            let found = rig.ask(EngineRig.get("/\(number)"))
            #expect(rig.status(found.client) == "200")
        }
    }

    // MARK: Places

    private let places = ["a", "a", "b", "c"].enumerated().map { index, zone in
        EndpointPlace(zone: zone, node: "n\(index)")
    }

    private var zoned: BackendSettings {
        settings {
            $0.prefersZone = true
            $0.zoneEndpointMin = 0
        }
    }

    @Test func aZoneWithEnoughEndpointsKeepsItsRequests() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[2, 0, 3, 1]],
            settings: zoned,
            places: places,
            locality: EngineLocality(zone: "a", nodeCounts: ["a": 1, "b": 1, "c": 1])
        )
        #expect(Set(owners(rig, 20) { _ in EngineRig.get }) == [0, 1])
    }

    @Test func aZoneWithTooFewEndpointsSpillsInProportion() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: zoned,
            places: places,
            locality: EngineLocality(zone: "b", nodeCounts: ["b": 1, "z": 1])
        )
        let local = owners(rig, 80) { _ in EngineRig.get }.count { $0 == 2 }
        #expect(local > 25 && local < 55, "\(local) of 80 stayed; half was to")
    }

    @Test func whatSpillsGoesWhereThereIsRoom() throws {
        // Zone "a" has half of the endpoints and a quarter of the nodes, "c" has less than its share.
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: zoned,
            places: places,
            locality: EngineLocality(zone: "b", nodeCounts: ["a": 1, "b": 2, "c": 1])
        )
        let found = owners(rig, 80) { _ in EngineRig.get }
        #expect(!found.contains(3))
        #expect(found.contains(0) && found.contains(1) && found.contains(2))
    }

    @Test func withFewEndpointsZonesDoNotMatter() throws {
        let rig = try EngineRig(endpointCount: 4)
        var settings = zoned
        settings.balancing.zoneEndpointMin = 5
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings,
            places: places,
            locality: EngineLocality(zone: "a", nodeCounts: ["a": 1, "b": 1, "c": 1])
        )
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [0, 1, 2, 3])
    }

    @Test func inPanicZonesDoNotMatter() throws {
        let rig = try EngineRig(endpointCount: 4)
        var settings = zoned
        settings.balancing.panicPercent = 60
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings,
            places: places,
            locality: EngineLocality(zone: "a", nodeCounts: ["a": 1, "b": 1, "c": 1])
        )
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [0, 1])
        for index in [2, 3] {
            let endpoint = try #require(rig.endpoint(index))
            rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        }
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [0, 1, 2, 3])
    }

    private func hinted(_ zones: [[String]]) -> [EndpointPlace] {
        zones.map { EndpointPlace(zone: "z", hintZones: $0) }
    }

    @Test func hintsGiveAZoneItsEndpointsWithoutAnyPolicy() throws {
        let rig = try EngineRig(endpointCount: 4)
        let locality = EngineLocality(zone: "b", nodeCounts: ["a": 1, "b": 9])
        let install = { (places: [EndpointPlace]) in
            rig.install(clusters: [[0, 1, 2, 3]], places: places, locality: locality)
        }
        install(hinted([["a"], ["b"], ["a", "b"], ["c"]]))
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [1, 2])
        for index in [1, 2] {
            let endpoint = try #require(rig.endpoint(index))
            rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        }
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [0, 3])
        // One without hints, or none for this zone: all endpoints serve.
        install(hinted([["a"], ["b"], [], ["c"]]))
        #expect(owners(rig, 12) { _ in EngineRig.get }.contains(0))
        install(hinted([["a"], ["a"], ["a"], ["c"]]))
        #expect(owners(rig, 12) { _ in EngineRig.get }.contains(3))
    }

    @Test func aZoneWhoseEndpointsAreUnhealthyIsLeft() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: zoned,
            places: places,
            locality: EngineLocality(zone: "b", nodeCounts: ["a": 2, "b": 1, "c": 1])
        )
        #expect(rig.ask().endpoint == 2)
        let endpoint = try #require(rig.endpoint(2))
        rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        #expect(Set(owners(rig, 12) { _ in EngineRig.get }) == [0, 1, 3])
    }

    @Test(
        arguments: [
            ("a", true, [0, 1]), ("b", true, [2]), ("z", true, [0, 1, 2, 3]),
            ("", true, [0, 1, 2, 3]),
            ("z", false, []), ("", false, []), ("c", false, [3]),
        ] as [(String, Bool, [Int])]
    )
    func aHeaderNamesThePart(zone: String, fallsBack: Bool, served: [Int]) throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings {
                $0.subset = .init(attribute: .zone, header: "X-Zone", fallsBack: fallsBack)
            },
            places: places
        )
        let request = zone.isEmpty ? EngineRig.get : EngineRig.get("/", "x-zone: \(zone)")
        let found = owners(rig, 12) { _ in request }
        #expect(Set(found).subtracting([-1]).sorted() == served)
        #expect(found.contains(-1) == served.isEmpty)
    }

    @Test func aNodeIsAPartAsWell() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[3, 2, 1, 0]],
            settings: settings {
                $0.subset = .init(attribute: .node, header: "x-node", fallsBack: false)
            },
            places: places
        )
        for index in 0..<4 {
            #expect(rig.ask(EngineRig.get("/", "x-node: n\(index)")).endpoint == index)
        }
    }
}
