/// What a BackendPolicy (and BackendTLSPolicy) sets for a cluster; every value has the default of a
/// Service without policy.
package struct BackendSettings: Hashable, Sendable {
    /// How an endpoint is chosen.
    package var balancing = BalancingSettings()
    /// What ties a client to an endpoint.
    package var affinity: SessionAffinity?
    /// Requests sent to see whether endpoints live.
    package var healthCheck: HealthCheckSettings?
    /// What takes an endpoint out for a while by the answers it gives.
    package var outliers: OutlierSettings?
    /// Bounds of what is under way to the cluster at a time.
    package var breakers = BreakerSettings()
    /// Retries, for routes that set none.
    package var retries: RetrySettings?
    /// Second tries sent before the first has failed.
    package var hedging: HedgingSettings?
    /// Times of the cluster.
    package var timeouts = BackendTimeouts()
    /// HTTP towards endpoints; `nil`: by appProtocol.
    package var version: HTTPVersion?
    /// TLS towards endpoints; `nil`: none.
    package var tls: BackendTLSSettings?
    /// Requests on one connection, after which it is closed; 0: no bound.
    package var requestsPerConnection: UInt32 = 0
    /// Whether endpoints may be sent requests that came as early data, marked by `Early-Data: 1`: they
    /// answer 425 to those that must not be repeated (RFC 8470).
    package var takesEarlyData = false
    /// Version of the PROXY protocol header sent in front of each connection; 0: none, 1, 2.
    package var proxyProtocolVersion: UInt8 = 0

    /// Makes the settings of a Service without policy.
    package init() {}
}

/// How an endpoint is chosen.
package struct BalancingSettings: Hashable, Sendable {
    /// What a consistent hash is made of.
    package enum HashKey: Hashable, Sendable {
        /// The client's address.
        case source
        /// A request field, lower case.
        case header(String)
        /// A cookie.
        case cookie(String)
        /// A query parameter.
        case query(String)
        /// The path without its query.
        case path
    }

    /// Which part of the endpoints a request may go to.
    package struct Subset: Hashable, Sendable {
        /// What endpoints are divided by.
        package enum Attribute: String, Hashable, Sendable, CaseIterable {
            case zone
            case node
        }

        /// What endpoints are divided by.
        package var attribute: Attribute
        /// The request field, lower case, that names the part.
        package var header: String
        /// Whether all endpoints serve where the part is empty or unnamed; else 503.
        package var fallsBack: Bool

        /// Makes a division.
        package init(attribute: Attribute, header: String, fallsBack: Bool = true) {
            self.attribute = attribute
            self.header = header
            self.fallsBack = fallsBack
        }
    }

    /// The algorithm.
    package var algorithm = BalancingAlgorithm.roundRobin
    /// What the hash of `ringHash` and `maglev` is made of; the first that a request has.
    package var hashKeys: [HashKey] = []
    /// Entries of the Maglev table (a prime) or points of the ring; 0: the algorithm's own.
    package var tableSize: UInt32 = 0
    /// Requests in hand that an endpoint chosen by hash may have, in percent of the mean of all; 0: no
    /// bound.
    package var hashLoadPercent: UInt32 = 0
    /// How long a new endpoint's share grows to its whole; `nil`: at once.
    package var slowStart: Duration?
    /// The share of healthy endpoints, in percent, below which health is not looked at; 0: never.
    package var panicPercent: UInt8 = 50
    /// Whether endpoints of the node's own zone come first, spilling over in proportion.
    package var prefersZone = false
    /// With fewer usable endpoints than this zones do not matter.
    package var zoneEndpointMin: UInt32 = 6
    /// Which part of the endpoints a request may go to; `nil`: all.
    package var subset: Subset?

    /// Makes the default: round robin.
    package init() {}
}

