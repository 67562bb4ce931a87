import Discovery

/// Where a collector takes OTLP over HTTP: `http://host[:port]`, port 4318 by default.
struct OTLPEndpoint: Equatable, Sendable {
    /// What stands in a refusal.
    static let expected = "http://HOST[:PORT] of an OTLP collector"
    /// The port that the protocol's specification gives.
    static let portDefault: UInt16 = 4_318

    /// A host name or an address.
    let host: String
    let port: UInt16
    /// A path before `/v1/…`; mostly empty.
    let basePath: String

    /// Reads a URL; `nil` for what is none, or is not plain HTTP.
    init?(_ url: String) {
        guard let address = APIServerAddress(url: url), !address.isTLS else { return nil }
        let authority = url.dropFirst("http://".count).prefix { $0 != "/" }
        let hasPort =
            authority.contains("]") ? !authority.hasSuffix("]") : authority.contains(":")
        host = address.host
        port = hasPort ? address.port : OTLPEndpoint.portDefault
        basePath = address.basePath
    }

    /// The `Host` field's value.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
