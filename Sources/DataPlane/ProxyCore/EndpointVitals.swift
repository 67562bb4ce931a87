import TrafficPolicy

/// What one worker remembers of an endpoint whose cluster has policies, across views.
struct EndpointVitals: BitwiseCopyable {
    /// The generation of the slot's owner.
    var generation: UInt32 = 0
    /// The cluster it belongs to; -1 before a view has said so.
    var cluster: Int32 = -1
    /// Said by health checks from outside the worker.
    var isUnhealthy = false
    /// Connections that are counted, idle ones included.
    var connectionCount: UInt32 = 0
    /// When its slow start began, monotonic nanoseconds; 0 for none.
    var slowStartNanoseconds: UInt64 = 0
    /// What it has gathered in the weighted round robin.
    var credit: Int64 = 0
    var outlier = OutlierRecord()
    var latency = PeakLatency()

    /// Whether requests go elsewhere while others can take them.
    var isUnavailable: Bool { isUnhealthy || outlier.isEjected }
}

/// What one worker remembers of a cluster, across views.
struct ClusterState: BitwiseCopyable {
    /// Requests bound to a connection.
    var activeCount: UInt32 = 0
    /// Of those, the ones whose connection is not made yet.
    var pendingCount: UInt32 = 0
    var connectionCount: UInt32 = 0
    var retryCount: UInt32 = 0
    /// Endpoints of the view in force that are unavailable, and those that are ejected.
    var unavailableCount: Int32 = 0
    var ejectedCount: Int32 = 0
    /// Something has changed: the counts above are to be taken anew.
    var isStale = true
    /// The earliest end of an ejection.
    var returnNanoseconds = UInt64.max
    /// Whether the node's zone comes first, what of the requests stays in it, of 65,536, and what all
    /// other zones can take besides their own.
    var spreadsByZone = false
    var localShare: UInt32 = 0
    var residualSum: UInt64 = 0
    /// When rates are looked at next; 0 before the first request.
    var judgeNanoseconds: UInt64 = 0
    /// Until when an endpoint is in its slow start.
    var slowUntilNanoseconds: UInt64 = 0
    /// Until when addresses of one family are passed over, and of which.
    var passesOverUntilNanoseconds: UInt64 = 0
    var passesOverIPv4 = false
}
