import COpenSSL
import MeshModel

extension TLSContext {
    /// Makes the context of sessions with a cluster's endpoints.
    ///
    /// - Parameters:
    ///   - settings: the CA certificates and the oldest version.
    ///   - certificate: the own certificate, if any.
    ///   - protocols: what is offered by ALPN, in order of preference (RFC 7301).
    package static func endpoint(
        _ settings: BackendTLSSettings,
        certificate: Certificate?,
        protocols: [String]
    ) throws(TLSError) -> TLSContext {
        let context = try client(
            authoritiesPEM: settings.caPEM,
            chainPEM: certificate?.chainPEM ?? [],
            keyPEM: certificate?.keyPEM ?? [],
            protocols: protocols
        )
        let least = settings.minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
        guard
            unsafe copenssl_set_version_range(context.pointer, least, TLS1_3_VERSION) == 1
        else { throw TLSError("OpenSSL does not take TLS \(settings.minimumVersion.rawValue)") }
        return context
    }
}
