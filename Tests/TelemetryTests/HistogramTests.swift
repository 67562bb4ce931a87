import Telemetry
import Testing

@Suite struct HistogramTests {
    private func histogram(_ exponents: ClosedRange<Int> = 2...10) -> Histogram {
        Histogram(
            "martlet_x_seconds",
            help: "X.",
            scale: 1e-9,
            shownExponents: exponents,
            workerCount: 2
        )
    }

    @Test func everyValueIsInsideItsBucket() {
        var values: [UInt64] = Array(0...1_000) + [.max, .max - 1]
        for exponent in 3..<64 {
            let power = UInt64(1) << UInt64(exponent)
            values += [power - 1, power, power + 1, power + power / 4, power + power / 2]
        }
        for value in values {
            let index = HistogramBuckets.index(of: value)
            let upper = HistogramBuckets.upperBound(index)
            #expect((0..<HistogramBuckets.count).contains(index))
            #expect(value < upper || upper == .max)
            if index > 0 { #expect(value >= HistogramBuckets.upperBound(index - 1)) }
        }
    }

    @Test func bucketsAreAtMostAQuarterWide() {
        for index in 4..<(HistogramBuckets.count - 1) {
            let lower = HistogramBuckets.upperBound(index - 1)
            let upper = HistogramBuckets.upperBound(index)
            #expect(upper - lower <= max(lower / 4, 1))
        }
    }

    @Test func quantilesAreWithinAQuarter() throws {
        let histogram = histogram()
        #expect(histogram.quantile(0.5) == nil)
        for value in 1...1_000 { histogram.block(worker: value % 2).record(UInt64(value)) }
        let median = try #require(histogram.quantile(0.5))
        let tail = try #require(histogram.quantile(0.99))
        #expect((500...640).contains(median))
        #expect((990...1_280).contains(tail))
        #expect(histogram.count == 1_000)
        #expect(histogram.sum == 500_500)
    }

    @Test func shownBucketsAreCumulative() {
        let histogram = histogram(2...4)
        for value: UInt64 in [0, 3, 4, 7, 8, 100] { histogram.block(worker: 0).record(value) }
        let shown = histogram.shownBuckets()
        #expect(shown.map(\.below) == [4, 8, 16])
        #expect(shown.map(\.count) == [2, 4, 5])
    }
}
