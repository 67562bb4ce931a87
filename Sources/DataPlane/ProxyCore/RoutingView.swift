import Addressing
import MeshModel
import TrafficPolicy

/// A run of rows in a table of the view.
struct RowRange: BitwiseCopyable {
    var first: Int32 = 0
    var count: Int32 = 0
}

/// A run of bytes in the view's text.
struct TextRange: BitwiseCopyable, Equatable {
    var start: Int32 = 0
    var byteCount: Int32 = 0
}

/// An entry point. Rows of absent slots have `isPresent` false.
struct EntryRow: BitwiseCopyable {
    var isPresent = false
    var isEdge = false
    var listener: Int32 = -1
    var abuseChain: Int32 = -1
    /// The host for every name, -1 for none.
    var anyHost: Int32 = -1
    /// The age of its connections, 0 for any.
    var ageNanoseconds: UInt64 = 0
    /// Connections at a time, in all and of one source, per worker; 0 for no bound.
    var connectionMax: UInt32 = 0
    var connectionPerSourceMax: UInt32 = 0
    var http2 = HTTP2EntryRow()
    /// What its clients are waited for, where its policies say.
    var times = ListenerTimes()
    /// When its connections begin by a header of the PROXY protocol, and whose: a run of prefixes.
    var proxyProtocol = ProxyAcceptance.off
    var proxyTrusted = RowRange()
}

/// How long clients of an entry point are waited for; 0 stands for the node's own.
struct ListenerTimes: BitwiseCopyable {
    var headNanoseconds: UInt64 = 0
    var bodyNanoseconds: UInt64 = 0
    var idleNanoseconds: UInt64 = 0

    init() {}

    init(_ timeouts: ListenerTimeouts) {
        headNanoseconds = timeouts.head?.wholeNanoseconds ?? 0
        bodyNanoseconds = timeouts.body?.wholeNanoseconds ?? 0
        idleNanoseconds = timeouts.idle?.wholeNanoseconds ?? 0
    }

    /// Whether any is not the node's own.
    var isSet: Bool { headNanoseconds | bodyNanoseconds | idleNanoseconds != 0 }
}

/// When a connection begins by a header of the PROXY protocol.
enum ProxyAcceptance: UInt8, BitwiseCopyable {
    case off
    case optional
    case required

    init(_ acceptance: ProxyProtocolSettings.Acceptance) {
        switch acceptance {
        case .off: self = .off
        case .optional: self = .optional
        case .required: self = .required
        }
    }
}

/// A slot of the open-addressed table of host names.
struct HostSlot: BitwiseCopyable {
    var hash: UInt64 = 0
    var entry: Int32 = -1
    var isWildcard = false
    var text = TextRange()
    var host: Int32 = -1
}

/// What the policies of a virtual host's listener set apart from the defaults.
struct HostRules: OptionSet, BitwiseCopyable {
    let rawValue: UInt8

    /// WebSocket is not passed on.
    static let refusesWebSocket = HostRules(rawValue: 1 << 0)
    /// CONNECT makes tunnels.
    static let allowsConnect = HostRules(rawValue: 1 << 1)
    /// Requests are judged or changed by the host's edge row.
    static let hasEdge = HostRules(rawValue: 1 << 2)
}

/// A virtual host.
struct HostRow: BitwiseCopyable {
    var listener: Int32
    var rules: HostRules = []
    /// Time without a byte after which a tunnel ends; 0 for the node's own.
    var streamIdleNanoseconds: UInt64 = 0
    /// Its edge row; the first is the one of all defaults.
    var edge: Int32 = 0
    /// Rules of regular expressions, in the order they are tried.
    var patterns = RowRange()
    /// Whether any rule has an exact path.
    var hasExactPaths = false
    /// Whether no rule looks at anything but the path.
    var isUnconditional = true
}

/// A slot of the open-addressed table of paths.
struct PathSlot: BitwiseCopyable {
    var hash: UInt64 = 0
    var host: Int32 = -1
    var isPrefix = false
    var text = TextRange()
    var rules = RowRange()
}

/// The end of a path's element: the hash of all before it.
struct PathBorder: BitwiseCopyable {
    var hash: RouteHash
    var byteCount: Int32 = 0
}

