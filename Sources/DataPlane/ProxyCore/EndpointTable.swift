/// What one worker knows of an endpoint, across views.
struct EndpointState: BitwiseCopyable {
    /// The generation of the slot's owner; differs once the slot was given to another endpoint.
    var generation: UInt32 = 0
    /// Exchanges in hand.
    var activeCount: UInt32 = 0
    /// The most recently used idle connection, -1 for none.
    var idleHead: Int32 = -1
    var idleCount: Int32 = 0
}

/// Per-worker state of endpoints and clusters by their stable slots.
final class EndpointTable {
    private let states: Table<EndpointState>
    private let cursors: Table<UInt32>
    private let endpointMax: Int
    /// By the slots of endpoints whose clusters have policies; grows to the highest in use.
    private(set) var vitals = Table(count: 0, repeating: EndpointVitals())
    /// By the slots of clusters; grows to the highest in use.
    private(set) var clusters = Table(count: 0, repeating: ClusterState())

    init(_ limits: EngineLimits) {
        states = Table(count: limits.endpointMax, repeating: EndpointState())
        cursors = Table(count: limits.nameMax, repeating: 0)
        endpointMax = limits.endpointMax
    }

    /// Makes room for clusters, and for what is remembered of endpoints. Never shrinks.
    func grow(clusterCount: Int, endpointCount: Int) {
        if clusterCount > clusters.count {
            let grown = Table(
                count: max(clusterCount, clusters.count * 2),
                repeating: ClusterState()
            )
            for slot in 0..<clusters.count { grown[slot] = clusters[slot] }
            clusters = grown
        }
        let wanted = min(endpointCount, endpointMax)
        guard wanted > vitals.count else { return }
        let count = min(max(wanted, vitals.count * 2), endpointMax)
        let grown = Table(count: count, repeating: EndpointVitals())
        for slot in 0..<vitals.count { grown[slot] = vitals[slot] }
        vitals = grown
    }

    /// Makes what is remembered at a slot an endpoint's own: of an earlier owner nothing is left.
    ///
    /// - Returns: whether it had belonged to another.
    @discardableResult
    func adopt(_ slot: Int32, generation: UInt32) -> Bool {
        let earlier = vitals[Int(slot)]
        guard earlier.generation != generation else { return false }
        if earlier.cluster >= 0 {
            clusters[Int(earlier.cluster)].connectionCount &-= earlier.connectionCount
        }
        vitals[Int(slot)] = EndpointVitals(generation: generation)
        return true
    }

    /// Takes the slot of an endpoint that no view has any more from its connections: they end with
    /// the exchange in hand.
    func disown(_ slot: Int32) { states[Int(slot)].generation = 0 }

    /// How many slots there are.
    var count: Int { endpointMax }

    /// The state of an endpoint's slot.
    subscript(slot: Int32) -> EndpointState {
        get { states[Int(slot)] }
        set { states[Int(slot)] = newValue }
    }

    /// Makes the slot the endpoint's own: a new owner starts with nothing.
    ///
    /// - Returns: whether the slot had belonged to another; its idle connections are then closed
    ///   by the caller before.
    func isOwned(_ slot: Int32, by generation: UInt32) -> Bool {
        states[Int(slot)].generation == generation
    }

    /// The next turn of a cluster's round robin.
    func nextTurn(_ cluster: Int32) -> UInt32 {
        cursors[Int(cluster)] &+= 1
        return cursors[Int(cluster)]
    }
}
