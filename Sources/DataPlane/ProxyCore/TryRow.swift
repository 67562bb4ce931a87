import MeshModel
import TrafficPolicy

/// What a share of an action has by policy: retries, times of its own, copies, second tries. Shares
/// without any have no row.
struct TryRow: BitwiseCopyable {
    var retry = RetryRule()
    /// Of one try, from sending to the end of the response; 0: none.
    var tryNanoseconds: UInt64 = 0
    /// Without progress from the endpoint, until a connection is made, an idle one's; 0: the
    /// node's own.
    var idleNanoseconds: UInt64 = 0
    var connectNanoseconds: UInt64 = 0
    var poolNanoseconds: UInt64 = 0
    /// How long the first try is waited for, and how many may follow; 0: no second tries.
    var hedgeNanoseconds: UInt64 = 0
    var hedgeMax: UInt8 = 0
    /// How the route ties clients to endpoints: a row of the view by which the exchange was routed;
    /// -1 for by the cluster's settings.
    var affinity: Int32 = -1
    /// Clusters that get copies: rows of the view by which the exchange was routed.
    var mirrors = RowRange()

    /// Compiles what a route and a cluster set.
    ///
    /// - Returns: `nil` when neither sets anything.
    init?(
        _ action: EngineAction,
        _ cluster: BackendSettings,
        _ listener: ListenerTimeouts,
        mirrors: RowRange
    ) {
        let settings = action.retries ?? cluster.retries
        if let settings { retry = RetryRule(settings) }
        let times = cluster.timeouts
        tryNanoseconds =
            (action.backendRequestTimeout ?? settings?.tryTimeout ?? times.request)?
            .wholeNanoseconds ?? 0
        idleNanoseconds = (times.streamIdle ?? listener.streamIdle)?.wholeNanoseconds ?? 0
        connectNanoseconds = times.connect?.wholeNanoseconds ?? 0
        poolNanoseconds = times.idle?.wholeNanoseconds ?? 0
        if let hedging = cluster.hedging {
            hedgeNanoseconds = max(hedging.delay.wholeNanoseconds, 1)
            hedgeMax = min(hedging.attempts, 3)
        }
        self.mirrors = mirrors
        let sum =
            tryNanoseconds | idleNanoseconds | connectNanoseconds | poolNanoseconds
            | hedgeNanoseconds
        guard sum != 0 || retry.attempts > 0 || mirrors.count > 0 || action.affinity != nil else {
            return nil
        }
    }

    init() {}
}

/// What an exchange with a `TryRow` keeps of its tries.
struct TryState: BitwiseCopyable {
    var row = TryRow()
    /// The view by which the exchange was routed.
    var viewVersion: UInt64 = 0
    /// Retries begun.
    var retryCount: UInt8 = 0
    /// A retry of its cluster's budget is taken.
    var holdsRetry = false
    /// The body as far as it was sent, to be sent again, and whether it is all of it.
    var body = ByteQueue()
    var bodyIsWhole = true
    /// When the try in hand ends, and when the next begins; 0 for none.
    var endNanoseconds: UInt64 = 0
    var retryNanoseconds: UInt64 = 0
    /// When the next second try begins, 0 for none; those begun; and whose it is.
    var hedgeNanoseconds: UInt64 = 0
    var hedgeCount: UInt8 = 0
    var hedges = InlineArray<3, ExchangeHandle>(repeating: .none)
    var principal = ExchangeHandle.none
    /// Its copies.
    var mirrors = MirrorList()
    var mirrorCount: UInt8 = 0
}
