import Synchronization

/// One label of a metric.
package struct MetricLabel: Hashable, Sendable {
    /// The label's name.
    package let name: String
    /// Its value, from a bounded set.
    package let value: String

    /// Makes a label.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One value of a family that is read when it is shown.
package struct MetricSample: Sendable {
    /// The labels that tell it apart within its family.
    package var labels: [MetricLabel]
    /// The value, in the family's unit.
    package var value: Double

    /// Makes a sample.
    package init(_ labels: [MetricLabel] = [], _ value: Double) {
        self.labels = labels
        self.value = value
    }
}

/// A histogram that is kept elsewhere, as it is when it is shown.
package struct HistogramSample: Sendable {
    /// The labels that tell it apart within its family.
    package var labels: [MetricLabel]
    /// Upper bounds with the count of values at or below each, in the family's unit.
    package var buckets: [(bound: Double, count: UInt64)]
    /// The sum of all values.
    package var sum: Double
    /// How many values there are.
    package var count: UInt64

    /// Makes a sample.
    package init(
        _ labels: [MetricLabel],
        buckets: [(bound: Double, count: UInt64)],
        sum: Double,
        count: UInt64
    ) {
        self.labels = labels
        self.buckets = buckets
        self.sum = sum
        self.count = count
    }
}

/// Every metric of the process, and their text for Prometheus. Any thread.
package final class MetricRegistry: Sendable {
    private enum Source: Sendable {
        case samples(CounterDefinition, @Sendable () -> [MetricSample])
        case histograms(CounterDefinition, @Sendable () -> [HistogramSample])
    }

    private let sources = Mutex<[Source]>([])

    /// Makes an empty registry.
    package init() {}

    /// Adds a family whose samples are read when it is shown: gauges, and counters kept elsewhere.
    ///
    /// - Parameters:
    ///   - definition: the family.
    ///   - read: called on the control side, must not block.
    package func samples(
        _ definition: CounterDefinition,
        read: @escaping @Sendable () -> [MetricSample]
    ) {
        sources.withLock { $0.append(.samples(definition, read)) }
    }

    /// Adds a family of histograms that are kept elsewhere.
    ///
    /// - Parameters:
    ///   - definition: the family's name and help.
    ///   - read: called on the control side, must not block.
    package func histograms(
        _ definition: CounterDefinition,
        read: @escaping @Sendable () -> [HistogramSample]
    ) {
        sources.withLock { $0.append(.histograms(definition, read)) }
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    package func prometheusText() -> String {
        var writer = PrometheusWriter()
        for source in sources.withLock(\.self) {
            switch source {
            case .samples(let definition, let read):
                writer.declare(definition)
                for sample in read() { writer.add(definition, sample.labels, sample.value) }
            case .histograms(let definition, let read):
                for sample in read() { writer.add(definition, sample) }
            }
        }
        return writer.text()
    }
}
