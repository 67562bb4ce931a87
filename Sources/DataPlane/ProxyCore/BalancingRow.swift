import MeshModel
import TrafficPolicy

/// How a cluster's policies choose among its endpoints. Clusters without policies have none of it.
struct BalancingRow: BitwiseCopyable {
    /// The algorithm; a plain value of `BalancingAlgorithm`.
    enum Algorithm: UInt8, BitwiseCopyable {
        case roundRobin
        case leastRequest
        case peakEWMA
        case ringHash
        case maglev
        case random

        init(_ algorithm: BalancingAlgorithm) {
            switch algorithm {
            case .roundRobin: self = .roundRobin
            case .leastRequest: self = .leastRequest
            case .peakEWMA: self = .peakEWMA
            case .ringHash: self = .ringHash
            case .maglev: self = .maglev
            case .random: self = .random
            }
        }
    }

    var algorithm = Algorithm.roundRobin
    var panicPercent: UInt8 = 0
    /// Whether the endpoints are addresses of one name, of both families.
    var racesFamilies = false
    /// Bounds what an endpoint chosen by hash has in hand; 0 for no bound.
    var hashLoadPercent: UInt32 = 0
    var slowStartNanoseconds: UInt64 = 0
    var hashKeys = RowRange()
    /// Of the ring's points or the table's entries.
    var table = RowRange()
    /// Endpoints of the own zone, the first ones; 0 without preference.
    var localCount: Int32 = 0
    /// Whether those are the ones that hints give to the zone, which then get all.
    var followsHints = false
    /// With fewer endpoints zones do not matter.
    var zoneEndpointMin: UInt32 = 0
    var localNodeCount: Int32 = 0
    var nodeCount: Int32 = 0
    /// The other zones: rows of the view's `zones`.
    var zones = RowRange()
    var subset = SubsetRow()
    var affinity = AffinityRow()
    var outliers = OutlierPolicy()
    var breakers = BreakerRow()
}

/// What a hash is made of.
struct HashKeyRow: BitwiseCopyable {
    enum Source: UInt8, BitwiseCopyable {
        case address
        case header
        case cookie
        case query
        case path
    }

    var source: Source
    var id = HeaderID.other
    var name = TextRange()
}

/// By which request field a part of the endpoints is named.
struct SubsetRow: BitwiseCopyable {
    var isActive = false
    var fallsBack = true
    var id = HeaderID.other
    var name = TextRange()
    /// Rows of the view's `parts`, by hash.
    var parts = RowRange()
}

/// The endpoints of another zone: a run of them, counted from the cluster's first.
struct ZoneRow: BitwiseCopyable {
    var endpoints: RowRange
    var nodeCount: Int32
}

/// A part of a cluster's endpoints: a run of them, counted from the cluster's first.
struct PartRow: BitwiseCopyable {
    /// Of the text that names it.
    var hash: UInt64
    var endpoints: RowRange
}

/// What ties clients to endpoints.
struct AffinityRow: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case none
        case cookie
        case header
        /// By the hash of the client's address.
        case source
    }

    var kind = Kind.none
    /// The header's or the cookie's name.
    var id = HeaderID.other
    var name = TextRange()
    /// What stands before and after the token in the response's field.
    var before = TextRange()
    var after = TextRange()
    /// How long a tie holds; 0 for as long as the endpoint lives.
    var timeoutSeconds: UInt32 = 0
    /// How long it holds without being used; 0 for no bound.
    var idleSeconds: UInt32 = 0
    /// Rows of the view's `affinityTags`, by tag.
    var tags = RowRange()
}

/// An endpoint by what names it to clients.
struct AffinityTagRow: BitwiseCopyable {
    var tag: UInt64
    /// Counted from the cluster's first.
    var endpoint: Int32
}

/// Bounds of what is under way to a cluster; 0 for none.
struct BreakerRow: BitwiseCopyable {
    var connections: UInt32 = 0
    var pending: UInt32 = 0
    var requests: UInt32 = 0
    var connectionsPerEndpoint: UInt32 = 0

    init() {}

    init(_ settings: BreakerSettings) {
        connections = settings.connections
        pending = settings.pending
        requests = settings.requests
        connectionsPerEndpoint = settings.connectionsPerEndpoint
    }

    var isActive: Bool { connections | pending | requests | connectionsPerEndpoint != 0 }
}

extension OutlierPolicy {
    /// In the engine's units.
    init(_ settings: OutlierSettings) {
        self.init()
        isActive = true
        consecutiveErrors = settings.consecutiveErrors
        consecutiveGatewayErrors = settings.consecutiveGatewayErrors
        intervalNanoseconds = max(settings.interval.wholeNanoseconds, 1_000_000)
        ejectionNanoseconds = settings.ejectionTime.wholeNanoseconds
        ejectionNanosecondsMax = settings.ejectionTimeMax.wholeNanoseconds
        ejectedPercentMax = settings.ejectedPercentMax
        successRateDeviation = settings.successRateDeviation
        failurePercent = settings.failurePercent
        latencyPercent = settings.latencyPercent
        requestMin = settings.requestMin
    }
}

extension BackendSettings {
    /// Whether an endpoint is chosen in another way than in turn, or anything is counted for it.
    var needsBalancing: Bool {
        balancing.algorithm != .roundRobin || balancing.slowStart != nil || balancing.prefersZone
            || balancing.subset != nil || affinity != nil || healthCheck != nil || outliers != nil
            || BreakerRow(breakers).isActive
    }
}
