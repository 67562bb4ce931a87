import MeshModel
import Testing

@testable import DataPlane

/// Connections to names with addresses of both families: the first that comes about serves.
@Suite struct AddressRaceTests {
    /// Endpoint 0 has an IPv6 address, the others are of IPv4.
    private func rig(
        _ count: Int = 2,
        dead: [Int] = [],
        silent: [Int] = [],
        settings: BackendSettings = BackendSettings()
    ) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: count, dead: dead, silent: silent, ipv6: [0])
        rig.install(clusters: [Array(0..<count)], settings: settings, isNamed: true)
        return rig
    }

    private func pass(_ rig: EngineRig, milliseconds: UInt64) {
        rig.network.advance(nanoseconds: milliseconds * 1_000_000)
        rig.settle()
    }

    /// Makes requests until one has gone to the silent endpoint; what its client is.
    private func stuck(_ rig: EngineRig) throws -> Int32 {
        for _ in 0..<2 {
            let found = rig.ask()
            if rig.byteCount(found.client) == 0 { return found.client }
        }
        return try #require(nil)
    }

    @Test func whereOneFamilyIsSilentTheOtherServesAfterTheDelay() throws {
        let rig = try rig(silent: [0])
        let client = try stuck(rig)
        let before = rig.requestCount(1)
        pass(rig, milliseconds: 150)
        #expect(rig.upstreams[1].count <= 1 && rig.requestCount(1) == before)
        pass(rig, milliseconds: 150)
        #expect(rig.requestCount(1) == before + 1)
        rig.answer(by: 1)
        #expect(rig.status(client) == "200")
        #expect(rig.proxy.counters[.addressRaces] == 1)
        #expect(rig.proxy.counters[.addressRacesWon] == 1)
        #expect(rig.proxy.counters[.retries] == 0)
    }

    @Test func theFamilyThatLostIsPassedOverForAWhileAndThenTriedAgain() throws {
        let rig = try rig(silent: [0])
        _ = try stuck(rig)
        pass(rig, milliseconds: 300)
        rig.answer(by: 1)
        for _ in 0..<6 { #expect(rig.status(rig.ask().client) == "200") }
        #expect(rig.proxy.counters[.addressRaces] == 1)
        rig.pass(seconds: 61)
        _ = try stuck(rig)
        pass(rig, milliseconds: 300)
        #expect(rig.proxy.counters[.addressRaces] == 2)
    }

    @Test func anAddressThatRefusesHasItsSuccessorAtOnce() throws {
        let rig = try rig(dead: [0])
        for _ in 0..<4 { #expect(rig.status(rig.ask().client) == "200") }
        #expect(rig.proxy.counters[.addressRaces] == 1)
        #expect(rig.proxy.counters[.retries] == 0)
    }

    @Test func nothingIsRacedWhereConnectionsComeAboutInTime() throws {
        let rig = try rig()
        var found: [Int] = []
        for _ in 0..<4 {
            found.append(rig.ask().endpoint)
            pass(rig, milliseconds: 300)
        }
        #expect(Set(found) == [0, 1])
        #expect(rig.proxy.counters[.addressRaces] == 0)
    }

    @Test func addressesOfOneFamilyAndThoseOfNoNameDoNotRace() throws {
        let rig = try EngineRig(endpointCount: 2, silent: [0], ipv6: [0])
        rig.install(clusters: [[0, 1]])
        let client = try stuck(rig)
        pass(rig, milliseconds: 300)
        #expect(rig.byteCount(client) == 0)
        #expect(rig.proxy.counters[.addressRaces] == 0)
    }

    @Test func whereNoAddressAnswersTheTimeToConnectIsKept() throws {
        let rig = try rig(3, silent: [0, 1, 2])
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<4 { pass(rig, milliseconds: 260) }
        #expect(rig.proxy.counters[.addressRaces] == 2)
        for _ in 0..<3 { rig.pass(seconds: 6) }
        #expect(rig.status(client) == "503")
        #expect(rig.proxy.races.isEmpty)
    }

    @Test func aClientThatGoesEndsAllOfItsConnections() throws {
        let rig = try rig(3, silent: [0, 1, 2])
        let open = rig.network.openDescriptorCount
        let client = rig.connect(sending: EngineRig.get)
        for _ in 0..<3 { pass(rig, milliseconds: 260) }
        #expect(rig.network.openDescriptorCount == open + 5)
        rig.network.resetOnClose(client)
        rig.network.close(client)
        rig.settle()
        #expect(rig.network.openDescriptorCount == open)
        #expect(rig.proxy.races.isEmpty)
    }

    @Test func theLoserIsClosedAndCountsAreThoseOfTheWinner() throws {
        var settings = BackendSettings()
        settings.breakers.connections = 8
        let rig = try rig(silent: [0], settings: settings)
        let client = try stuck(rig)
        pass(rig, milliseconds: 300)
        let endpoints = try (0..<2).map { try #require(rig.endpoint($0)) }
        #expect(rig.proxy.condition(of: endpoints[0]).requestCount == 0)
        #expect(rig.proxy.condition(of: endpoints[1]).requestCount == 1)
        rig.answer(by: 1)
        #expect(rig.status(client) == "200")
        #expect(rig.proxy.condition(of: endpoints[1]).requestCount == 0)
        let counted = rig.proxy.endpoints.vitals
        #expect(counted[Int(endpoints[0].slot)].connectionCount == 0)
        #expect(counted[Int(endpoints[1].slot)].connectionCount == UInt32(rig.upstreams[1].count))
    }

    @Test func aTieIsToldOfTheAddressThatWon() throws {
        var settings = BackendSettings()
        settings.affinity = SessionAffinity(.header("x-tie"))
        let rig = try rig(silent: [0], settings: settings)
        var told: Set<String> = []
        for _ in 0..<4 {
            let client = rig.connect(sending: EngineRig.get)
            pass(rig, milliseconds: 300)
            rig.answer(by: 1)
            let line = rig.text(client).split(separator: "\r\n").first { $0.hasPrefix("x-tie: ") }
            told.insert(String(try #require(line)))
        }
        #expect(told.count == 1)
    }

    @Test func requestsThatShareAConnectionOfHTTP2GoOnWithTheAddressThatWon() throws {
        var settings = BackendSettings()
        settings.version = .http2
        let rig = try rig(silent: [0], settings: settings)
        let clients = (0..<4).map { _ in rig.connect(sending: EngineRig.get) }
        #expect(rig.upstreams[1].count == 1)
        let first = try #require(HTTP2Endpoint(rig, of: 1))
        first.answer(1)
        first.answer(3)
        #expect(clients.count { rig.status($0) == "200" } == 2)
        pass(rig, milliseconds: 300)
        #expect(rig.upstreams[1].count == 2)
        let endpoints = try (0..<2).map { try #require(rig.endpoint($0)) }
        #expect(rig.proxy.condition(of: endpoints[0]).requestCount == 0)
        #expect(rig.proxy.condition(of: endpoints[1]).requestCount == 2)
        let second = try #require(HTTP2Endpoint(rig, of: 1))
        second.answer(1)
        second.answer(3)
        #expect(clients.allSatisfy { rig.status($0) == "200" })
        #expect(rig.proxy.races.isEmpty)
    }

    @Test func aRaceRemembersWhatItHasTriedAndHasRoomForFour() {
        let own = ConnectionHandle(index: 1, generation: 1)
        var race = AddressRace(own, cluster: 0, endNanoseconds: 9)
        for slot in 0..<5 as Range<Int32> {
            #expect(!race.hasTried(slot) && race.hasRoom)
            race.note(EngineEndpoint(address: EngineRig.address(0), slot: slot, generation: 1))
            #expect(race.hasTried(slot) && race.lastIsIPv4)
        }
        let rivals = (2...5).map { ConnectionHandle(index: $0, generation: 1) }
        for rival in rivals { race.add(rival) }
        #expect(!race.hasRoom && race.isRival(rivals[3]) && !race.isRival(own))
        race.remove(rivals[1])
        #expect(race.hasRoom && race.rivalCount == 3)
        #expect(!race.isRival(rivals[1]))
        #expect([0, 2, 3].allSatisfy { race.isRival(rivals[$0]) })
        #expect(race.rivals[0] == rivals[0])
    }
}
