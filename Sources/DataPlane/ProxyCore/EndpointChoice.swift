import Addressing

/// One choice of an endpoint: what of a cluster's endpoints may be taken. Indexes count from the
/// cluster's first endpoint.
struct EndpointChoice: BitwiseCopyable {
    /// Draws at random before the endpoints are gone through in order.
    static let drawMax = 16
    /// Points or entries that are passed over before the endpoints are gone through in order.
    static let walkMax = 4_096

    let policy: BalancingRow
    let cluster: Int32
    /// Where the cluster's endpoints begin in the view.
    let first: Int
    /// How many it has.
    let count: Int
    /// Monotonic nanoseconds.
    let now: UInt64
    /// The part that is chosen from.
    var lower = 0
    var upper: Int
    var isSubset = false
    /// Whether the request names a part that there is.
    var isNamed = true
    var fallsBack = true
    /// Whether unavailable endpoints are passed over.
    var checksHealth = false
    /// Whether health is not looked at because too few endpoints are left.
    var isPanic = false
    /// Whether endpoints in their slow start get less.
    var weighs = false
    /// Whether only endpoints with an idle connection can be taken.
    var needsIdle = false
    /// Whether connections of each endpoint are bounded.
    var checksConnections = false
    /// Whether a bound of connections has kept an endpoint out.
    var metBreaker = false
    /// The endpoint that has just failed.
    var avoided: SocketAddress?

    init(_ row: ClusterRow, _ policy: BalancingRow, cluster: Int32, now: UInt64) {
        self.policy = policy
        self.cluster = cluster
        self.now = now
        first = Int(row.endpoints.first)
        count = Int(row.endpoints.count)
        upper = count
    }

    func contains(_ index: Int) -> Bool { index >= lower && index < upper }

    /// The next index of the part, around its end.
    func after(_ index: Int) -> Int { index + 1 < upper ? index + 1 : lower }

    /// Whether not all are chosen from.
    var isPart: Bool { lower > 0 || upper < count }

    mutating func takeAll() {
        lower = 0
        upper = count
    }
}
