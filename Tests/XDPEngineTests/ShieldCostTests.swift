import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel
import Synchronization
import Testing

@testable import XDPEngine

/// Figures that are printed and not asserted: machines differ.
@Suite(.serialized) struct ShieldCostTests {
    /// Everything switched on at once: 10,000 deny prefixes, both rates, allow list, blocks.
    private static func loaded() throws -> ShieldFixture {
        var policy = ShieldFixture.policy()
        for index in 0..<10_000 {
            let base = IPAddress(v4: 0x0a80_0000 + UInt32(index) << 8)
            guard let prefix = IPPrefix(base, length: 24) else { continue }
            policy.deny.append(SourcePolicy.Deny(source: prefix))
        }
        policy.deny.append(SourcePolicy.Deny(source: IPPrefix(host: IPAddress(192, 0, 2, 99))))
        policy.packetsPerSecond = 1_000_000_000
        policy.synPerSecond = 1_000_000_000
        policy.allow = [IPPrefix(host: IPAddress(198, 51, 100, 1))]
        let shield = try ShieldFixture(ShieldFixture.desired([policy]))
        for index in 0..<1000 {
            let source = IPAddress(v4: 0xc612_0000 + UInt32(index))
            try shield.engine.addBlock(ShieldFixture.block(source))
        }
        return shield
    }

    @Test func theShieldsCostPerPacketIsMeasured() throws {
        let plain = try ShieldFixture()
        let full = try ShieldCostTests.loaded()
        let web = ListenerID(namespace: "ns", gateway: "web", name: "http")
        let blocked = IPAddress(192, 0, 2, 66)
        try full.engine.addBlock(ShieldFixture.block(blocked, scope: .listener(web), port: 80))
        let v6 = ShieldFixture.tcp(80, from: ShieldFixture.attacker6, to: ShieldFixture.node6)
        let rows: [(String, ShieldFixture, [UInt8])] = [
            ("no policy, to a listener", plain, ShieldFixture.tcp(80)),
            ("all on, to a listener, passed", full, ShieldFixture.tcp(80)),
            ("all on, SYN to a listener, passed", full, ShieldFixture.tcp(80, flags: .syn)),
            (
                "all on, /24 with a deny, passed", full,
                ShieldFixture.tcp(80, from: IPAddress(192, 0, 2, 98))
            ),
            ("all on, IPv6, passed", full, v6),
            ("all on, elsewhere, passed", full, ShieldFixture.tcp(80, to: IPAddress(10, 9, 9, 9))),
            ("listener block, dropped", full, ShieldFixture.tcp(80, from: blocked)),
            (
                "deny of a host, dropped", full,
                ShieldFixture.tcp(80, from: IPAddress(192, 0, 2, 99))
            ),
            ("deny of a /24, dropped", full, ShieldFixture.tcp(80, from: IPAddress(10, 128, 1, 1))),
        ]
        for (name, shield, frame) in rows {
            var best = UInt32.max
            for _ in 0..<5 {
                let run = try shield.program.run(frame: frame, repeatCount: 100_000)
                best = min(best, run.nanosecondsPerRun)
            }
            #expect(best < UInt32.max)
            print("shield: \(name): \(best) ns a packet, harness included")
        }
    }

    /// From the moment of a verdict to the first packet that counts as dropped, while one thread
    /// floods from the source and this one polls: an upper bound, the poll included.
    @Test func theTimeFromVerdictToFirstDropIsMeasured() throws {
        let figures = try CouplingLatency.measure(trialCount: 1000)
        #expect(figures.microseconds.count == 1000)
        print("verdict to first drop: \(figures)")
    }
}

/// The time from a verdict to the first dropped packet.
struct CouplingLatency: CustomStringConvertible {
    /// One figure for each trial, sorted.
    var microseconds: [Double]

    var description: String {
        let last = microseconds.count - 1
        return "p50 \(microseconds[last / 2]) us, p99 \(microseconds[last * 99 / 100]) us, "
            + "max \(microseconds[last]) us, \(microseconds.count) trials"
    }

    static func measure(trialCount: Int) throws -> CouplingLatency {
        let pair = try VethPair()
        let engine = XDPEngine(
            XDPConfiguration(
                interfaces: .named(["eth0"]),
                mode: .native,
                pinDirectory: pair.pinDirectory,
                nodeName: "latency"
            )
        )
        _ = try pair.inNode { engine.start() }
        engine.apply(DesiredShield(nodeAddresses: [VethPair.node]), version: 1)
        // A block of another source switches the look at node scope on for good.
        try engine.addBlock(ShieldFixture.block())
        let writer = try #require(engine.blockWriter)
        let service = SocketAddress(VethPair.node, 7000)
        let receiver = try pair.inNode { () throws(Errno) in try Datagrams(bound: service) }
        let sender = try pair.inAttacker { () throws(Errno) in try Datagrams() }
        let isOver = Flag()
        let flood = RawThread {
            // About 100,000 a second: beyond what the receiving softirq can take, packets would
            // wait for it and not for the block.
            while !isOver.isSet {
                sender.send(to: service)
                let next = Clock.monotonicNanoseconds() + 8000
                while Clock.monotonicNanoseconds() < next {}
            }
        }
        defer {
            isOver.set()
            flood.join()
            try? engine.cleanup()
        }
        #expect(receiver.receives())
        var figures: [Double] = []
        for _ in 0..<trialCount {
            let block = ShieldFixture.block(VethPair.attacker)
            let start = Clock.monotonicNanoseconds()
            try writer.put(block)
            while try dropCount(of: block, writer) == 0 {}
            figures.append(Double((Clock.monotonicNanoseconds() - start) / 100) / 10)
            try engine.removeBlock(source: block.source)
        }
        return CouplingLatency(microseconds: figures.sorted())
    }

    /// Packets that the kernel says it dropped for a block.
    private static func dropCount(of block: Block, _ writer: BlockWriter) throws -> UInt64 {
        let record = try BlockRecord(block, clocks: .now(), writer: 0)
        let value = try writer.blocks.value(record.key) ?? []
        return Layout.value(value, as: mesh_tally.self)?.packets ?? 0
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .relaxed) }
        func set() { value.store(true, ordering: .relaxed) }
    }
}
