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

    /// A Gateway on port 8080 whose route refuses every key, and blocks who guesses twice.
    static func manifests(dryRun: Bool) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: g, namespace: ns }
        spec:
          gatewayClassName: martlet
          listeners: [{ name: web, port: 8080, protocol: HTTP }]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: s, namespace: ns }
        spec: { clusterIP: 10.9.9.9, ports: [{ port: 80 }] }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: r, namespace: ns }
        spec:
          parentRefs: [{ name: g }]
          rules: [{ backendRefs: [{ name: s, port: 80 }] }]
        ---
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: p, namespace: ns }
        spec:
          targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: r }
          filters:
            sourceGuard:
              config: { statuses: [401], offences: 2, block: "60s", dryRun: \(dryRun) }
            keyAuth:
              config: { keys: [{ name: x-api-key }] }
        """
    }

    /// An agent in a namespace of its own, and what a source's request is answered with.
    private func withAgent(
        dryRun: Bool,
        _ body: (AgentProcess, (String) -> String) throws -> Void
    ) throws {
        let agent = try AgentProcess()
        let namespace = Command.uniqueName("use")
        let place = "ip netns exec \(namespace)"
        defer {
            agent.remove()
            _ = Command.run("ip netns delete \(namespace)")
        }
        _ = Command.run("ip netns add \(namespace) && \(place) ip link set lo up")
        for source in [Self.attacker, Self.other] {
            _ = Command.run("\(place) ip address add \(source)/32 dev lo")
        }
        try agent.write("manifests/all.yaml", Self.manifests(dryRun: dryRun))
        let configuration = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 2
            capture: { enabled: false }
            xdp: { interfaces: [] }
            ingress: { accessLog: "\(agent.directory)/access.log" }
            status: { listen: "127.0.0.1:0" }
            """
        let pid = try #require(try agent.start(configuration, launcher: place))
        defer { _ = agent.stop(pid) }
        try body(agent) { source in
            Command.run(
                "\(place) curl -s -m 3 --interface \(source) -o /dev/null -w '%{http_code}' "
                    + "-H 'x-api-key: guess' http://127.0.0.1:8080/"
            ).output
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
