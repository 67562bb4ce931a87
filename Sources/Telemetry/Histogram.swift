import Synchronization

/// The buckets of a log-linear histogram of 64-bit values: four to each power of two, so that no
/// bucket is wider than a quarter of its lower bound. Values up to 3 have a bucket each.
package enum HistogramBuckets {
    /// How many buckets there are.
    package static let count = 252

    /// The bucket of a value.
    @inlinable package static func index(of value: UInt64) -> Int {
        guard value >= 4 else { return Int(value) }
        let exponent = 63 - value.leadingZeroBitCount
        let sub = Int(truncatingIfNeeded: value >> UInt64(exponent - 2)) & 3
        return (exponent - 1) * 4 + sub
    }

    /// The smallest value that is above every value of the bucket; saturates in the last one.
    package static func upperBound(_ index: Int) -> UInt64 {
        guard index >= 4 else { return UInt64(index) + 1 }
        let exponent = index / 4 + 1
        let sub = UInt64(index % 4)
        let width = UInt64(1) << UInt64(exponent - 2)
        let lower = (4 + sub) * width
        let (upper, overflow) = lower.addingReportingOverflow(width)
        return overflow ? .max : upper
    }
}

/// One worker's part of a histogram, with that worker as the one writer.
package final class HistogramBlock: Sendable {
    @usableFromInline let buckets: InlineArray<252, Atomic<UInt64>>
    @usableFromInline let sumCell = Atomic<UInt64>(0)

    /// Makes an empty block.
    package init() { buckets = InlineArray { _ in Atomic(0) } }

    /// Counts a value. Only the block's one writer calls this.
    @inlinable package func record(_ value: UInt64) {
        let index = HistogramBuckets.index(of: value)
        let before = buckets[index].load(ordering: .relaxed)
        buckets[index].store(before &+ 1, ordering: .relaxed)
        let sum = sumCell.load(ordering: .relaxed)
        sumCell.store(sum &+ value, ordering: .relaxed)
    }

    func count(_ index: Int) -> UInt64 { buckets[index].load(ordering: .relaxed) }

    var sum: UInt64 { sumCell.load(ordering: .relaxed) }
}

/// A histogram with one block per worker, summed when it is read.
package final class Histogram: Sendable {
    /// The family, `martlet_…_seconds` or `martlet_…_bytes`.
    package let name: String
    /// One sentence.
    package let help: String
    /// Fixed labels.
    package let labels: [MetricLabel]
    /// What one unit of a recorded value is in the family's base unit: 1e-9 where nanoseconds are
    /// recorded and seconds are shown.
    package let scale: Double
    /// The bounds shown, in recorded values: powers of two. Fewer lines than buckets.
    package let shownExponents: ClosedRange<Int>
    private let blocks: [HistogramBlock]

    /// Makes a histogram.
    ///
    /// - Parameters:
    ///   - shownExponents: bounds 2^first...2^last are shown; within 2...62.
    ///   - workerCount: how many writers there are.
    package init(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        scale: Double,
        shownExponents: ClosedRange<Int>,
        workerCount: Int
    ) {
        precondition(shownExponents.lowerBound >= 2 && shownExponents.upperBound <= 62)
        self.name = name
        self.help = help
        self.labels = labels
        self.scale = scale
        self.shownExponents = shownExponents
        blocks = (0..<workerCount).map { _ in HistogramBlock() }
    }

    /// The block that worker 0..<`workerCount` writes.
    package func block(worker: Int) -> HistogramBlock { blocks[worker] }

    /// Values recorded.
    package var count: UInt64 {
        (0..<HistogramBuckets.count).reduce(0) { $0 &+ bucket($1) }
    }

    /// The sum of all values recorded, wrapping.
    package var sum: UInt64 { blocks.reduce(0) { $0 &+ $1.sum } }

    /// The upper bound of the bucket that holds the value of rank `fraction` (0...1); `nil` while
    /// nothing has been recorded.
    package func quantile(_ fraction: Double) -> UInt64? {
        let total = count
        guard total > 0 else { return nil }
        let rank = UInt64((Double(total) * fraction).rounded(.up))
        var seen: UInt64 = 0
        for index in 0..<HistogramBuckets.count {
            seen &+= bucket(index)
            if seen >= max(rank, 1) { return HistogramBuckets.upperBound(index) }
        }
        return HistogramBuckets.upperBound(HistogramBuckets.count - 1)
    }

    /// The lines to show: cumulative counts below each power of two, in recorded values.
    package func shownBuckets() -> [(below: UInt64, count: UInt64)] {
        var result: [(below: UInt64, count: UInt64)] = []
        var cumulative: UInt64 = 0
        var next = 0
        for exponent in shownExponents {
            let bound = UInt64(1) << UInt64(exponent)
            while next < HistogramBuckets.count, HistogramBuckets.upperBound(next) <= bound {
                cumulative &+= bucket(next)
                next += 1
            }
            result.append((bound, cumulative))
        }
        return result
    }

    var definition: CounterDefinition { CounterDefinition(name, help: help) }

    var sample: HistogramSample {
        HistogramSample(
            labels,
            buckets: shownBuckets().map { (Double($0.below) * scale, $0.count) },
            sum: Double(sum) * scale,
            count: count
        )
    }

    private func bucket(_ index: Int) -> UInt64 { blocks.reduce(0) { $0 &+ $1.count(index) } }
}
