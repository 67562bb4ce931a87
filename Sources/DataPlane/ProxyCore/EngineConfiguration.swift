import Addressing
import MeshModel

/// What the engine is to do, as values: the input of a `RoutingView`. Slots are stable numbers from
/// `EngineSlots`; they index per-worker state that outlives views.
package struct EngineConfiguration: Sendable {
    /// Entry points by slot; slots without one are absent.
    package var entries: [Int32: EngineEntry] = [:]
    /// Clusters by slot.
    package var clusters: [Int32: EngineCluster] = [:]
    /// Listener names by slot, for logs.
    package var listenerNames: [Int32: String] = [:]

    /// Makes an empty configuration.
    package init() {}
}

/// What stands behind one listening socket, or one captured destination: virtual hosts.
package struct EngineEntry: Sendable {
    /// Whether the peer is outside the cluster: forwarding headers are then set anew.
    package var isEdge: Bool
    /// Virtual hosts; each pattern once.
    package var hosts: [EngineHost]
    /// The listener that answers for what belongs to no host, as a slot; -1 for none.
    package var listener: Int32
    /// The chain whose filters hear of protocol abuse at this entry point; -1 for none.
    package var abuseChain: Int32
    /// What its policies set for connections; virtual hosts may have settings of their own.
    package var settings: ListenerSettings

    /// Makes an entry point.
    package init(
        isEdge: Bool,
        hosts: [EngineHost],
        listener: Int32 = -1,
        abuseChain: Int32 = -1,
        settings: ListenerSettings = ListenerSettings()
    ) {
        self.isEdge = isEdge
        self.settings = settings
        self.hosts = hosts
        self.listener = listener
        self.abuseChain = abuseChain
    }
}

/// One virtual host of an entry point.
package struct EngineHost: Sendable {
    /// Which names it answers.
    package var pattern: HostPattern
    /// The listener it belongs to, as a slot: for metrics, plugins and the scope of blocks.
    package var listener: Int32
    /// Rules; the compiler sorts them by precedence and keeps this order among equals.
    package var rules: [EngineRule]
    /// What its listener's policies set.
    package var settings: ListenerSettings

    /// Makes a virtual host.
    package init(
        pattern: HostPattern,
        listener: Int32,
        rules: [EngineRule],
        settings: ListenerSettings = ListenerSettings()
    ) {
        self.settings = settings
        self.pattern = pattern
        self.listener = listener
        self.rules = rules
    }
}

/// One match with what it leads to.
package struct EngineRule: Sendable {
    /// The conditions.
    package var match: HTTPMatch
    /// What is done.
    package var action: EngineAction

    /// Makes a rule.
    package init(match: HTTPMatch, action: EngineAction) {
        self.match = match
        self.action = action
    }
}

/// What is done with a matched request.
package struct EngineAction: Sendable {
    /// `namespace/name/rule`, for logs.
    package var routeName: String
    /// The route's metrics row; -1 for none.
    package var routeRow: Int32
    /// Shares; a cluster slot of -1 answers 500.
    package var backends: [EngineBackend]
    /// Applied to the request.
    package var requestHeaders: HeaderModifier
    /// Applied to the response.
    package var responseHeaders: HeaderModifier
    /// From head to the end of the response; `nil` or zero: none.
    package var requestTimeout: Duration?
    /// One try; `nil` or zero: none.
    package var backendRequestTimeout: Duration?
    /// The filter chain, an index into the chains handed over with the view; -1: none.
    package var chain: Int32
    /// What is tried again; `nil`: by each cluster's settings.
    package var retries: RetrySettings?
    /// Clusters that get copies.
    package var mirrors: [EngineMirror]
    /// What becomes of the request's target.
    package var change: RouteChange?
    /// Which origins' scripts may read answers; `nil`: not decided here.
    package var crossOrigin: CrossOriginPolicy?
    /// Where clients reach it, for redirects.
    package var origin: RouteOrigin
    /// What ties a client to an endpoint; `nil`: by each cluster's settings.
    package var affinity: SessionAffinity?

    /// Makes an action.
    package init(
        routeName: String,
        routeRow: Int32 = -1,
        backends: [EngineBackend],
        requestHeaders: HeaderModifier = HeaderModifier(),
        responseHeaders: HeaderModifier = HeaderModifier(),
        requestTimeout: Duration? = nil,
        backendRequestTimeout: Duration? = nil,
        chain: Int32 = -1,
        retries: RetrySettings? = nil,
        mirrors: [EngineMirror] = [],
        change: RouteChange? = nil,
        crossOrigin: CrossOriginPolicy? = nil,
        origin: RouteOrigin = RouteOrigin(),
        affinity: SessionAffinity? = nil
    ) {
        self.change = change
        self.crossOrigin = crossOrigin
        self.origin = origin
        self.affinity = affinity
        self.retries = retries
        self.mirrors = mirrors
        self.routeName = routeName
        self.routeRow = routeRow
        self.backends = backends
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
        self.requestTimeout = requestTimeout
        self.backendRequestTimeout = backendRequestTimeout
        self.chain = chain
    }
}

