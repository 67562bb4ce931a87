import Telemetry
import Testing

@Suite struct MetricRegistryTests {
    @Test func theTextHoldsEveryFamilyOnceWithItsSamplesTogether() {
        let registry = MetricRegistry()
        let requests = CounterDefinition("martlet_r_total", help: "R.")
        registry.samples(requests) { [MetricSample([MetricLabel("code", "2xx")], 3)] }
        registry.samples(CounterDefinition("martlet_open", help: "Open.", kind: .gauge)) {
            [MetricSample([], 0)]
        }
        registry.samples(requests) { [MetricSample([MetricLabel("code", "a\"b")], 1)] }
        #expect(
            registry.prometheusText() == """
                # HELP martlet_open Open.
                # TYPE martlet_open gauge
                martlet_open 0
                # HELP martlet_r_total R.
                # TYPE martlet_r_total counter
                martlet_r_total{code="2xx"} 3
                martlet_r_total{code="a\\\"b"} 1

                """
        )
    }

    @Test func histogramsEndWithInfinitySumAndCount() {
        let registry = MetricRegistry()
        registry.histograms(CounterDefinition("martlet_d_seconds", help: "D.")) {
            [HistogramSample([], buckets: [(2, 1), (4, 2)], sum: 7.5, count: 3)]
        }
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
