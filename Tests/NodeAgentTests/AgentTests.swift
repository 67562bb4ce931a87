import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

@Suite(.serialized) struct AgentTests {
    private func configuration(_ agent: AgentProcess, _ more: String = "") -> String {
        """
        node: { name: \(agent.node), addresses: [127.0.0.1] }
        sources: { manifests: manifests }
        workers: 1
        capture: { enabled: false }
        status: { listen: "127.0.0.1:0" }
        \(more)
        """
    }

    private func withAgent(
        _ more: String = "",
        manifests: String = "",
        _ body: (AgentProcess, Int32) throws -> Void
    ) throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write("manifests/all.yaml", manifests)
        let pid = try #require(try agent.start(configuration(agent, more)))
        defer { _ = agent.stop(pid) }
        try body(agent, pid)
    }

    @Test(arguments: [
        "/healthz", "/readyz", "/metrics", "/status", "/config", "/objects", "/blocks",
        "/explain?request=GET%20http://h/", "/explain?packet=x", "/loglevel", "/",
    ])
    func everyPathOfTheContractAnswers(_ path: String) throws {
        try withAgent { agent, _ in
            let answer = agent.ask(path)
            #expect(answer.hasSuffix("\n200"), "\(answer) \(agent.errors)")
        }
    }

    @Test func statusTellsWhatIsSo() throws {
        let manifests = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: { name: g, namespace: default }
            spec:
              gatewayClassName: martlet
              listeners: [{ name: web, port: 0, protocol: HTTP }]
            """
        try withAgent(manifests: manifests) { agent, _ in
            let text = agent.ask("/status").split(separator: "\n").first.map(String.init) ?? ""
            let status = try #require(JSONText.parse(text))
            #expect(status["node"]?["name"]?.text == agent.node)
            #expect(status["ready"] == .bool(true))
            #expect(status["snapshot"]?["version"]?.int ?? 0 >= 1)
            #expect(status["sources"]?.elements.first?["kind"]?.text == "manifests")
            #expect(status["identities"] == .null && status["tunnels"] == .null)
            let off = status["snapshot"]?["layers"]?.elements.filter { $0["on"] == .bool(false) }
            #expect(off?.compactMap { $0["layer"]?.text } == ["capture", "xdp"])
            #expect(off?.allSatisfy { $0["why"]?.text?.isEmpty == false } == true)
            let objects = agent.ask("/objects")
            #expect(objects.contains("\"accepted\":false"), "\(objects)")
        }
    }

    @Test func settingsWithoutEffectAreTakenAndSaidSo() throws {
        let more = """
            ingress: { addressPool: [127.10.0.0/24], announce: none }
            mesh: { trustDomain: td.example }
            """
        try withAgent(more) { agent, _ in
            let text = agent.ask("/status").split(separator: "\n").first.map(String.init) ?? ""
            let node = try #require(JSONText.parse(text)?["node"])
            let keys = node["settingsWithoutEffect"]?.elements.compactMap { $0["key"]?.text }
            #expect(keys == ["ingress.addressPool", "mesh.trustDomain"])
            #expect(agent.errors.contains("ingress.addressPool: 127.10.0.0/24 has no effect"))
            let table = agent.martlet("status --socket \(agent.socket)").output
            #expect(table.contains("mesh.trustDomain  "), "\(table)")
        }
    }

    @Test func operatorsBlocksAreListedAndLiftedAndTheNeverListHolds() throws {
        try withAgent { agent, _ in
            let socket = "--socket \(agent.socket)"
            let add = agent.martlet("block add 192.0.2.7 --ttl 30s --reason noise \(socket)")
            #expect(add.status == 0, "\(add.output)")
            let listed = agent.martlet("block list \(socket)").output
            #expect(listed.contains("192.0.2.7/32") && listed.contains("noise"))
            for source in ["127.0.0.1", "0.0.0.0/0", "::/0"] {
                let refused = agent.martlet("block add \(source) --ttl 30s \(socket)")
                #expect(refused.status == 1, "\(source): \(refused.output)")
            }
            #expect(agent.martlet("block remove 192.0.2.7 \(socket)").status == 0)
            #expect(agent.martlet("block remove 192.0.2.7 \(socket)").status == 1)
            #expect(agent.martlet("block list \(socket)").output == "no blocks\n")
        }
    }

    @Test func aBlockEndsWithItsTime() throws {
        try withAgent { agent, _ in
            let socket = "--socket \(agent.socket)"
            _ = agent.martlet("block add 192.0.2.9 --ttl 1s \(socket)")
            _ = Command.run("sleep 1.3")
            #expect(agent.martlet("block list \(socket)").output == "no blocks\n")
        }
    }

    @Test func commandsAskTheAgent() throws {
        try withAgent { agent, _ in
            let socket = "--socket \(agent.socket)"
            let table = agent.martlet("status \(socket)")
            #expect(table.status == 0 && table.output.hasPrefix("node \(agent.node): ready"))
            let json = agent.martlet("status -o json \(socket)").output
            #expect(JSONText.parse(json)?["ready"] == .bool(true))
            let packet = agent.martlet("explain packet 192.0.2.1 \(socket)")
            #expect(packet.status == 1 && packet.output.contains("expected a decision"))
            let request = agent.martlet("explain request GET / \(socket)")
            #expect(request.status == 1 && request.output.contains("expected a URL such as"))
        }
    }

    @Test func theSecondAgentOfANodeIsRefused() throws {
        try withAgent { agent, pid in
            let second = agent.martlet("agent --config \(agent.directory)/agent.yaml")
            #expect(second.status == 1)
            #expect(
                second.output.contains("only agent of node \(agent.node), found process \(pid)")
            )
            #expect(agent.martlet("cleanup --node \(agent.node)").status == 1)
            #expect(agent.ask("/healthz").hasSuffix("200"))
        }
    }

    @Test func aKilledAgentLeavesNoStaleLock() throws {
        try withAgent { agent, pid in
            _ = Command.run("kill -9 \(pid); sleep 0.2")
            let again = try #require(try agent.start(configuration(agent)))
            #expect(agent.ask("/readyz").hasSuffix("200"))
            #expect(agent.stop(again))
        }
    }

    @Test func drainTurnsTheNodeUnreadyAndTermEndsIt() throws {
        try withAgent { agent, pid in
            #expect(agent.ask("/drain", "-X POST").hasSuffix("202"))
            let ready = agent.ask("/readyz")
            #expect(ready.hasSuffix("503") && ready.contains("drains"))
            #expect(agent.stop(pid))
            #expect(FileSystem.kind(of: agent.socket) == nil)
        }
    }

    @Test func theLogLevelChangesWhileItRuns() throws {
        try withAgent { agent, _ in
            #expect(agent.ask("/loglevel?level=debug", "-X PUT").hasPrefix(#"{"level":"debug"}"#))
            #expect(agent.ask("/loglevel").hasPrefix(#"{"level":"debug"}"#))
        }
    }

    @Test func aMissingDirectoryOrInterfaceIsSaidInOneLine() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write(
            "agent.yaml",
            "sources: { manifests: nowhere }\nnode: { name: \(agent.node) }"
        )
        let refused = agent.martlet("agent --config \(agent.directory)/agent.yaml")
        #expect(refused.status == 1)
        #expect(
            refused.output == "sources.manifests: expected a directory, found none: "
                + "\(agent.directory)/nowhere\n"
        )
        try withAgent("xdp: { interfaces: [nosuch0] }") { agent, _ in
            #expect(agent.errors.contains("nosuch0"), "\(agent.errors)")
            #expect(agent.ask("/healthz").hasSuffix("200"))
        }
    }

    @Test func missingPrivilegesTurnLayersOffAndEachIsSaidInOneLine() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        let text = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            status: { listen: "127.0.0.1:0" }
            xdp: { interfaces: [lo], mode: generic, pinDirectory: \(agent.directory)/bpf }
            """
        let dropped = "-net_admin,-sys_admin,-bpf,-perfmon,-sys_resource"
        let launcher = "setpriv --bounding-set \(dropped) --inh-caps -all"
        let pid = try #require(try agent.start(text, launcher: launcher))
        defer { _ = agent.stop(pid) }
        let lines = agent.errors.split(separator: "\n")
        for said in [
            "capture is off: expected the capabilities to enter pods, found none of "
                + "CAP_NET_ADMIN, CAP_SYS_ADMIN",
            "xdp is off: the shield could not be loaded",
        ] {
            #expect(lines.count { $0.hasSuffix(said) } == 1, "\(agent.errors)")
        }
        #expect(agent.ask("/readyz").hasSuffix("200"))
    }

    @Test func cleanupTakesBackWhatAKilledAgentLeftInAPod() throws {
        let agent = try AgentProcess()
        let namespace = Command.uniqueName("agn")
        defer {
            _ = Command.run("ip netns del \(namespace)")
            agent.remove()
        }
        try #require(Command.run("ip netns add \(namespace)").status == 0)
        let inside = "ip netns exec \(namespace)"
        _ = Command.run("\(inside) ip link set lo up")
        _ = Command.run("\(inside) ip addr add 10.211.7.1/32 dev lo")
        try agent.write(
            "manifests/pod.yaml",
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: p
              namespace: default
              annotations:
                martlet.mesh/capture: enabled
                martlet.mesh/netns: \(namespace)
            spec: { containers: [{ name: c, image: i }] }
            status: { podIPs: [{ ip: 10.211.7.1 }] }
            """
        )
        let configuration = configuration(agent).replacing(
            "capture: { enabled: false }",
            with: "capture: { enabled: true }"
        )
        let pid = try #require(try agent.start(configuration))
        for _ in 0..<100 where !agent.ask("/status").contains("\"state\":\"captured\"") {
            _ = Command.run("sleep 0.1")
        }
        #expect(agent.ask("/status").contains("\"state\":\"captured\""), "\(agent.errors)")
        _ = Command.run("kill -9 \(pid); sleep 0.2")
        #expect(Command.run("\(inside) ip rule").output.contains("0x1000"))
        let outcome = agent.martlet("cleanup --node \(agent.node)")
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(!Command.run("\(inside) ip rule").output.contains("0x1000"))
        #expect(!Command.run("\(inside) ip -6 rule").output.contains("0x1000"))
        #expect(!Command.run("\(inside) nft list tables").output.contains("martlet"))
        #expect(FileSystem.kind(of: "/run/martlet/\(agent.node)") == nil)
    }
}
