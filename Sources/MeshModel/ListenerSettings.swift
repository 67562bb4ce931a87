import Addressing

/// What a ListenerPolicy sets for a listener; every value has the default of a listener without
/// policy.
package struct ListenerSettings: Hashable, Sendable {
    /// The normal form of paths, used by routing, policy and upstream alike.
    package var paths = PathForm()
    /// What becomes of field names with an underscore.
    package var underscores = UnderscoreRule.keep
    /// Which forwarding fields are believed and which are added.
    package var forwarding = ForwardingSettings()
    /// HTTP versions that are spoken; never empty.
    package var versions: Set<HTTPVersion> = [.http1, .http2]
    /// Bounds of the listener.
    package var limits = ListenerLimits()
    /// Times of the listener.
    package var timeouts = ListenerTimeouts()
    /// TLS towards clients, where the listener terminates it.
    package var tls = ListenerTLSSettings()
    /// PROXY protocol in front of each connection.
    package var proxyProtocol = ProxyProtocolSettings()
    /// Whether `Upgrade: websocket` and its extended CONNECT (RFC 8441) are passed on.
    package var allowsWebSocket = true
    /// Whether CONNECT makes a tunnel to the matched route's backend.
    package var allowsConnect = false

    /// Makes the settings of a listener without policy.
    package init() {}
}

/// A version of HTTP.
package enum HTTPVersion: String, Hashable, Sendable, CaseIterable {
    case http1
    case http2
}

/// The normal form of a request's path (RFC 3986 section 6).
package struct PathForm: Hashable, Sendable {
    /// What becomes of a choice that may confuse a backend.
    package enum Escapes: String, Hashable, Sendable, CaseIterable {
        /// `%2F` and `%5C` stay as they came.
        case keep
        /// They become `/` before routing.
        case decode
        /// The request is answered by 400.
        case reject
    }

    /// Runs of slashes become one.
    package var mergesSlashes = false
    /// What becomes of `%2F` and `%5C` (and a bare backslash).
    package var escapedSlashes = Escapes.keep

    /// Makes the default form.
    package init() {}
}

/// What becomes of field names with an underscore.
package enum UnderscoreRule: String, Hashable, Sendable, CaseIterable {
    case keep
    /// The field is left out.
    case drop
    /// The request is answered by 400.
    case reject
}

/// Which forwarding fields are believed and which are added.
package struct ForwardingSettings: Hashable, Sendable {
    /// Proxies in front of this one that are believed: the client is the address that many entries
    /// from the end of X-Forwarded-For. 0...32; 0: the fields are set anew.
    package var trustedHops = 0
    /// Peers whose forwarding fields are believed whatever the count of hops.
    package var trustedPrefixes: [IPPrefix] = []
    /// Whether X-Forwarded-Host and X-Forwarded-Port are added besides X-Forwarded-For and
    /// X-Forwarded-Proto.
    package var addsHost = false
    /// Whether `Forwarded` (RFC 7239) is added besides X-Forwarded-*.
    package var addsForwarded = false
    /// The name put into `Via` (RFC 9110 section 7.6.3); empty: none is added.
    package var viaName = ""
    /// Whether x-request-id of an untrusted client is kept.
    package var keepsRequestID = true

    /// Makes the default.
    package init() {}
}

/// Bounds of a listener; 0 stands for the node's own limit.
package struct ListenerLimits: Hashable, Sendable {
    /// Bytes of a request's head.
    package var headBytes = 0
    /// Fields of a request's head.
    package var headerFields = 0
    /// Bytes of a request's body; more is a 413.
    package var bodyBytes: UInt64 = 0
    /// Requests on one connection, after which it is closed.
    package var requestsPerConnection: UInt32 = 0
    /// Concurrent HTTP/2 streams of one connection.
    package var concurrentStreams: UInt32 = 0
    /// Connections at a time, per worker.
    package var connections: UInt32 = 0
    /// Connections at a time of one source address, per worker.
    package var connectionsPerSource: UInt32 = 0

    /// Makes the default.
    package init() {}
}

/// Times of a listener; `nil` stands for the node's own.
package struct ListenerTimeouts: Hashable, Sendable {
    /// From a connection's first byte, or a request's, to the end of the head.
    package var head: Duration?
    /// Without progress of a request's body.
    package var body: Duration?
    /// Between two requests.
    package var idle: Duration?
    /// From head to the end of the response, for routes that set none.
    package var request: Duration?
    /// Without progress of either direction of a stream or tunnel.
    package var streamIdle: Duration?
    /// The age at which a connection is closed after its exchange.
    package var connectionAge: Duration?
    /// A TLS handshake.
    package var handshake: Duration?

    /// Makes the default.
    package init() {}
}

/// TLS towards clients.
package struct ListenerTLSSettings: Hashable, Sendable {
    /// A version of TLS.
    package enum Version: String, Hashable, Sendable, Comparable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"

        /// Orders by age.
        package static func < (left: Version, right: Version) -> Bool {
            left.rawValue < right.rawValue
        }
    }

    /// What a client's certificate is asked for.
    package enum ClientCertificate: String, Hashable, Sendable, CaseIterable {
        /// None is asked for.
        case none
        /// One that is sent must be valid.
        case optional
        /// One must be sent and be valid.
        case required
        /// One is asked for and not verified (Gateway API's AllowInsecureFallback).
        case unverified
    }

    /// The oldest version.
    package var minimumVersion = Version.tls12
    /// The newest version.
    package var maximumVersion = Version.tls13
    /// OpenSSL names of TLS 1.2 ciphers and TLS 1.3 suites, in order; empty: OpenSSL's own.
    package var ciphers: [String] = []
    /// OpenSSL names of groups, in order; empty: OpenSSL's own.
    package var groups: [String] = []
    /// ALPN names, in order; empty: by the listener's HTTP versions.
    package var alpn: [String] = []
    /// What clients' certificates are asked for.
    package var clientCertificate = ClientCertificate.none
    /// CA certificates that clients' certificates are verified by, PEM, concatenated.
    package var clientCAPEM: [UInt8] = []
    /// Subject alternative names, one of which a client's certificate must have; empty: any.
    package var clientNames: [String] = []
    /// Whether x-forwarded-client-cert tells endpoints of the client's certificate.
    package var forwardsClientCertificate = false
    /// Whether sessions may be resumed by tickets.
    package var resumes = true
    /// How long a ticket key makes new tickets; it opens them for twice as long.
    package var ticketKeyLifetime = Duration.seconds(3600)
    /// OCSP response (DER) that is stapled; empty: none.
    package var ocspResponse: [UInt8] = []
    /// Whether a handshake fails where the staple is missing, stale or says revoked.
    package var requiresStaple = false
    /// Bytes of early data (RFC 8446 section 4.2.10) a client may send; 0: none.
    package var earlyDataByteLimit: UInt32 = 0
    /// Handshakes in hand at a time, per worker; 0: the node's own limit.
    package var handshakeMax: UInt32 = 0

    /// Makes the default.
    package init() {}
}

/// PROXY protocol (haproxy's proxy-protocol.txt, versions 1 and 2) in front of each connection.
package struct ProxyProtocolSettings: Hashable, Sendable {
    /// When a header is read.
    package enum Acceptance: String, Hashable, Sendable, CaseIterable {
        case off
        /// Where the connection begins by one.
        case optional
        /// A connection without one is reset.
        case required
    }

    /// When a header is read.
    package var acceptance = Acceptance.off
    /// Peers that may send one; a header of another peer resets the connection. Empty: none may.
    package var trustedPrefixes: [IPPrefix] = []

    /// Makes the default: off.
    package init() {}
}
