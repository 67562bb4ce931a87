import Addressing

/// Connections in hand by entry point and by source, at entry points whose policy bounds them. Holds
/// no more than the worker's connections.
struct ConnectionTally {
    private struct Source: Hashable {
        var entry: Int32
        var address: IPAddress
    }

    /// Whether one more may come.
    enum Verdict {
        case admitted
        /// The entry point has its most.
        case entryIsFull
        /// The source has its most.
        case sourceIsFull
    }

    private var entries: [Int32: UInt32] = [:]
    private var sources: [Source: UInt32] = [:]

    /// Counts a connection, unless there are too many.
    ///
    /// - Parameters:
    ///   - connectionMax: at the entry point; 0 for no bound.
    ///   - perSourceMax: of the source at the entry point; 0 for no bound.
    mutating func admit(
        _ address: IPAddress,
        entry: Int32,
        connectionMax: UInt32,
        perSourceMax: UInt32
    ) -> Verdict {
        let source = Source(entry: entry, address: address)
        let count = entries[entry, default: 0]
        let own = sources[source, default: 0]
        guard connectionMax == 0 || count < connectionMax else { return .entryIsFull }
        guard perSourceMax == 0 || own < perSourceMax else { return .sourceIsFull }
        entries[entry] = count + 1
        sources[source] = own + 1
        return .admitted
    }

    /// A counted connection is gone.
    mutating func remove(_ address: IPAddress, entry: Int32) {
        let source = Source(entry: entry, address: address)
        let count = entries[entry, default: 1] - 1
        entries[entry] = count == 0 ? nil : count
        let own = sources[source, default: 1] - 1
        sources[source] = own == 0 ? nil : own
    }
}
