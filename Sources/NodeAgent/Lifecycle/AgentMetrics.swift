import Ingress
import LinuxSystem
import Telemetry
import XDPEngine

/// Metrics of the agent as a whole: build, snapshots, layers, the packet layer.
enum AgentMetrics {
    /// Shows them in a registry.
    static func publish(_ agent: Agent, in registry: MetricRegistry) {
        let build = CounterDefinition(
            "martlet_build_info",
            help: "Always 1, with the version.",
            kind: .gauge
        )
        registry.samples(build) {
            [MetricSample([MetricLabel("version", BuildInformation.version)], 1)]
        }
        let uptime = CounterDefinition(
            "martlet_uptime_seconds",
            help: "Since the agent started.",
            kind: .gauge
        )
        registry.samples(uptime) { [MetricSample([], agent.uptimeSeconds)] }
        let snapshot = CounterDefinition(
            "martlet_snapshot_version",
            help: "The newest snapshot.",
            kind: .gauge
        )
        registry.samples(snapshot) { [MetricSample([], Double(agent.progress.latestVersion))] }
        publishLayers(agent.progress, in: registry)
        publishPackets(agent.engine, in: registry)
        publishHealth(agent.health.board, in: registry)
        publishCertificates(agent.ingress, in: registry)
        let suppressed = CounterDefinition(
            "martlet_log_suppressed_total",
            help: "Log messages held back because the same one came too often."
        )
        registry.samples(suppressed) { [MetricSample([], Double(agent.log.suppressedCount))] }
    }

    private static func publishLayers(_ progress: LayerProgress, in registry: MetricRegistry) {
        let applied = CounterDefinition(
            "martlet_layer_applied_version",
            help: "The snapshot each layer has applied.",
            kind: .gauge
        )
        registry.samples(applied) {
            progress.rows.map {
                MetricSample([MetricLabel("layer", $0.layer.rawValue)], Double($0.row.version))
            }
        }
        let faults = CounterDefinition(
            "martlet_layer_faults",
            help: "What each layer could not apply of its last snapshot.",
            kind: .gauge
        )
        registry.samples(faults) {
            progress.rows.map {
                MetricSample([MetricLabel("layer", $0.layer.rawValue)], Double($0.row.faults.count))
            }
        }
    }

    private static func publishCertificates(
        _ ingress: IngressLayer,
        in registry: MetricRegistry
    ) {
        let left = CounterDefinition(
            "martlet_certificate_expiry_seconds",
            help: "Until a certificate in use expires; negative once it has.",
            kind: .gauge
        )
        registry.samples(left) {
            let now = Double(Clock.wallNanoseconds())
            return ingress.certificateEnds.withLock(\.self).sorted { $0.key < $1.key }.map {
                MetricSample([MetricLabel("secret", $0.key.path)], (Double($0.value) - now) / 1e9)
            }
        }
    }

    private static func publishHealth(_ board: HealthBoard, in registry: MetricRegistry) {
        let probes = CounterDefinition(
            "martlet_health_probes_total",
            help: "Probes of endpoints, by what they found."
        )
        registry.samples(probes) {
            let content = board.content
            return [("success", content.successCount), ("failure", content.failureCount)].map {
                MetricSample([MetricLabel("result", $0.0)], Double($0.1))
            }
        }
        let unhealthy = CounterDefinition(
            "martlet_health_endpoints_unhealthy",
            help: "Endpoints that their probes find unhealthy now.",
            kind: .gauge
        )
        registry.samples(unhealthy) {
            [MetricSample([], Double(board.content.isHealthy.values.count { !$0 }))]
        }
    }

    private static func publishPackets(_ engine: XDPEngine, in registry: MetricRegistry) {
        let packets = CounterDefinition(
            "martlet_xdp_packets_total",
            help: "Packets at the packet layer, by what became of them."
        )
        registry.samples(packets) {
            engine.status().reasons.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                MetricSample([MetricLabel("reason", $0.key.name)], Double($0.value.packetCount))
            }
        }
        let policies = CounterDefinition(
            "martlet_xdp_policy_packets_total",
            help: "Packets that each SourcePolicy dropped or, in a dry run, would have."
        )
        registry.samples(policies) {
            engine.status().policies.sorted { $0.key < $1.key }.map {
                MetricSample([MetricLabel("policy", $0.key)], Double($0.value.packetCount))
            }
        }
        let blocks = CounterDefinition(
            "martlet_xdp_blocks",
            help: "Entries of the packet layer's block maps.",
            kind: .gauge
        )
        registry.samples(blocks) { [MetricSample([], Double(engine.status().blockCount))] }
    }
}