/// What ties a client to the endpoint that served it.
package struct SessionAffinity: Hashable, Sendable {
    /// Where the tie is kept.
    package enum Kind: Hashable, Sendable {
        /// A cookie set by the proxy. A lifetime of `nil` makes a session cookie.
        case cookie(name: String, path: String, lifetime: Duration?)
        /// A response field, to be sent back with requests.
        case header(String)
        /// The client's address.
        case source
    }

    /// Where the tie is kept.
    package var kind: Kind
    /// How long a tie holds from its first answer; `nil`: as long as the endpoint lives.
    package var absoluteTimeout: Duration?
    /// How long a tie holds from the last answer; `nil`: no matter.
    package var idleTimeout: Duration?

    /// Makes a tie.
    package init(_ kind: Kind, absoluteTimeout: Duration? = nil, idleTimeout: Duration? = nil) {
        self.kind = kind
        self.absoluteTimeout = absoluteTimeout
        self.idleTimeout = idleTimeout
    }
}

/// Requests sent to see whether endpoints live.
package struct HealthCheckSettings: Hashable, Sendable {
    /// What is sent.
    package enum Probe: Hashable, Sendable {
        /// A GET whose status must be within the range.
        case http(path: String, host: String, statuses: ClosedRange<UInt16>)
        /// `grpc.health.v1.Health/Check`, must say SERVING.
        case grpc(service: String)
        /// A connection must come about.
        case tcp
    }

    /// What is sent.
    package var probe: Probe
    /// Between two probes of one endpoint.
    package var interval = Duration.seconds(5)
    /// Of one probe.
    package var timeout = Duration.seconds(1)
    /// Probes in a row that make an endpoint healthy.
    package var healthyCount: UInt8 = 1
    /// Probes in a row that make it unhealthy.
    package var unhealthyCount: UInt8 = 3
    /// The port that is probed; 0: the endpoint's own.
    package var port: UInt16 = 0

    /// Makes settings of a probe.
    package init(_ probe: Probe) { self.probe = probe }
}

/// What takes an endpoint out for a while by the answers it gives. 0 turns a condition off.
package struct OutlierSettings: Hashable, Sendable {
    /// Failures (5xx, resets, timeouts) in a row.
    package var consecutiveErrors: UInt16 = 5
    /// Failures to connect or of the connection in a row.
    package var consecutiveGatewayErrors: UInt16 = 0
    /// Between two looks at rates.
    package var interval = Duration.seconds(10)
    /// The first ejection; it grows by as much with each further one.
    package var ejectionTime = Duration.seconds(30)
    /// The longest ejection.
    package var ejectionTimeMax = Duration.seconds(300)
    /// The share of a cluster's endpoints, in percent, that may be out at a time; one always may.
    package var ejectedPercentMax: UInt8 = 10
    /// Standard deviations below the mean success rate, in thousandths (1,900: 1.9).
    package var successRateDeviation: UInt16 = 0
    /// Failures among an interval's requests, in percent.
    package var failurePercent: UInt8 = 0
    /// Mean latency as a multiple, in percent, of the cluster's median (300: three times).
    package var latencyPercent: UInt16 = 0
    /// Requests in an interval below which rates say nothing.
    package var requestMin: UInt32 = 100

    /// Makes the default.
    package init() {}
}

/// Bounds of what is under way to a cluster at a time, per worker; 0: the node's own limit.
package struct BreakerSettings: Hashable, Sendable {
    /// Connections.
    package var connections: UInt32 = 0
    /// Requests waiting for a connection.
    package var pending: UInt32 = 0
    /// Requests.
    package var requests: UInt32 = 0
    /// Retries; used where no budget is set.
    package var retries: UInt32 = 0
    /// Connections of one endpoint.
    package var connectionsPerEndpoint: UInt32 = 0
    /// Retries as a share, in percent, of requests under way; 0: no budget.
    package var retryBudgetPercent: UInt8 = 20
    /// Retries that are always allowed.
    package var retryBudgetMin: UInt32 = 3

    /// Makes the default.
    package init() {}
}

