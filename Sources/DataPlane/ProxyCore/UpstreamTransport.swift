import Addressing
import MeshModel

/// How the endpoints of a cluster are spoken to where it is not plain HTTP/1.1 in cleartext. Immutable,
/// and shared by the workers; a change of settings makes another with another number, so that no
/// connection is used under other settings than it was made under.
package final class UpstreamTransport: Sendable {
    /// The version of HTTP.
    enum Version: Hashable, Sendable {
        case http1
        case http2
        /// By ALPN, HTTP/2 preferred (RFC 7301).
        case negotiated

        var protocols: [String] {
            switch self {
            case .http1: ["http/1.1"]
            case .http2: ["h2"]
            case .negotiated: ["h2", "http/1.1"]
            }
        }
    }

    /// What is the same for connections that may serve the same requests.
    struct Identity: Hashable, Sendable {
        var version: Version
        var tls: BackendTLSSettings?
        var certificate: Certificate?
        /// Of the header of the PROXY protocol in front; 0 for none.
        var proxyVersion: UInt8 = 0
        /// Requests on one connection; 0 for no bound.
        var requestMax: UInt32 = 0
    }

    /// From 0, never given twice.
    let number: Int32
    /// The version of HTTP.
    let version: Version
    /// The TLS settings; `nil` for cleartext.
    let tls: BackendTLSSettings?
    /// Whether the name to verify is an address.
    let isAddress: Bool
    /// Of the header of the PROXY protocol in front; 0 for none. Each client then has connections of
    /// its own.
    let proxyVersion: UInt8
    /// Requests on one connection; 0 for no bound.
    let requestMax: UInt32
    /// What TLS sessions are made of; `nil` for cleartext, and where it could not be made.
    let context: TLSContext?
    /// Why no connection can be made; `nil` where one can.
    package let fault: String?
    /// The same by HTTP/1.1 alone, for WebSocket with endpoints that do not take it over HTTP/2;
    /// `nil` where HTTP/1.1 is not spoken.
    let forTunnels: UpstreamTransport?

    init(number: Int32, _ identity: Identity, forTunnels: UpstreamTransport?) {
        self.number = number
        self.forTunnels = forTunnels
        version = identity.version
        tls = identity.tls
        proxyVersion = identity.proxyVersion
        requestMax = identity.requestMax
        guard let tls = identity.tls else {
            isAddress = false
            context = nil
            fault = nil
            return
        }
        isAddress = IPAddress(tls.host) != nil
        if let key = tls.certificate, identity.certificate == nil {
            context = nil
            fault = "TLS towards endpoints: there is no certificate \(key)"
            return
        }
        do {
            context = try .endpoint(
                tls,
                certificate: identity.certificate,
                protocols: identity.version.protocols
            )
            fault = nil
        } catch {
            context = nil
            fault = "TLS towards endpoints: \(error)"
        }
    }
}

/// Makes transports of clusters' settings, the same one for the same settings. Control side.
package struct UpstreamTransportCompiler {
    private var known: [UpstreamTransport.Identity: UpstreamTransport] = [:]
    private var used: Set<UpstreamTransport.Identity> = []
    private var nextNumber: Int32 = 0

    /// Makes a compiler that knows none.
    package init() {}

    /// Begins a configuration.
    package mutating func begin() { used = [] }

    /// The transport of a cluster; `nil` for plain HTTP/1.1 in cleartext.
    ///
    /// - Parameters:
    ///   - appProtocol: what the Service says, where the settings have no version.
    ///   - certificates: the own ones.
    package mutating func transport(
        _ settings: BackendSettings,
        _ appProtocol: AppProtocol,
        _ certificates: [ObjectKey: Certificate]
    ) -> UpstreamTransport? {
        let version: UpstreamTransport.Version =
            switch settings.version {
            case .http1: .http1
            case .http2: .http2
            case nil where appProtocol == .http2: .http2
            case nil: settings.tls == nil ? .http1 : .negotiated
            }
        let identity = UpstreamTransport.Identity(
            version: version,
            tls: settings.tls,
            certificate: settings.tls?.certificate.flatMap { certificates[$0] },
            proxyVersion: settings.proxyProtocolVersion,
            requestMax: settings.requestsPerConnection
        )
        guard identity != UpstreamTransport.Identity(version: .http1) else { return nil }
        return transport(identity)
    }

    private mutating func transport(_ identity: UpstreamTransport.Identity) -> UpstreamTransport {
        var forTunnels: UpstreamTransport?
        if identity.version == .negotiated {
            var other = identity
            other.version = .http1
            forTunnels = transport(other)
        }
        used.insert(identity)
        if let transport = known[identity] { return transport }
        let transport = UpstreamTransport(number: nextNumber, identity, forTunnels: forTunnels)
        nextNumber += 1
        known[identity] = transport
        return transport
    }

    /// Forgets what the configuration did not use.
    package mutating func sweep() { known = known.filter { used.contains($0.key) } }
}
