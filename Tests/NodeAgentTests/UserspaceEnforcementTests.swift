import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// From an offence to a refused connection, on a node without a packet layer.
@Suite(.serialized, .timeLimit(.minutes(2))) struct UserspaceEnforcementTests {
    private static let attacker = "198.18.0.9"
    private static let other = "198.18.0.10"

    /// Filters that refuse every key, and block who guesses twice.
    static func filters(dryRun: Bool) -> String {
        let settings = "statuses: [401], offences: 2, block: 60s, dryRun: \(dryRun)"
        return "sourceGuard: { config: { \(settings) } }, \(keys)"
    }

    private static let keys = "keyAuth: { config: { keys: [{ name: x-api-key }] } }"

    /// What happens on a node without a packet layer.
    private struct Node {
        let rig: EdgeRig
        /// The namespace's launcher.
        let place: String

        var agent: AgentProcess { rig.agent }

        /// The status that a source's request with a guessed key is answered with.
        func ask(_ source: String) -> String {
            let options = "--interface \(source) -o /dev/null -w '%{http_code}'"
            return Command.run(
                "\(place) \(rig.command("/", "\(options) -H 'x-api-key: guess'"))"
            ).output
        }
    }

    /// Runs an agent in a namespace of its own.
    private func withNode(_ objects: String, _ body: (Node) throws -> Void) throws {
        let namespace = Command.uniqueName("use")
        let place = "ip netns exec \(namespace)"
        defer { _ = Command.run("ip netns delete \(namespace)") }
        _ = Command.run("ip netns add \(namespace) && \(place) ip link set lo up")
        for source in [Self.attacker, Self.other] {
            _ = Command.run("\(place) ip address add \(source)/32 dev lo")
        }
        var plan = EdgeRig.Plan(objects: objects, launcher: place)
        plan.configuration += "\nxdp: { interfaces: [] }"
        try EdgeRig.run(plan) { try body(Node(rig: $0, place: place)) }
    }

    private func withAgent(
        dryRun: Bool,
        _ body: (AgentProcess, (String) -> String) throws -> Void
    ) throws {
        try withNode(EdgeRig.policy(Self.filters(dryRun: dryRun))) { node in
            try body(node.agent) { node.ask($0) }
        }
    }

    /// What a source sends to abuse its connection; it then waits for the end.
    enum Abuse: String, CaseIterable, Sendable {
        case rapidReset = "ask and reset"
        case pings = "ping"
        case continuations = "continue"
        case slowHead = "slow head"
    }

    private static let shortTimes = """
        ---
        apiVersion: martlet.mesh/v1alpha1
        kind: ListenerPolicy
        metadata: { name: times, namespace: shop }
        spec:
          targetRefs: [{ name: edge }]
          timeouts: { head: 500ms, body: 500ms }
        """

    private static let abuser = """
        import socket, struct, sys
        source, port, kind = sys.argv[1:]
        get = b"\\x82\\x86\\x84\\x41\\x01h"
        def frame(type, flags, stream, payload):
            return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", type, flags, stream) + payload
        streams = range(1, 1201, 2)
        sent = {
            "ask and reset": b"".join(
                frame(1, 5, s, get) + frame(3, 0, s, struct.pack(">I", 8)) for s in streams),
            "ping": frame(6, 0, 0, bytes(8)) * 1500,
            "continue": frame(1, 1, 1, get) + frame(9, 0, 1, b"") * 100,
        }
        client = socket.create_connection(("127.0.0.1", int(port)), source_address=(source, 0))
        try:
            if kind == "slow head":
                client.sendall(b"GET / HTTP/1.1\\r\\nHo")
            else:
                client.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"") + sent[kind])
            while client.recv(65536): pass
        except OSError: pass
        """

    @Test(arguments: Abuse.allCases)
    func whoAbusesTheProtocolIsRefusedAndOthersAreServed(abuse: Abuse) throws {
        let settings = "statuses: [], offences: 1, block: 60s"
        let filters = "sourceGuard: { config: { \(settings) } }, \(Self.keys)"
        try withNode(EdgeRig.policy(filters, isOfGateway: true) + Self.shortTimes) { node in
            #expect(node.ask(Self.attacker) == "401", "\(node.agent.errors)")
            try node.agent.write("abuser.py", Self.abuser)
            let program = "/usr/bin/python3 \(node.agent.directory)/abuser.py"
            let end = Command.run(
                "\(node.place) timeout 60 \(program) \(Self.attacker) \(node.rig.port) "
                    + "'\(abuse.rawValue)'"
            )
            #expect(end.status == 0, "its connection is ended: \(end.output)")
            #expect(node.agent.waits { node.agent.ask("/blocks").contains(Self.attacker) })
            #expect(node.agent.waits { node.ask(Self.attacker) == "000" })
            for _ in 0..<10 { #expect(node.ask(Self.other) == "401", "others are served") }
        }
    }

    @Test func anOffendersConnectionsAreRefusedUntilTheOperatorLiftsTheBlock() throws {
        try withAgent(dryRun: false) { agent, ask in
            #expect(ask(Self.attacker) == "401", "\(agent.errors)")
            #expect(ask(Self.attacker) == "401")
            #expect(agent.waits { ask(Self.attacker) == "000" }, "every worker knows of it")
            #expect(ask(Self.other) == "401", "others are served")
            #expect(agent.waits { agent.ask("/blocks").contains(Self.attacker) })
            let text = agent.ask("/blocks").split(separator: "\n").first.map(String.init) ?? ""
            let block = try #require(JSONText.parse(text)?["blocks"]?.elements.first)
            #expect(block["enforcedAt"]?.elements.compactMap(\.text) == ["userspace"], "\(text)")
            let command = "block remove \(Self.attacker) --socket \(agent.socket)"
            #expect(agent.martlet(command).status == 0)
            #expect(ask(Self.attacker) == "401")
        }
    }

    @Test func aDryRunCountsAndServes() throws {
        try withAgent(dryRun: true) { agent, ask in
            for _ in 0..<8 { #expect(ask(Self.attacker) == "401", "\(agent.errors)") }
            let counted = agent.waits {
                agent.ask("/metrics").split(separator: "\n").contains {
                    $0.hasPrefix("martlet_") && $0.contains("dry_run") && !$0.hasSuffix(" 0")
                }
            }
            #expect(counted)
            let isNamed = agent.waits {
                let log = (try? FileSystem.readText("\(agent.directory)/access.log")) ?? ""
                return log.split(separator: "\n").count { $0.contains("\"plugin\":\"keyAuth") } == 8
            }
            #expect(isNamed, "the log names the plugin that answered")
        }
    }
}
