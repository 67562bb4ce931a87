import L4Proxy
import Testing

@Suite struct TCPRelayTests {
    private static let one = [RelayShare(weight: 1, endpoints: [RelayRig.endpoints[0]])]

    private func upstream(_ rig: RelayRig, _ index: Int = 0) throws -> Int32 {
        try #require(rig.upstreams[index].last)
    }

    @Test func bytesPassBothWaysAndAreCounted() throws {
        let rig = try RelayRig(Self.one)
        let client = rig.connect()
        rig.send(client, "question")
        let endpoint = try upstream(rig)
        #expect(rig.text(endpoint) == "question")
        rig.send(endpoint, "answer")
        #expect(rig.text(client) == "answer")
        #expect(rig.relay.counters.bytesUp == 8)
        #expect(rig.relay.counters.bytesDown == 6)
    }

    @Test func aServerMaySpeakFirst() throws {
        let rig = try RelayRig(Self.one)
        let client = rig.connect()
        rig.send(try upstream(rig), "220 ready")
        #expect(rig.text(client) == "220 ready")
    }

    @Test func oneDirectionEndsAndTheOtherGoesOn() throws {
        let rig = try RelayRig(Self.one)
        let client = rig.connect()
        rig.send(client, "all of it")
        let endpoint = try upstream(rig)
        rig.end(client)
        #expect(rig.ended.contains(endpoint), "the end is passed on")
        #expect(rig.relay.pairCount == 1)
        rig.send(endpoint, "a late answer")
        #expect(rig.text(client) == "a late answer")
        #expect(!rig.ended.contains(client))
        rig.end(endpoint)
        #expect(rig.ended.contains(client))
        #expect(rig.relay.pairCount == 0)
    }

    @Test func theServersEndLeavesTheClientSpeaking() throws {
        let rig = try RelayRig(Self.one)
        let client = rig.connect()
        let endpoint = try upstream(rig)
        rig.end(endpoint)
        #expect(rig.ended.contains(client))
        rig.send(client, "more")
        #expect(rig.text(endpoint) == "more")
    }

    @Test func aPairWithoutAByteIsClosedAtItsDeadlineAndNoOther() throws {
        var limits = RelayLimits()
        limits.idleTimeout = .seconds(10)
        let rig = try RelayRig(Self.one, limits: limits)
        let quiet = rig.connect()
        let busy = rig.connect()
        for _ in 0..<4 {
            rig.network.advance(nanoseconds: 4_000_000_000)
            rig.send(busy, "x")
        }
        #expect(rig.ended.contains(quiet))
        #expect(!rig.ended.contains(busy), "every byte begins the time anew")
        #expect(rig.relay.counters.idleTimeouts == 1)
        #expect(rig.relay.pairCount == 1)
    }

    @Test func whatTheSlowerSideDoesNotTakeIsLeftWithTheFaster() throws {
        let rig = try RelayRig(Self.one)
        let client = rig.connect()
        let endpoint = try upstream(rig)
        rig.unread = [endpoint]
        let total = 2_000_000
        rig.send(client, [UInt8](repeating: 7, count: total), turns: 400)
        #expect(rig.waitingByteCount(client) > total - 400_000)
        rig.unread = []
        rig.settle(2_000)
        #expect(rig.byteCount(endpoint) == total)
        #expect(rig.relay.counters.bufferLimitHits == 0)
    }

    @Test func connectionsAreSharedByWeightAndInTurn() throws {
        let shares = [
            RelayShare(weight: 3, endpoints: [RelayRig.endpoints[0], RelayRig.endpoints[1]]),
            RelayShare(weight: 1, endpoints: [RelayRig.endpoints[2]]),
        ]
        let rig = try RelayRig(shares)
        for _ in 0..<16 { _ = rig.connect() }
        #expect(rig.upstreams[2].count == 4)
        #expect(rig.upstreams[0].count + rig.upstreams[1].count == 12)
        #expect(!rig.upstreams[0].isEmpty && !rig.upstreams[1].isEmpty)
    }

    @Test func anEndpointThatRefusesIsPassedOver() throws {
        let share = RelayShare(
            weight: 1,
            endpoints: [RelayRig.endpoints[0], RelayRig.endpoints[1]]
        )
        let rig = try RelayRig([share], listens: [1])
        for _ in 0..<4 {
            let client = rig.connect()
            #expect(!rig.ended.contains(client))
        }
        #expect(rig.upstreams[1].count == 4)
        #expect(rig.relay.counters.connectFailures == 0)
    }

    @Test func withoutAnEndpointThatAnswersTheClientIsReset() throws {
        let rig = try RelayRig(Self.one, listens: [])
        let client = rig.connect()
        #expect(rig.ended.contains(client))
        #expect(rig.relay.counters.connectFailures == 1)
        #expect(rig.relay.counters.triesLimitHits == 1)
        #expect(rig.relay.pairCount == 0)
    }
}
