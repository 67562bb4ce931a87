/// What a rule or a backend does to a request's target.
package enum RouteChange: Hashable, Sendable {
    /// The client is sent elsewhere (`RequestRedirect`).
    case redirect(RouteRedirect)
    /// The backend gets another host or path (`URLRewrite`).
    case rewrite(RouteRewrite)
}

/// Another path in place of a request's.
package enum PathChange: Hashable, Sendable {
    /// The whole path; the query stays.
    case whole(String)
    /// The part that a prefix match took. A slash at its end counts only where nothing follows.
    case prefix(String)
}

/// An answer that sends the client elsewhere; what is `nil` is as the request has it.
package struct RouteRedirect: Hashable, Sendable {
    /// `http` or `https`.
    package var scheme: String?
    /// The host, lower case.
    package var host: String?
    /// The path.
    package var path: PathChange?
    /// The port; `nil`: the scheme's own where one is given, else the listener's.
    package var port: UInt16?
    /// 301, 302, 303, 307 or 308.
    package var status: UInt16

    /// Makes a redirect; by default to where the request is already.
    package init(
        scheme: String? = nil,
        host: String? = nil,
        path: PathChange? = nil,
        port: UInt16? = nil,
        status: UInt16 = 302
    ) {
        self.scheme = scheme
        self.host = host
        self.path = path
        self.port = port
        self.status = status
    }
}

/// Another target towards the backend; what is `nil` is as the request has it.
package struct RouteRewrite: Hashable, Sendable {
    /// The host, lower case.
    package var host: String?
    /// The path.
    package var path: PathChange?

    /// Makes a change; by default none.
    package init(host: String? = nil, path: PathChange? = nil) {
        self.host = host
        self.path = path
    }
}

/// Which origins' scripts may read what a rule answers (GEP-1767; the Fetch standard, CORS protocol).
package struct CrossOriginPolicy: Hashable, Sendable {
    /// Origins, each `scheme://host[:port]` with at most one `*` in its host, or `*` alone.
    package var origins: [String]
    /// Whether requests may carry credentials.
    package var allowsCredentials: Bool
    /// Methods that are allowed; `*` for every method.
    package var methods: [String]
    /// Request headers that are allowed; `*` for every header.
    package var headers: [String]
    /// Response headers that scripts may read; `*` for every header.
    package var exposedHeaders: [String]
    /// How long a client may keep the answer to a preflight request, seconds.
    package var maxAgeSeconds: Int

    /// Makes a policy.
    package init(
        origins: [String] = [],
        allowsCredentials: Bool = false,
        methods: [String] = [],
        headers: [String] = [],
        exposedHeaders: [String] = [],
        maxAgeSeconds: Int = 5
    ) {
        self.origins = origins
        self.allowsCredentials = allowsCredentials
        self.methods = methods
        self.headers = headers
        self.exposedHeaders = exposedHeaders
        self.maxAgeSeconds = maxAgeSeconds
    }
}
