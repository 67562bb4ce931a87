import Synchronization

/// One bound of the agent, as `/config` shows it.
package struct Limit: Sendable {
    /// Such as `http.headByteLimit`.
    package let name: String
    /// What is counted: `bytes`, `connections`, `seconds`, `entries`.
    package let unit: String
    /// The bound.
    package let value: Double
    /// Why there is one, and what happens to what is over it: one sentence.
    package let reason: String

    /// Makes a limit.
    package init(_ name: String, unit: String, value: some BinaryInteger, reason: String) {
        self.name = name
        self.unit = unit
        self.value = Double(value)
        self.reason = reason
    }

    /// Makes a limit of time.
    package init(_ name: String, time: Duration, reason: String) {
        self.name = name
        unit = "seconds"
        value = time / .seconds(1)
        self.reason = reason
    }

    /// The sample at `/metrics` that counts how often it was reached.
    package var counterName: String { "martlet_limit_reached_total{limit=\"\(name)\"}" }
}

/// A bound of the whole process, kept beside the code that holds to it, with its counter. Any
/// thread.
package final class CountedLimit: Sendable {
    /// The bound.
    package let limit: Limit
    private let counter = SharedCounter()

    /// Makes a limit that was never reached.
    package init(_ limit: Limit) { self.limit = limit }

    /// Counts that it was reached.
    package func reached() { counter.add() }

    /// How often it was reached.
    package var reachedCount: UInt64 { counter.value }
}

/// Every limit of the process with the count of how often it was reached. Any thread.
package final class LimitRegistry: Sendable {
    private struct Entry: Sendable {
        let limit: Limit
        let count: @Sendable () -> UInt64
    }

    private let entries = Mutex<[Entry]>([])

    /// Makes an empty registry.
    package init() {}

    /// Adds a limit that is counted elsewhere, such as by the workers.
    ///
    /// - Parameters:
    ///   - count: called on the control side, must not block.
    package func add(_ limit: Limit, count: @escaping @Sendable () -> UInt64) {
        entries.withLock { $0.append(Entry(limit: limit, count: count)) }
    }

    /// Adds a limit of the control side, and returns the counter for when it is reached.
    package func add(_ limit: Limit) -> SharedCounter {
        let counter = SharedCounter()
        add(limit) { counter.value }
        return counter
    }

    /// Adds a limit of the whole process.
    package func add(_ limit: CountedLimit) { add(limit.limit) { limit.reachedCount } }

    /// All limits by name, with how often each was reached.
    package func rows() -> [(limit: Limit, reachedCount: UInt64)] {
        entries.withLock(\.self)
            .map { ($0.limit, $0.count()) }
            .sorted { $0.0.name < $1.0.name }
    }

    /// Shows every limit under `martlet_limit_reached_total` and `martlet_limit_value`.
    package func publish(in registry: MetricRegistry) {
        let reached = CounterDefinition(
            "martlet_limit_reached_total",
            help: "How often each limit was reached."
        )
        registry.samples(reached) {
            self.rows().map {
                MetricSample([MetricLabel("limit", $0.limit.name)], Double($0.reachedCount))
            }
        }
        let values = CounterDefinition(
            "martlet_limit_value",
            help: "The value of each limit, in its own unit.",
            kind: .gauge
        )
        registry.samples(values) {
            self.rows().map { MetricSample([MetricLabel("limit", $0.limit.name)], $0.limit.value) }
        }
    }
}
