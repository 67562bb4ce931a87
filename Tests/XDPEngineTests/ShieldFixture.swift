import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel
import Testing

@testable import XDPEngine

/// A loaded shield on no interface: frames go in by BPF_PROG_TEST_RUN, and what became of them is
/// told by the one counter that rose.
struct ShieldFixture {
    static let node = IPAddress(10, 0, 0, 1)
    static let node6 = IPAddress(high: 0xfd00 << 48, low: 1)
    static let attacker = IPAddress(192, 0, 2, 7)
    static let attacker6 = IPAddress(high: 0x2001_0db8 << 32, low: 7)

    let engine: XDPEngine
    let program: KernelProgram

    init(_ desired: DesiredShield? = nil) throws {
        engine = XDPEngine(XDPConfiguration(nodeName: "fixture"))
        let object = try ObjectLoader.load(
            object: EmbeddedObject.shield,
            program: "shield",
            reusing: [:]
        )
        engine.state.withLock { $0.object = object }
        program = object.program
        let faults = engine.apply(desired ?? ShieldFixture.desired(), version: 1)
        try #require(faults.isEmpty, "\(faults)")
    }

    /// A node with a listener on port 80 of Gateway `web`, one on 443 on one address alone, and one
    /// on port 81 of Gateway `other`.
    static func desired(_ policies: [SourcePolicy] = []) -> DesiredShield {
        DesiredShield(
            policies: policies,
            listeners: [
                listener("web", "http", 80),
                listener("web", "https", 443, addresses: [node]),
                listener("other", "http", 81),
            ],
            nodeAddresses: [node, node6]
        )
    }

    static func listener(
        _ gateway: String,
        _ name: String,
        _ port: UInt16,
        addresses: [IPAddress] = []
    ) -> Listener {
        Listener(
            id: ListenerID(namespace: "ns", gateway: gateway, name: name),
            addresses: addresses,
            port: port,
            listenerProtocol: .http
        )
    }

    static func policy(_ name: String = "policy") -> SourcePolicy {
        SourcePolicy(key: ObjectKey(.sourcePolicy, name: name))
    }

    static func block(
        _ source: IPAddress = attacker,
        scope: BlockScope = .node,
        port: UInt16? = nil,
        seconds: Int64 = 30,
        dryRun: Bool = false
    ) -> Block {
        let now = Clock.wallNanoseconds()
        return Block(
            source: IPPrefix(host: source),
            scope: scope,
            destinations: port.map { [SocketAddress(node, $0)] } ?? [],
            reason: "five answers of 401",
            owner: .plugin(
                name: "sourceGuard",
                policy: ObjectKey(.filterPolicy, namespace: "ns", name: "guard")
            ),
            sinceNanoseconds: now,
            expiryNanoseconds: UInt64(Int64(now) + seconds * 1_000_000_000),
            dryRun: dryRun
        )
    }

    /// Runs a frame and names the one reason that it counted under.
    func reason(_ frame: [UInt8], firstBuffer: Int? = nil) throws -> PacketReason {
        let before = engine.status().reasons
        let run = try program.run(frame: frame, firstBufferByteCount: firstBuffer)
        let after = engine.status().reasons
        let risen = PacketReason.allCases.filter {
            after[$0]?.packetCount != before[$0]?.packetCount
        }
        try #require(risen.count == 1, "counted under \(risen.map(\.name))")
        let byteCount = (after[risen[0]]?.byteCount ?? 0) - (before[risen[0]]?.byteCount ?? 0)
        #expect(byteCount == UInt64(frame.count))
        #expect(run.verdict == (risen[0].isDrop ? 1 : 2))
        return risen[0]
    }

    /// Runs a frame until the shield passes it, a great many times at most.
    func runUntilPassed(_ frame: [UInt8]) throws {
        for _ in 0..<100_000 where try program.run(frame: frame).verdict == 2 { return }
        Issue.record("never passed")
    }

    /// A TCP segment from the attacker to the node.
    static func tcp(
        _ port: UInt16,
        from source: IPAddress = attacker,
        to destination: IPAddress = node,
        flags: PacketBuilder.TCPFlags = .ack
    ) -> [UInt8] {
        let ethernet = PacketBuilder.ethernet()
        let ip =
            source.isIPv4
            ? ethernet.ipv4(from: source, to: destination)
            : ethernet.ipv6(from: source, to: destination)
        return ip.tcp(port: port, flags: flags).frame()
    }
}
