/// What one family of metrics means.
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
    /// Counter or gauge.
    package var kind: Kind

    /// Makes a definition; by default of a counter.
    package init(_ name: String, help: String, kind: Kind = .counter) {
        self.name = name
        self.help = help
        self.kind = kind
    }
}