/// Retries of a route or a cluster.
package struct RetrySettings: Hashable, Sendable {
    /// What is tried again.
    package struct Conditions: OptionSet, Hashable, Sendable {
        /// The bits.
        package let rawValue: UInt16

        /// Makes a set of bits.
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        /// No connection came about; nothing was sent.
        package static let connectFailure = Conditions(rawValue: 1 << 0)
        /// The endpoint refused the stream (HTTP/2 REFUSED_STREAM), or took no request.
        package static let refused = Conditions(rawValue: 1 << 1)
        /// The connection ended before a response.
        package static let reset = Conditions(rawValue: 1 << 2)
        /// A response of 502, 503 or 504.
        package static let gatewayError = Conditions(rawValue: 1 << 3)
        /// Any response of 500 or more.
        package static let serverError = Conditions(rawValue: 1 << 4)
        /// The try took longer than its own timeout.
        package static let tryTimeout = Conditions(rawValue: 1 << 5)
        /// One of `statuses`.
        package static let statuses = Conditions(rawValue: 1 << 6)
        /// A gRPC status of `grpcStatuses` in a response that is trailers only.
        package static let grpcStatuses = Conditions(rawValue: 1 << 7)
    }

    /// Further tries, 0...10.
    package var attempts: UInt8 = 1
    /// What is tried again.
    package var conditions: Conditions = [.connectFailure, .refused]
    /// Statuses that are tried again.
    package var statuses: [UInt16] = []
    /// gRPC statuses that are tried again, as bits.
    package var grpcStatuses: UInt32 = 0
    /// The first wait's upper bound; waits are drawn at random and double.
    package var backoff = Duration.milliseconds(25)
    /// The longest wait.
    package var backoffMax = Duration.milliseconds(250)
    /// The longest `retry-after` of a response that is waited for; with a longer one it is passed on.
    /// `nil`: the field is not looked at.
    package var retryAfterMax: Duration?
    /// One try; `nil`: no own bound.
    package var tryTimeout: Duration?
    /// Whether a request that may have taken effect (a method that is not idempotent, after its
    /// first byte was sent) is tried again as well.
    package var retriesUnsafe = false

    /// Makes the default.
    package init() {}
}

/// Second tries sent before the first has failed, for idempotent methods without body only.
package struct HedgingSettings: Hashable, Sendable {
    /// How long the first try is waited for.
    package var delay: Duration
    /// Further tries, 1...3.
    package var attempts: UInt8 = 1

    /// Makes settings of a delay.
    package init(delay: Duration) { self.delay = delay }
}

/// Times of a cluster; `nil` stands for the node's own.
package struct BackendTimeouts: Hashable, Sendable {
    /// Until a connection (TLS included) is made.
    package var connect: Duration?
    /// From sending to the end of the response, one try.
    package var request: Duration?
    /// Without progress of a stream.
    package var streamIdle: Duration?
    /// How long an unused connection is kept.
    package var idle: Duration?

    /// Makes the default.
    package init() {}
}

/// TLS towards endpoints (Gateway API's BackendTLSPolicy, GEP-1897).
package struct BackendTLSSettings: Hashable, Sendable {
    /// A name a certificate must have besides the chain being valid.
    package enum SubjectName: Hashable, Sendable {
        case host(String)
        case uri(String)
    }

    /// The name sent as SNI and, where `names` is empty, verified.
    package var host: String
    /// Names, one of which the certificate must have; empty: `host`.
    package var names: [SubjectName] = []
    /// CA certificates, PEM, concatenated; empty: the system's.
    package var caPEM: [UInt8] = []
    /// Our own certificate towards endpoints, if any.
    package var certificate: ObjectKey?
    /// The oldest version.
    package var minimumVersion = ListenerTLSSettings.Version.tls12

    /// Makes settings of a host.
    package init(host: String) { self.host = host }
}