/// A rule: conditions besides host and path, sorted by precedence within its path.
struct RuleRow: BitwiseCopyable {
    /// Empty for every method.
    var method = TextRange()
    var headers = RowRange()
    var query = RowRange()
    var action: Int32
}

/// A header or query condition.
struct ConditionRow: BitwiseCopyable {
    var name: TextRange
    var value: TextRange
    /// The regular expression in place of the value; -1 for none.
    var pattern: Int32 = -1
}

/// What is done with a request.
struct ActionRow: BitwiseCopyable {
    var backends: RowRange
    var weightSum: UInt32
    var requestOperations: RowRange
    var responseOperations: RowRange
    var requestTimeoutNanoseconds: UInt64
    var chain: Int32
    var routeRow: Int32
    var routeName: TextRange
    /// What becomes of the target, and its policy of cross-origin requests; -1 for none.
    var change: Int32
    var crossOrigin: Int32
    /// The cluster where it is all that is to be known of the backends: there is one, without
    /// changes and policies; else -1.
    var plainCluster: Int32 = -1
}

/// A share of an action.
struct BackendRow: BitwiseCopyable {
    /// The sum of the weights up to and including this one.
    var cumulativeWeight: UInt32
    /// -1: answers 500.
    var cluster: Int32
    var requestOperations: RowRange
    var responseOperations: RowRange
    /// What it has by policy; -1: nothing.
    var tries: Int32 = -1
    /// What becomes of the target in place of the action's; -1: nothing else.
    var change: Int32 = -1

    /// Its cluster, where neither it nor the action whose only share it is has anything besides;
    /// else -1.
    func plainCluster(of action: ActionRow) -> Int32 {
        let operationCount =
            requestOperations.count + responseOperations.count
            + action.requestOperations.count + action.responseOperations.count
        let isPlain = operationCount == 0 && tries < 0 && change < 0 && action.change < 0
        return isPlain ? cluster : -1
    }
}

/// A change to a header.
struct OperationRow: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        case set
        case add
        case remove
    }

    var kind: Kind
    var id: HeaderID
    var name: TextRange
    var value: TextRange
}

/// A cluster. Rows of absent slots have no endpoints and `isPresent` false.
struct ClusterRow: BitwiseCopyable {
    var isPresent = false
    /// How its policies choose; -1 without: in turn.
    var balancing: Int32 = -1
    /// Whether its endpoints may be sent what came as early data.
    var takesEarlyData = false
    /// Of the header of the PROXY protocol in front of its connections; 0 for none.
    var proxyVersion: UInt8 = 0
    var retryBudget = RetryBudget()
    /// The number of its `UpstreamTransport`; -1 for HTTP/1.1 in cleartext.
    var transport: Int32 = -1
    var endpoints = RowRange()
    var name = TextRange()
}

