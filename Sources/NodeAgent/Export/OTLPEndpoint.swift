import Discovery

/// Where a collector takes OTLP over HTTP: `http[s]://host[:port]`, port 4318 by default.
struct OTLPEndpoint: Equatable, Sendable {
    /// What stands in a refusal.
    static let expected = "http://HOST[:PORT] or https://HOST[:PORT] of an OTLP collector"
    /// The port that the protocol's specification gives.
    static let portDefault: UInt16 = 4_318

    /// A host name or an address.
    let host: String
    let port: UInt16
    /// Whether TLS is spoken.
    let isTLS: Bool
    /// A path before `/v1/…`; mostly empty.
    let basePath: String

    /// Reads a URL; `nil` for what is none.
    init?(_ url: String) {
        guard let address = APIServerAddress(url: url) else { return nil }
        let scheme = address.isTLS ? "https://" : "http://"
        let authority = url.dropFirst(scheme.count).prefix { $0 != "/" }
        isTLS = address.isTLS
        let hasPort =
            authority.contains("]") ? !authority.hasSuffix("]") : authority.contains(":")
        host = address.host
        port = hasPort ? address.port : OTLPEndpoint.portDefault
        basePath = address.basePath
    }

    /// The `Host` field's value.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
