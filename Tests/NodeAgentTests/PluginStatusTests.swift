import Addressing
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

@Suite struct PluginStatusTests {
    private func manifests(_ port: UInt16) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        ---
        apiVersion: v1
        kind: Namespace
        metadata: { name: ns }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: g, namespace: ns }
        spec:
          gatewayClassName: martlet
          listeners: [{ name: web, port: \(port), protocol: HTTP }]
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
              config: { statuses: [401], offences: 2, window: "10s", block: "8s" }
            keyAuth:
              config: { keys: [{ name: x-api-key }] }
        """
    }

    @Test func whatPluginsDoIsInStatusAndMetrics() throws {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: probe.rawValue).port
        SystemCall.close(probe.release())
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write("manifests/all.yaml", manifests(port))
        let configuration = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 2
            capture: { enabled: false }
            ingress: { accessLog: off }
            status: { listen: "127.0.0.1:0" }
            """
        let pid = try #require(try agent.start(configuration))
        defer { _ = agent.stop(pid) }
        let url = "http://127.0.0.1:\(port)/"
        for _ in 0..<2 {
            let answer = Command.run(
                "curl -s -o /dev/null -w '%{http_code}' -H 'x-api-key: x' \(url)"
            )
            #expect(answer.output == "401", "\(agent.errors)")
        }
        let text = agent.ask("/status").split(separator: "\n").first.map(String.init) ?? ""
        let plugins = try #require(JSONText.parse(text))["plugins"]?.elements ?? []
        let keyAuth = try #require(plugins.first { $0["name"]?.text == "keyAuth" })
        #expect(keyAuth["runs"]?.int == 2 && keyAuth["localReplies"]?.int == 2)
        #expect(keyAuth["errors"]?.int == 0 && keyAuth["budgetOverruns"]?.int == 0)
        let sourceGuard = try #require(plugins.first { $0["name"]?.text == "sourceGuard" })
        #expect(sourceGuard["blocksAsked"]?.int == 1)
        #expect(sourceGuard["blocksRefused"]?["neverBlocked"]?.int == 1)
        #expect(sourceGuard["blocksRefused"]?["overQuota"]?.int == 0)
        let metrics = agent.ask("/metrics")
        for line in [
            #"martlet_plugin_runs_total{plugin="keyAuth"} 2"#,
            #"martlet_plugin_local_replies_total{plugin="keyAuth"} 2"#,
            #"martlet_plugin_errors_total{plugin="keyAuth"} 0"#,
            #"martlet_plugin_budget_overruns_total{plugin="keyAuth"} 0"#,
            #"martlet_plugin_blocks_asked_total{plugin="sourceGuard"} 1"#,
            #"martlet_plugin_blocks_refused_total{plugin="sourceGuard",reason="neverBlocked"} 1"#,
            #"martlet_plugin_blocks_refused_total{plugin="sourceGuard",reason="overQuota"} 0"#,
        ] { #expect(metrics.contains(line + "\n"), "\(line)") }
    }
}
