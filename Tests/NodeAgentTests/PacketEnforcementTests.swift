import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// From an offence to dropped packets: an attacker in a namespace of its own, the agent with its
/// packet layer in another.
@Suite(.serialized, .timeLimit(.minutes(2))) struct PacketEnforcementTests {
    private func withNode(_ body: (AgentProcess, () -> String) throws -> Void) throws {
        let agent = try AgentProcess()
        let node = Command.uniqueName("pkn")
        let attacker = Command.uniqueName("pka")
        defer {
            _ = Command.run(
                "ip netns exec \(node) \(AgentProcess.binary) cleanup --node \(agent.node)"
            )
            agent.remove()
            _ = Command.run("ip netns delete \(node); ip netns delete \(attacker)")
        }
        for command in [
            "ip netns add \(node)", "ip netns add \(attacker)",
            "ip link add eth0 netns \(node) type veth peer name eth0 netns \(attacker)",
            "ip -n \(node) address add 10.78.0.1/24 dev eth0",
            "ip -n \(attacker) address add 10.78.0.2/24 dev eth0",
            "ip -n \(node) link set eth0 up", "ip -n \(attacker) link set eth0 up",
            "ip -n \(node) link set lo up",
        ] { #expect(Command.run(command).status == 0, "\(command)") }
        var plan = EdgeRig.Plan(address: "10.78.0.1", workers: 1)
        plan.objects = EdgeRig.policy(UserspaceEnforcementTests.filters(dryRun: false))
        plan.configuration = "ingress: { accessLog: off }\nxdp: { interfaces: [eth0] }"
        plan.launcher = "ip netns exec \(node)"
        try EdgeRig.run(plan, in: agent) { rig in
            let options = "-m 2 -o /dev/null -w '%{http_code}' -H 'x-api-key: guess'"
            try body(agent) {
                Command.run("ip netns exec \(attacker) \(rig.command("/", options))").output
            }
        }
    }

    private func block(_ agent: AgentProcess) -> JSONValue? {
        let text = agent.ask("/blocks").split(separator: "\n").first.map(String.init) ?? ""
        return JSONText.parse(text)?["blocks"]?.elements.first
    }

    @Test func anOffendersPacketsAreDroppedAndCountedUntilTheOperatorLiftsTheBlock() throws {
        try withNode { agent, ask in
            #expect(ask() == "401", "\(agent.errors)")
            #expect(ask() == "401")
            #expect(ask() == "000")
            let first = try #require(block(agent), "\(agent.ask("/blocks"))")
            #expect(first["enforcedAt"]?.elements.contains(.string("xdp")) == true, "\(first)")
            #expect(first["source"]?.text?.hasPrefix("10.78.0.2") == true)
            let before = agent.ask("/metrics").split(separator: "\n").first {
                $0.hasPrefix("martlet_xdp_packets_total{reason=\"drop_block_listener\"}")
            }
            #expect(before != nil && before?.hasSuffix(" 0") == false, "\(agent.ask("/metrics"))")
            let command = "block remove 10.78.0.2 --socket \(agent.socket)"
            #expect(agent.martlet(command).status == 0)
            #expect(ask() == "401")
        }
    }
}
