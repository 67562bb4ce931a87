import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel
import Testing

@testable import XDPEngine

/// Scopes, expiry, dry run, lists, rates and counters, through the loaded program.
@Suite struct ShieldVerdictTests {
    private let web = ListenerID(namespace: "ns", gateway: "web", name: "http")

    @Test func aNodeBlockDropsToEveryAddressOfTheNodeAndNothingElse() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block())
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .dropBlockNode)
        #expect(try shield.reason(ShieldFixture.tcp(9999)) == .dropBlockNode)
        let elsewhere = ShieldFixture.tcp(80, to: IPAddress(10, 9, 9, 9))
        #expect(try shield.reason(elsewhere) == .passClean)
        let other = ShieldFixture.tcp(80, from: IPAddress(192, 0, 2, 8))
        #expect(try shield.reason(other) == .passClean)
    }

    @Test func aListenerBlockDropsToItsPortAlone() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block(scope: .listener(web), port: 80))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .dropBlockListener)
        #expect(try shield.reason(ShieldFixture.tcp(443)) == .passClean)
        #expect(try shield.reason(ShieldFixture.tcp(81)) == .passClean)
        #expect(try shield.reason(ShieldFixture.tcp(80, to: IPAddress(10, 9, 9, 9))) == .passClean)
    }

    @Test func aGatewayBlockDropsToAllItsListeners() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block(scope: .gateway(web.gatewayKey)))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .dropBlockGateway)
        #expect(try shield.reason(ShieldFixture.tcp(443)) == .dropBlockGateway)
        #expect(try shield.reason(ShieldFixture.tcp(81)) == .passClean)
    }

    @Test func aPrefixBlockDropsItsWholePrefixAtTheNode() throws {
        let shield = try ShieldFixture()
        var block = ShieldFixture.block()
        block.source = try #require(IPPrefix("192.0.2.0/24"))
        block.owner = .operator
        try shield.engine.addBlock(block)
        #expect(try shield.reason(ShieldFixture.tcp(9999)) == .dropBlockPrefix)
        #expect(
            try shield.reason(ShieldFixture.tcp(80, from: IPAddress(192, 0, 3, 1))) == .passClean
        )
        #expect(try shield.engine.removeBlock(source: block.source).count == 1)
        #expect(try shield.reason(ShieldFixture.tcp(9999)) == .passClean)
    }

    @Test func aWorkerBlocksAtListenerScopeOnly() throws {
        let shield = try ShieldFixture()
        let writer = try #require(shield.engine.state.withLock { shield.engine.writerLocked($0) })
        #expect(throws: BlockRefusal.notListenerScope) { try writer.write(ShieldFixture.block()) }
        try writer.write(ShieldFixture.block(scope: .listener(web), port: 80))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .dropBlockListener)
    }

    @Test func anExpiredBlockPassesAndIsSweptWithItsCount() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block(seconds: -1))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passClean)
        #expect(shield.engine.blocks().isEmpty)
        #expect(shield.engine.status().blockCount == 1)
        #expect(shield.engine.sweep().count == 1)
        #expect(shield.engine.status().blockCount == 0)
    }

    @Test func aLiveBlockIsNotSweptAndTellsWhoWhyAndHowMany() throws {
        let shield = try ShieldFixture()
        let wanted = ShieldFixture.block(scope: .listener(web), port: 80)
        try shield.engine.addBlock(wanted)
        for _ in 0..<3 { _ = try shield.reason(ShieldFixture.tcp(80)) }
        #expect(shield.engine.sweep().isEmpty)
        let block = try #require(shield.engine.blocks().first)
        #expect(block.source == wanted.source)
        #expect(block.scope == wanted.scope)
        #expect(block.owner == wanted.owner)
        #expect(block.reason == wanted.reason)
        #expect(block.destinations == wanted.destinations)
        #expect(block.sinceNanoseconds == wanted.sinceNanoseconds)
        #expect(block.packetCount == 3)
        #expect(block.enforcedAt == [.xdp])
    }

    @Test func aDryRunBlockCountsAndPasses() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block(dryRun: true))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passDryRun)
        #expect(shield.engine.blocks().first?.packetCount == 1)
    }

    @Test func denyDropsWhereverThePacketGoesAndCountsUnderThePolicy() throws {
        var policy = ShieldFixture.policy("bad-neighbours")
        policy.deny = ["192.0.2.0/24", "2001:db8::/32", "100.0.0.0/6"].compactMap(IPPrefix.init)
            .map { SourcePolicy.Deny(source: $0) }
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .dropDeny)
        #expect(try shield.reason(ShieldFixture.tcp(80, to: IPAddress(10, 9, 9, 9))) == .dropDeny)
        let v6 = ShieldFixture.tcp(80, from: ShieldFixture.attacker6, to: ShieldFixture.node6)
        #expect(try shield.reason(v6) == .dropDeny)
        #expect(
            try shield.reason(ShieldFixture.tcp(80, from: IPAddress(103, 1, 1, 1))) == .dropDeny
        )
        #expect(
            try shield.reason(ShieldFixture.tcp(80, from: IPAddress(192, 0, 3, 1))) == .passClean
        )
        #expect(shield.engine.status().policies["bad-neighbours"]?.packetCount == 4)
        shield.engine.apply(ShieldFixture.desired(), version: 2)
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passClean)
        #expect(try shield.reason(v6) == .passClean)
    }

    @Test func aDenyWithATimeEndsAndDoesNotBeginAnewWithThePolicyUnchanged() throws {
        var policy = ShieldFixture.policy()
        let prefix = try #require(IPPrefix("192.0.2.0/24"))
        policy.deny = [SourcePolicy.Deny(source: prefix, ttl: .nanoseconds(1))]
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        try shield.runUntilPassed(ShieldFixture.tcp(80))
        shield.engine.apply(ShieldFixture.desired([policy]), version: 2)
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passClean)
    }

    @Test func aDryRunPolicyCountsAndPasses() throws {
        var policy = ShieldFixture.policy("trial")
        policy.deny = [SourcePolicy.Deny(source: IPPrefix(host: ShieldFixture.attacker))]
        policy.dryRun = true
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passDryRun)
        #expect(shield.engine.status().policies["trial"]?.packetCount == 1)
    }

    @Test func anAllowedSourceIsSparedFromDenyRatesAndBlocks() throws {
        var policy = ShieldFixture.policy()
        policy.deny = [SourcePolicy.Deny(source: IPPrefix(host: ShieldFixture.attacker))]
        policy.allow = [IPPrefix(host: ShieldFixture.attacker)]
        policy.synPerSecond = 1
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passAllowed)
        #expect(throws: BlockRefusal.self) { try shield.engine.addBlock(ShieldFixture.block()) }
        let writer = try #require(shield.engine.state.withLock { shield.engine.writerLocked($0) })
        try writer.write(ShieldFixture.block(scope: .listener(web), port: 80))
        #expect(try shield.reason(ShieldFixture.tcp(80)) == .passAllowed)
        #expect(shield.engine.blocks().first?.packetCount == 0)
    }

    @Test func packetsBeyondTheRateAreDroppedAndTheBucketRefills() throws {
        var policy = ShieldFixture.policy("rates")
        policy.packetsPerSecond = 100
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        let frame = ShieldFixture.tcp(80)
        let run = try shield.program.run(frame: frame, repeatCount: 1000)
        #expect(run.verdict == 1)
        #expect(
            try shield.reason(ShieldFixture.tcp(80, from: IPAddress(192, 0, 2, 9))) == .passClean
        )
        try shield.runUntilPassed(frame)
        #expect((shield.engine.status().policies["rates"]?.packetCount ?? 0) > 800)
    }

    @Test func synsBeyondTheRateAreDroppedAndOthersPass() throws {
        var policy = ShieldFixture.policy()
        policy.synPerSecond = 5
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        let syn = ShieldFixture.tcp(80, flags: .syn)
        let run = try shield.program.run(frame: syn, repeatCount: 100)
        #expect(run.verdict == 1)
        #expect((shield.engine.status().reasons[.dropSynRate]?.packetCount ?? 0) > 80)
        #expect(try shield.reason(ShieldFixture.tcp(80, flags: .ack)) == .passClean)
        #expect(try shield.reason(ShieldFixture.tcp(80, flags: .synAck)) == .passClean)
    }

    @Test func whatWasSeenOfASourceCanBeRead() throws {
        let shield = try ShieldFixture()
        let counters = try #require(shield.engine.sourceCounters)
        #expect(counters.observation(of: ShieldFixture.attacker) == nil)
        _ = try shield.reason(ShieldFixture.tcp(80, flags: .syn))
        try shield.engine.addBlock(ShieldFixture.block())
        _ = try shield.reason(ShieldFixture.tcp(80))
        let seen = try #require(counters.observation(of: ShieldFixture.attacker))
        #expect(
            seen == SourceObservation(packetCount: 2, byteCount: 120, dropCount: 1, synCount: 1)
        )
    }

    @Test func droppedPacketsAreSampled() throws {
        let shield = try ShieldFixture()
        try shield.engine.addBlock(ShieldFixture.block())
        _ = try shield.program.run(frame: ShieldFixture.tcp(80), repeatCount: 640)
        let samples = shield.engine.drainSamples()
        let sample = try #require(samples.first)
        #expect((10...10 * KernelMap.possibleCoreCount + 1).contains(samples.count))
        #expect(sample.source == ShieldFixture.attacker)
        #expect(sample.destination == SocketAddress(ShieldFixture.node, 80))
        #expect(sample.reason == .dropBlockNode)
        #expect(sample.protocolNumber == 6)
        #expect(shield.engine.drainSamples().isEmpty)
    }

    @Test func theNeverListBindsOperatorsToo() throws {
        var desired = ShieldFixture.desired()
        let hop = IPAddress(192, 0, 2, 1)
        desired.protected = ProtectedSources([.init(IPPrefix(host: hop), reason: "next hop")])
        let shield = try ShieldFixture(desired)
        for source in ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "::/0", "127.0.0.1"] {
            var block = ShieldFixture.block()
            block.source = try #require(IPPrefix(source))
            block.owner = .operator
            #expect(throws: BlockRefusal.self, "\(source)") { try shield.engine.addBlock(block) }
        }
        try shield.engine.addBlock(ShieldFixture.block())
    }

    @Test func anAgentThatWasReplacedWritesNoMore() throws {
        let shield = try ShieldFixture()
        let map = try #require(shield.engine.state.withLock { $0.object?.maps["writer"] })
        let key = Layout.bytes(of: UInt32(0))
        try map.update(key, Layout.bytes(of: mesh_writer(generation: 9, applied_version: 0)))
        #expect(throws: BlockRefusal.superseded) {
            try shield.engine.addBlock(ShieldFixture.block())
        }
        #expect(throws: BlockRefusal.superseded) {
            try shield.engine.removeBlock(source: ShieldFixture.block().source)
        }
        let faults = shield.engine.apply(ShieldFixture.desired(), version: 2)
        #expect(faults == [XDPEngine.supersededFault])
        #expect(shield.engine.status().appliedVersion == 1)
    }

    @Test func theMapsHoldThousandsOfBlocksWithoutLosingOne() throws {
        let shield = try ShieldFixture()
        let writer = try #require(shield.engine.state.withLock { shield.engine.writerLocked($0) })
        for index in 0..<5000 {
            let source = IPAddress(v4: 0x0b00_0000 + UInt32(index))
            try writer.write(ShieldFixture.block(source, scope: .listener(web), port: 80))
        }
        #expect(shield.engine.blocks().count == 5000)
    }
}