/// The scheme and port by which clients reach a rule: what a redirect keeps of them.
package struct RouteOrigin: Hashable, Sendable {
    /// Whether it is reached over TLS.
    package var isTLS: Bool
    /// The listener's or Service's port.
    package var port: UInt16

    /// Makes an origin; by default that of plain HTTP.
    package init(isTLS: Bool = false, port: UInt16 = 80) {
        self.isTLS = isTLS
        self.port = port
    }
}

/// A cluster that gets a copy of a share of an action's requests.
package struct EngineMirror: Hashable, Sendable {
    /// The cluster's slot; -1: the reference is invalid.
    package var cluster: Int32
    /// The copied share, a numerator over `denominator`.
    package var numerator: UInt32
    /// Above 0.
    package var denominator: UInt32

    /// Makes a mirror.
    package init(cluster: Int32, numerator: UInt32 = 100, denominator: UInt32 = 100) {
        self.cluster = cluster
        self.numerator = numerator
        self.denominator = denominator
    }
}

/// One share of an action.
package struct EngineBackend: Sendable {
    /// The cluster's slot; -1: the reference is invalid.
    package var cluster: Int32
    /// The share's weight.
    package var weight: UInt32
    /// Applied to the request after the action's.
    package var requestHeaders: HeaderModifier
    /// Applied to the response before the action's.
    package var responseHeaders: HeaderModifier
    /// What becomes of the target of its requests, in place of the action's.
    package var change: RouteChange?

    /// Makes a share.
    package init(
        cluster: Int32,
        weight: UInt32 = 1,
        requestHeaders: HeaderModifier = HeaderModifier(),
        responseHeaders: HeaderModifier = HeaderModifier(),
        change: RouteChange? = nil
    ) {
        self.change = change
        self.cluster = cluster
        self.weight = weight
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
    }
}

/// A cluster as the engine uses it.
package struct EngineCluster: Sendable {
    /// `namespace/name:port`, for logs and metrics.
    package var name: String
    /// What its policies set.
    package var settings: BackendSettings
    /// How its endpoints are spoken to; `nil` for HTTP/1.1 in cleartext.
    package var transport: UpstreamTransport?
    /// Usable endpoints, in the order they are laid out.
    package let endpoints: [EngineEndpoint]
    /// What is known of each besides.
    package let places: [EndpointPlace]
    /// Where this node is.
    package let locality: EngineLocality
    /// Whether the endpoints are addresses of one DNS name, of both families: connections to several
    /// are begun until one comes about.
    let racesFamilies: Bool
    /// Whether the first endpoints are those that hints give to the node's zone.
    let followsHints: Bool
    /// For consistent hashing, where the settings ask for it.
    package let table: ConsistentTable?

    /// Makes a cluster, with the tables that its settings ask for.
    ///
    /// - Parameters:
    ///   - places: one for each endpoint, or none.
    ///   - isNamed: whether the endpoints are the addresses of one DNS name.
    ///   - earlier: a table that is taken where it is of the same endpoints.
    package init(
        name: String,
        settings: BackendSettings = BackendSettings(),
        endpoints: [EngineEndpoint],
        places: [EndpointPlace] = [],
        locality: EngineLocality = EngineLocality(),
        isNamed: Bool = false,
        reusing earlier: ConsistentTable? = nil
    ) {
        self.name = name
        self.settings = settings
        self.locality = locality
        (self.endpoints, self.places) = EngineCluster.arranged(
            endpoints,
            places,
            settings,
            locality
        )
        followsHints = EngineCluster.followsHints(self.places, settings, locality)
        racesFamilies =
            isNamed && Set(endpoints.map { $0.address.ip.isIPv4 }).count == 2
        table = ConsistentTable(
            settings,
            self.endpoints.map { EndpointPlace.identity(of: $0.address) },
            reusing: earlier
        )
    }
}

/// An endpoint with its stable slot.
package struct EngineEndpoint: Sendable, BitwiseCopyable {
    /// Where it listens.
    package var address: SocketAddress
    /// Its slot in per-worker state.
    package var slot: Int32
    /// The slot's generation: differs when the slot was given to another endpoint.
    package var generation: UInt32

    /// Makes an endpoint.
    package init(address: SocketAddress, slot: Int32, generation: UInt32) {
        self.address = address
        self.slot = slot
        self.generation = generation
    }
}
