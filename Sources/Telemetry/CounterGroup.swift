/// What one cell of a counter block means.
package struct CounterDefinition: Sendable {
    /// Counts up only, or goes both ways.
    package enum Kind: String, Sendable {
        case counter
        case gauge
    }

    /// The family, `martlet_…`, with its base unit last (`_total`, `_bytes`, `_seconds`).
    package var name: String
    /// One sentence.
    package var help: String
    /// Fixed labels; several cells of one family differ in them.
    package var labels: [MetricLabel]
    /// Counter or gauge.
    package var kind: Kind

    /// Makes a definition; by default of a counter without labels.
    package init(
        _ name: String,
        help: String,
        labels: [MetricLabel] = [],
        kind: Kind = .counter
    ) {
        self.name = name
        self.help = help
        self.labels = labels
        self.kind = kind
    }
}

/// Counters with one block per worker, summed when they are read.
package final class CounterGroup: Sendable {
    /// The meaning of each cell, by index.
    package let definitions: [CounterDefinition]
    private let blocks: [CounterBlock]

    /// Makes a group.
    ///
    /// - Parameters:
    ///   - definitions: at most `CounterBlock.cellCount`.
    ///   - workerCount: how many writers there are.
    package init(_ definitions: [CounterDefinition], workerCount: Int) {
        precondition(definitions.count <= CounterBlock.cellCount)
        self.definitions = definitions
        blocks = (0..<workerCount).map { _ in CounterBlock() }
    }

    /// The block that worker 0..<`workerCount` writes.
    package func block(worker: Int) -> CounterBlock { blocks[worker] }

    /// The sum over all workers.
    package func total(_ index: Int) -> UInt64 {
        blocks.reduce(0) { $0 &+ $1.value(index) }
    }
}
