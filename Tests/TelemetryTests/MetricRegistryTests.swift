import Telemetry
import Testing

@Suite struct MetricRegistryTests {
    @Test func theTextHoldsEveryFamilyOnceWithItsSamplesTogether() {
        let registry = MetricRegistry()
        let code = { MetricLabel("code", $0) }
        let group = registry.counters(
            [
                CounterDefinition("martlet_r_total", help: "R.", labels: [code("2xx")]),
                CounterDefinition("martlet_open", help: "Open.", kind: .gauge),
                CounterDefinition("martlet_r_total", help: "R.", labels: [code("5xx")]),
            ],
            workerCount: 1
        )
        group.block(worker: 0).add(0, 3)
        group.block(worker: 0).add(2)
        #expect(
            registry.prometheusText() == """
                # HELP martlet_open Open.
                # TYPE martlet_open gauge
                martlet_open 0
                # HELP martlet_r_total R.
                # TYPE martlet_r_total counter
                martlet_r_total{code="2xx"} 3
                martlet_r_total{code="5xx"} 1

                """
        )
    }

    @Test func tablesShowOneLineARowAndColumn() {
        let registry = MetricRegistry()
        let column = CounterDefinition(
            "martlet_t_total",
            help: "T.",
            labels: [MetricLabel("way", "in")]
        )
        let table = registry.table(labelNames: ["route"], columns: [column], workerCount: 1)
        table.cells(worker: 0).add(table.base(for: ["a\"b"]), 2)
        let text = registry.prometheusText()
        #expect(text.contains("martlet_t_total{route=\"other\",way=\"in\"} 0\n"))
        #expect(text.contains("martlet_t_total{route=\"a\\\"b\",way=\"in\"} 2\n"))
    }

    @Test func histogramsEndWithInfinitySumAndCount() {
        let registry = MetricRegistry()
        let histogram = registry.add(
            Histogram(
                "martlet_d_seconds",
                help: "D.",
                scale: 0.5,
                shownExponents: 2...3,
                workerCount: 1
            )
        )
        for value: UInt64 in [1, 5, 9] { histogram.block(worker: 0).record(value) }
        #expect(
            registry.prometheusText() == """
                # HELP martlet_d_seconds D.
                # TYPE martlet_d_seconds histogram
                martlet_d_seconds_bucket{le="2"} 1
                martlet_d_seconds_bucket{le="4"} 2
                martlet_d_seconds_bucket{le="+Inf"} 3
                martlet_d_seconds_sum 7.5
                martlet_d_seconds_count 3

                """
        )
    }

    @Test func samplesAreReadWhenShown() {
        let registry = MetricRegistry()
        let counter = SharedCounter()
        registry.samples(CounterDefinition("martlet_s_total", help: "Two\nlines.")) {
            [MetricSample([MetricLabel("k", "v")], Double(counter.value))]
        }
        counter.add(9)
        let text = registry.prometheusText()
        #expect(text.contains("# HELP martlet_s_total Two\\nlines.\n"))
        #expect(text.contains("martlet_s_total{k=\"v\"} 9\n"))
    }

    @Test func limitsCountAndAreShown() {
        let registry = MetricRegistry()
        let limits = LimitRegistry()
        limits.publish(in: registry)
        let limit = Limit("b.max", unit: "bytes", value: 5, reason: "Bounded.")
        let counter = limits.add(limit)
        limits.add(Limit("a.max", unit: "bytes", value: 6, reason: "Bounded.")) { 41 }
        counter.add()
        #expect(limits.rows().map(\.limit.name) == ["a.max", "b.max"])
        #expect(limits.rows().map(\.reachedCount) == [41, 1])
        let text = registry.prometheusText()
        #expect(text.contains("martlet_limit_reached_total{limit=\"b.max\"} 1\n"))
        #expect(text.contains("martlet_limit_value{limit=\"a.max\"} 6\n"))
    }
}
