import DataPlane
import Telemetry

/// One endpoint's counts, over all workers.
struct EndpointCounts: Sendable {
    /// `NAMESPACE/NAME:PORT`.
    let cluster: String
    /// Its address and port.
    let address: String
    var row = EndpointRow()

    var labels: [MetricLabel] {
        [MetricLabel("cluster", cluster), MetricLabel("endpoint", address)]
    }
}

/// Metrics of endpoints and of connections to them.
enum EndpointMetrics {
    /// Shows them in a registry.
    static func publish(_ totals: EngineTotals, in registry: MetricRegistry) {
        let values: [(String, String, CounterDefinition.Kind, @Sendable (EndpointRow) -> UInt64)] =
            [
                ("requests_total", "Tries of requests that ended.", .counter, { $0.requestCount }),
                (
                    "errors_total", "Tries without a response, or with one of 500 or above.",
                    .counter,
                    { $0.errorCount }
                ),
                ("active_requests", "Requests in hand.", .gauge, { $0.activeCount }),
            ]
        for (suffix, help, kind, read) in values {
            let definition = CounterDefinition("martlet_endpoint_\(suffix)", help: help, kind: kind)
            registry.samples(definition) {
                totals.endpoints.map { MetricSample($0.labels, Double(read($0.row))) }
            }
        }
        let seconds = CounterDefinition(
            "martlet_endpoint_request_seconds_total",
            help: "Sum of times from a try's beginning to its end."
        )
        registry.samples(seconds) {
            totals.endpoints.map { MetricSample($0.labels, Double($0.row.nanoseconds) / 1e9) }
        }
        let connects = CounterDefinition(
            "martlet_cluster_connect_duration_seconds",
            help: "Time to make a connection to an endpoint, by cluster."
        )
        registry.histograms(connects) {
            totals.connects.map { histogram([MetricLabel("cluster", $0.name)], $0.times) }
        }
    }

    private static func histogram(_ labels: [MetricLabel], _ times: TimeRow) -> HistogramSample {
        var count: UInt64 = 0
        var buckets: [(bound: Double, count: UInt64)] = []
        for (index, bound) in TrafficRow.durationBounds.enumerated() {
            count &+= times.buckets[index]
            buckets.append((Double(bound) / 1e9, count))
        }
        return HistogramSample(
            labels,
            buckets: buckets,
            sum: Double(times.sum) / 1e9,
            count: times.count
        )
    }
}