/// The compiled configuration of one worker: flat tables of plain values, no references inside.
///
/// Look-ups by host and path are hashed; precedence is that of the Gateway API (GEP-724,
/// HTTPRouteMatch): exact path, regular expression (the longest first), longest prefix, method, most headers, most query parameters, then
/// the order given.
package struct RoutingView: ~Copyable {
    /// Counts up with each view.
    package let version: UInt64
    let entries: FlatTable<EntryRow>
    let hostSlots: FlatTable<HostSlot>
    let hosts: FlatTable<HostRow>
    let pathSlots: FlatTable<PathSlot>
    let prefixDepthMax: Int
    let rules: FlatTable<RuleRow>
    let conditions: FlatTable<ConditionRow>
    let actions: FlatTable<ActionRow>
    let backends: FlatTable<BackendRow>
    let tries: FlatTable<TryRow>
    let mirrors: FlatTable<MirrorRow>
    let operations: FlatTable<OperationRow>
    let clusters: FlatTable<ClusterRow>
    let endpoints: FlatTable<EngineEndpoint>
    /// The generation in use of each endpoint slot; 0 for slots without endpoint.
    let endpointGenerations: FlatTable<UInt32>
    let balancing: FlatTable<BalancingRow>
    let hashKeys: FlatTable<HashKeyRow>
    let ringPoints: FlatTable<HashRing.Point>
    let maglevEntries: FlatTable<UInt16>
    let parts: FlatTable<PartRow>
    let zones: FlatTable<ZoneRow>
    let affinities: FlatTable<AffinityRow>
    let affinityTags: FlatTable<AffinityTagRow>
    let edges: FlatTable<EdgeRow>
    let prefixes: FlatTable<IPPrefix>
    let changes: FlatTable<ChangeRow>
    let crossOrigins: FlatTable<CrossOriginRow>
    let origins: FlatTable<OriginRow>
    let patterns: FlatTable<PatternRow>
    let patternPaths: FlatTable<PatternPathRow>
    let patternClasses: FlatTable<UInt8>
    let patternTransitions: FlatTable<UInt16>
    let patternAccepts: FlatTable<Bool>
    let listenerNames: FlatTable<TextRange>
    let text: FlatTable<UInt8>
    /// Where the prefixes of the path in hand are noted, besides the one that is empty.
    let borders = Table<PathBorder>(
        count: RoutingView.prefixDepthLimit + 2,
        repeating: PathBorder(hash: RouteHash())
    )
    /// What was found for requests before, so that the same need not be searched for again.
    let hostMemos = Table<HostMemo>(count: HostMemo.count, repeating: HostMemo())
    let pathMemos = Table<PathMemo>(count: PathMemo.count, repeating: PathMemo())
    private let arena: FlatArena

    /// Bytes of memory held.
    package var byteCount: Int { arena.byteCount }

    /// The empty view, before the first configuration.
    package init() {
        self.init(version: 0, RoutingViewBuilder())
    }

    /// Compiles a configuration. Control side.
    package init(version: UInt64, _ configuration: EngineConfiguration) {
        self.init(version: version, RoutingViewBuilder(configuration))
    }

    init(version: UInt64, _ builder: consuming RoutingViewBuilder) {
        self.version = version
        var arena = FlatArena()
        entries = arena.table(builder.entries)
        hostSlots = arena.table(builder.hostSlots())
        hosts = arena.table(builder.hosts)
        pathSlots = arena.table(builder.pathSlots())
        prefixDepthMax = builder.prefixDepthMax
        rules = arena.table(builder.rules)
        conditions = arena.table(builder.conditions)
        actions = arena.table(builder.actions)
        backends = arena.table(builder.backends)
        tries = arena.table(builder.tries)
        mirrors = arena.table(builder.mirrors)
        operations = arena.table(builder.operations)
        clusters = arena.table(builder.clusters)
        endpoints = arena.table(builder.endpoints)
        endpointGenerations = arena.table(builder.endpointGenerations())
        balancing = arena.table(builder.balancing.rows)
        hashKeys = arena.table(builder.balancing.hashKeys)
        ringPoints = arena.table(builder.balancing.points)
        maglevEntries = arena.table(builder.balancing.entries)
        parts = arena.table(builder.balancing.parts)
        zones = arena.table(builder.balancing.zones)
        affinities = arena.table(builder.balancing.affinities)
        affinityTags = arena.table(builder.balancing.tags)
        edges = arena.table(builder.edges)
        prefixes = arena.table(builder.prefixes)
        changes = arena.table(builder.routes.changes)
        crossOrigins = arena.table(builder.routes.crossOrigins)
        origins = arena.table(builder.routes.origins)
        patterns = arena.table(builder.routes.patterns)
        patternPaths = arena.table(builder.routes.patternPaths)
        patternClasses = arena.table(builder.routes.patternClasses)
        patternTransitions = arena.table(builder.routes.patternTransitions)
        patternAccepts = arena.table(builder.routes.patternAccepts)
        listenerNames = arena.table(builder.listenerNames)
        // Padded, so that every text can be read in whole words.
        text = arena.table(builder.text + [UInt8](repeating: 0, count: 8))
        self.arena = arena
    }

    /// All text of the view.
    var wholeText: RawSpan {
        @_lifetime(immortal)
        get { text.bytes(0, text.count) }
    }

    /// The bytes of a text.
    @_lifetime(immortal)
    func bytes(_ range: TextRange) -> RawSpan {
        text.bytes(Int(range.start), Int(range.byteCount))
    }
}
