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

    init(_ limits: EngineLimits) {
        states = Table(count: limits.endpointMax, repeating: EndpointState())
        cursors = Table(count: limits.nameMax, repeating: 0)
    }

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
