import DataPlane
import Telemetry

/// Metrics of the plugins, by name.
enum PluginMetrics {
    private static let rows:
        [(name: String, help: String, read: @Sendable (FilterCounts) -> UInt64)] =
            [
                ("martlet_plugin_runs_total", "Calls of a plugin's phases.", { $0.runs }),
                (
                    "martlet_plugin_local_replies_total", "Exchanges a plugin answered.",
                    { $0.replies }
                ),
                (
                    "martlet_plugin_errors_total",
                    "Calls that threw or asked for what their phase does not allow.", { $0.errors }
                ),
                (
                    "martlet_plugin_budget_overruns_total",
                    "Calls past their time budget, and pauses past their deadline.", { $0.overruns }
                ),
                (
                    "martlet_plugin_blocks_asked_total", "Blocks a plugin asked for.",
                    { $0.blocksAsked }
                ),
            ]

    /// Shows them in a registry.
    static func publish(_ totals: EngineTotals, in registry: MetricRegistry) {
        for row in rows {
            registry.samples(CounterDefinition(row.name, help: row.help)) {
                totals.plugins.sorted { $0.key < $1.key }.map {
                    MetricSample([MetricLabel("plugin", $0.key)], Double(row.read($0.value)))
                }
            }
        }
        let refused = CounterDefinition(
            "martlet_plugin_blocks_refused_total",
            help: "Blocks a plugin asked for that were refused, by reason."
        )
        registry.samples(refused) {
            totals.plugins.sorted { $0.key < $1.key }.flatMap { name, counts in
                BlockRefusal.allCases.map { reason in
                    MetricSample(
                        [MetricLabel("plugin", name), MetricLabel("reason", reason.name)],
                        Double(counts.blocksRefused(reason))
                    )
                }
            }
        }
    }
}
