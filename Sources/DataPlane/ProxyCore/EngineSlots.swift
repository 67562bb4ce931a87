import Addressing
import MeshModel

/// Gives stable small numbers to entry points, listeners, clusters and endpoints, so that
/// per-worker state survives the swap of a view. One compiler owns it, on the control side.
package struct EngineSlots: Sendable {
    private struct EndpointKey: Hashable {
        var cluster: ClusterID
        var address: SocketAddress
    }

    private var entries: Interner<String>
    private var listeners: Interner<String>
    private var clusters: Interner<ClusterID>
    private var endpoints: Interner<EndpointKey>

    /// Makes an empty table.
    package init(limits: EngineLimits = EngineLimits()) {
        entries = Interner(limit: limits.nameMax)
        listeners = Interner(limit: limits.nameMax)
        clusters = Interner(limit: limits.nameMax)
        endpoints = Interner(limit: limits.endpointMax)
    }

    /// How often a number was asked for and none was left.
    package var refusals: SlotRefusals {
        SlotRefusals(
            entries: entries.refusedCount,
            listeners: listeners.refusedCount,
            clusters: clusters.refusedCount,
            endpoints: endpoints.refusedCount
        )
    }

    /// Begins a compilation: what is not asked for until `sweep` is given up there.
    package mutating func begin() {
        entries.begin()
        listeners.begin()
        clusters.begin()
        endpoints.begin()
    }

    /// Frees what the last compilation did not ask for.
    package mutating func sweep() {
        entries.sweep()
        listeners.sweep()
        clusters.sweep()
        endpoints.sweep()
    }

    /// The slot of an entry point; `nil` when all are taken.
    package mutating func entry(_ name: String) -> Int32? { entries.slot(of: name)?.slot }

    /// The slot of a listener; `nil` when all are taken.
    package mutating func listener(_ name: String) -> Int32? { listeners.slot(of: name)?.slot }

    /// The slot of a cluster; `nil` when all are taken.
    package mutating func cluster(_ id: ClusterID) -> Int32? { clusters.slot(of: id)?.slot }

    /// The slot of a cluster's endpoint; `nil` when all are taken.
    package mutating func endpoint(
        _ cluster: ClusterID,
        _ address: SocketAddress
    ) -> EngineEndpoint? {
        let key = EndpointKey(cluster: cluster, address: address)
        guard let (slot, generation) = endpoints.slot(of: key) else { return nil }
        return EngineEndpoint(address: address, slot: slot, generation: generation)
    }

    /// The slot that a cluster's endpoint has now; `nil` when it has none.
    package func present(_ cluster: ClusterID, _ address: SocketAddress) -> EngineEndpoint? {
        let key = EndpointKey(cluster: cluster, address: address)
        guard let (slot, generation) = endpoints.present(key) else { return nil }
        return EngineEndpoint(address: address, slot: slot, generation: generation)
    }
}

/// How often a number was asked for and none was left, by what it was for.
package struct SlotRefusals: Sendable {
    /// Entry points.
    package var entries: UInt64 = 0
    /// Listeners.
    package var listeners: UInt64 = 0
    /// Clusters.
    package var clusters: UInt64 = 0
    /// Endpoints.
    package var endpoints: UInt64 = 0
    /// Listeners, routes and clusters without a row of counts.
    package var trafficRows: UInt64 = 0

    /// Makes counts.
    package init(
        entries: UInt64 = 0,
        listeners: UInt64 = 0,
        clusters: UInt64 = 0,
        endpoints: UInt64 = 0
    ) {
        self.entries = entries
        self.listeners = listeners
        self.clusters = clusters
        self.endpoints = endpoints
    }
}

/// Numbers for keys: the same key keeps its number while it is asked for in every round; a number
/// given up is handed out again under a new generation.
struct Interner<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var slot: Int32
        var generation: UInt32
        var round: UInt64
    }

    private let limit: Int
    private var entries: [Key: Entry] = [:]
    private var free: [Entry] = []
    private var nextSlot: Int32 = 0
    private var round: UInt64 = 0
    /// Keys without a number, each counted once a round.
    private(set) var refusedCount: UInt64 = 0
    private var refused: Set<Key> = []

    init(limit: Int) { self.limit = limit }

    mutating func begin() {
        round += 1
        refused = []
    }

    mutating func slot(of key: Key) -> (slot: Int32, generation: UInt32)? {
        if var entry = entries[key] {
            entry.round = round
            entries[key] = entry
            return (entry.slot, entry.generation)
        }
        var entry: Entry
        if let reused = free.popLast() {
            entry = reused
            entry.generation += 1
        } else {
            guard Int(nextSlot) < limit else {
                if refused.insert(key).inserted { refusedCount += 1 }
                return nil
            }
            entry = Entry(slot: nextSlot, generation: 1, round: round)
            nextSlot += 1
        }
        entry.round = round
        entries[key] = entry
        return (entry.slot, entry.generation)
    }

    func present(_ key: Key) -> (slot: Int32, generation: UInt32)? {
        entries[key].map { ($0.slot, $0.generation) }
    }

    mutating func sweep() {
        for (key, entry) in entries where entry.round != round {
            entries[key] = nil
            free.append(entry)
        }
    }
}
