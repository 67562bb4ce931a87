import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

@Suite struct PluginStatusTests {
    private static let filters = """
        sourceGuard: { config: { statuses: [401], offences: 2, window: "10s", block: "8s" } },
        keyAuth: { config: { keys: [{ name: x-api-key }] } }
        """

    @Test func whatPluginsDoIsInStatusAndMetrics() throws {
        var plan = EdgeRig.Plan(configuration: "ingress: { accessLog: off }")
        plan.objects = EdgeRig.policy(Self.filters.replacing("\n", with: " "))
        try EdgeRig.run(plan) { try expectCounted($0) }
    }

    private func expectCounted(_ rig: EdgeRig) throws {
        let agent = rig.agent
        for _ in 0..<2 {
            #expect(rig.status("/", "-H 'x-api-key: x'") == "401", "\(agent.errors)")
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
