/// A path condition of an HTTPRoute (GEP-1364 precedence applies).
package enum PathMatch: Hashable, Sendable {
    case exact(String)
    /// Whole path elements; a trailing slash has been removed, `/` is the empty prefix.
    case prefix(String)
    /// A regular expression that all of the path must match.
    case pattern(Pattern)
}

/// A name with an exact value: a header or query condition.
package struct NamedValue: Hashable, Sendable {
    /// The name; lower case for headers.
    package var name: String
    /// The value.
    package var value: String

    /// Makes a pair.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A name with a regular expression that all of its value must match.
package struct NamedPattern: Hashable, Sendable {
    /// The name; lower case for headers.
    package var name: String
    /// What the value must match.
    package var pattern: Pattern

    /// Makes a pair.
    package init(_ name: String, _ pattern: Pattern) {
        self.name = name
        self.pattern = pattern
    }
}

/// One match of a rule: all its conditions must hold.
package struct HTTPMatch: Hashable, Sendable {
    /// The path condition.
    package var path: PathMatch
    /// The method, if asked for; upper case.
    package var method: String?
    /// Header conditions; names are unique.
    package var headers: [NamedValue]
    /// Query conditions; names are unique.
    package var queryParameters: [NamedValue]
    /// Header conditions by regular expressions; names are unique, and not among `headers`.
    package var headerPatterns: [NamedPattern]
    /// Query conditions by regular expressions; names are unique, and not among
    /// `queryParameters`.
    package var queryPatterns: [NamedPattern]

    /// Makes a match; by default of every request.
    package init(
        path: PathMatch = .prefix(""),
        method: String? = nil,
        headers: [NamedValue] = [],
        queryParameters: [NamedValue] = [],
        headerPatterns: [NamedPattern] = [],
        queryPatterns: [NamedPattern] = []
    ) {
        self.path = path
        self.method = method
        self.headers = headers
        self.queryParameters = queryParameters
        self.headerPatterns = headerPatterns
        self.queryPatterns = queryPatterns
    }

    /// Whether it asks for nothing but a path.
    package var isOfPathAlone: Bool {
        method == nil && headerCount == 0 && queryCount == 0
    }

    /// How many headers it looks at.
    package var headerCount: Int { headers.count + headerPatterns.count }

    /// How many query parameters it looks at.
    package var queryCount: Int { queryParameters.count + queryPatterns.count }
}

/// A header filter (`RequestHeaderModifier`, `ResponseHeaderModifier`). Names are lower case.
package struct HeaderModifier: Hashable, Sendable {
    /// Replace, or add where absent.
    package var set: [NamedValue]
    /// Append a line.
    package var add: [NamedValue]
    /// Remove every line of the name.
    package var remove: [String]

    /// Makes a modifier; by default one that changes nothing.
    package init(set: [NamedValue] = [], add: [NamedValue] = [], remove: [String] = []) {
        self.set = set
        self.add = add
        self.remove = remove
    }

    /// Whether it changes nothing.
    package var isEmpty: Bool { self.set.isEmpty && add.isEmpty && remove.isEmpty }
}

/// One backend of a rule with its share.
package struct RouteBackend: Hashable, Sendable {
    /// Where its share goes.
    package enum Target: Hashable, Sendable {
        case cluster(ClusterID)
        /// The reference is invalid: its share answers 500. The reason is for people.
        case invalid(reason: String)
    }

    /// Where its share goes.
    package var target: Target
    /// 0...1,000,000; the share is the weight over the sum of weights.
    package var weight: Int
    /// Applied to requests that go to this backend, after the rule's.
    package var requestHeaders: HeaderModifier
    /// Applied to responses that come from this backend, before the rule's.
    package var responseHeaders: HeaderModifier
    /// What becomes of the target of requests that go to this backend, in place of the rule's.
    package var change: RouteChange?

    /// Makes a backend.
    package init(
        target: Target,
        weight: Int = 1,
        requestHeaders: HeaderModifier = HeaderModifier(),
        responseHeaders: HeaderModifier = HeaderModifier(),
        change: RouteChange? = nil
    ) {
        self.change = change
        self.target = target
        self.weight = weight
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
    }
}

/// A backend that gets a copy of requests (`RequestMirror`, GEP-3171).
package struct RouteMirror: Hashable, Sendable {
    /// Where copies go.
    package var target: RouteBackend.Target
    /// The copied share of requests, a numerator over `denominator`.
    package var numerator: UInt32
    /// Above 0.
    package var denominator: UInt32

    /// Makes a mirror; by default of every request.
    package init(target: RouteBackend.Target, numerator: UInt32 = 100, denominator: UInt32 = 100) {
        self.target = target
        self.numerator = numerator
        self.denominator = denominator
    }
}

/// One rule of an HTTPRoute.
package struct HTTPRouteRule: Equatable, Sendable {
    /// Any of these must hold; never empty.
    package var matches: [HTTPMatch]
    /// Applied to the request.
    package var requestHeaders: HeaderModifier
    /// Applied to the response.
    package var responseHeaders: HeaderModifier
    /// Where requests go. Empty, or all of weight 0, answers 500.
    package var backends: [RouteBackend]
    /// From the request's head to the response's end; `nil`: the default, zero: none.
    package var requestTimeout: Duration?
    /// One try, from sending to the response's end; `nil`: the default, zero: none.
    package var backendRequestTimeout: Duration?
    /// What is tried again; `nil`: by each cluster's settings.
    package var retries: RetrySettings?
    /// Backends that get a copy of requests and whose answers nobody sees.
    package var mirrors: [RouteMirror]
    /// What becomes of the request's target.
    package var change: RouteChange?
    /// Which origins' scripts may read answers; `nil`: not decided here.
    package var crossOrigin: CrossOriginPolicy?
    /// What ties a client to an endpoint (GEP-1619); `nil`: by each cluster's settings.
    package var persistence: SessionAffinity?
    /// Why the rule as a whole answers 500 (a filter that cannot be honoured), else `nil`.
    package var fault: String?

    /// Makes a rule.
    package init(
        matches: [HTTPMatch] = [HTTPMatch()],
        requestHeaders: HeaderModifier = HeaderModifier(),
        responseHeaders: HeaderModifier = HeaderModifier(),
        backends: [RouteBackend] = [],
        requestTimeout: Duration? = nil,
        backendRequestTimeout: Duration? = nil,
        retries: RetrySettings? = nil,
        mirrors: [RouteMirror] = [],
        change: RouteChange? = nil,
        crossOrigin: CrossOriginPolicy? = nil,
        persistence: SessionAffinity? = nil,
        fault: String? = nil
    ) {
        self.change = change
        self.crossOrigin = crossOrigin
        self.matches = matches
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
        self.backends = backends
        self.requestTimeout = requestTimeout
        self.backendRequestTimeout = backendRequestTimeout
        self.retries = retries
        self.mirrors = mirrors
        self.persistence = persistence
        self.fault = fault
    }
}

/// An HTTPRoute in use.
package struct HTTPRoute: Equatable, Sendable {
    /// The object.
    package let key: ObjectKey
    /// `metadata.creationTimestamp` as seconds since 1970; 0 where unknown. Older wins ties.
    package var createdAt: Int64
    /// The rules, in order.
    package var rules: [HTTPRouteRule]
    /// Route-level plugins (FilterPolicy on this route); they override the listener's by name.
    package var plugins: [PluginBinding]

    /// Makes a route.
    package init(
        key: ObjectKey,
        createdAt: Int64 = 0,
        rules: [HTTPRouteRule],
        plugins: [PluginBinding] = []
    ) {
        self.key = key
        self.createdAt = createdAt
        self.rules = rules
        self.plugins = plugins
    }
}

/// A TCPRoute in use: its first rule's backends.
package struct TCPRoute: Equatable, Sendable {
    /// The object.
    package let key: ObjectKey
    /// `metadata.creationTimestamp` as seconds since 1970; 0 where unknown. Older wins ties.
    package var createdAt: Int64
    /// Where connections go.
    package var backends: [RouteBackend]

    /// Makes a route.
    package init(key: ObjectKey, createdAt: Int64 = 0, backends: [RouteBackend]) {
        self.key = key
        self.createdAt = createdAt
        self.backends = backends
    }
}
