import COpenSSL
import MeshModel

/// What a session with an endpoint agreed on, to go on with on another connection.
@safe final class TLSResumption {
    fileprivate let pointer: OpaquePointer

    fileprivate init(_ pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }

    deinit { unsafe SSL_SESSION_free(pointer) }
}

/// Sessions with endpoints.
extension TLSSession {
    /// Begins a session with an endpoint.
    ///
    /// - Parameters:
    ///   - isAddress: whether the settings' host is an address, which is verified and not sent.
    ///   - resumption: what an earlier session of the same identity agreed on.
    static func endpoint(
        _ context: TLSContext,
        _ settings: BackendTLSSettings,
        isAddress: Bool,
        resuming resumption: TLSResumption?,
        _ transport: TLSTransport
    ) -> TLSSession? {
        guard
            let made = client(
                context,
                serverName: settings.host,
                isAddress: isAddress,
                transport
            )
        else { return nil }
        if !settings.names.isEmpty {
            let parameters = unsafe SSL_get0_param(made.pointer)
            _ = unsafe X509_VERIFY_PARAM_set1_host(parameters, nil, 0)
            _ = unsafe X509_VERIFY_PARAM_set1_ip(parameters, nil, 0)
            if !settings.hasIdentifiers {
                for case .host(let name) in settings.names {
                    _ = unsafe X509_VERIFY_PARAM_add1_host(parameters, name, 0)
                }
            }
        }
        if let resumption { _ = unsafe SSL_set_session(made.pointer, resumption.pointer) }
        return made
    }

    /// Whether the endpoint's certificate has one of the names that the settings ask for. Names
    /// that are hosts only were verified during the handshake.
    func hasName(of settings: BackendTLSSettings) -> Bool {
        guard settings.hasIdentifiers else { return true }
        guard let certificate = unsafe SSL_get0_peer_certificate(pointer) else { return false }
        let identifiers = unsafe CertificateNames(certificate).identifiers
        return settings.names.contains { name in
            switch name {
            case .host(let host):
                unsafe X509_check_host(certificate, host, host.utf8.count, 0, nil) == 1
            case .uri(let text): identifiers.contains(text)
            }
        }
    }

    /// What may be gone on with later; `nil` where the endpoint gave no ticket.
    var resumption: TLSResumption? {
        guard isEstablished, let session = unsafe SSL_get1_session(pointer) else { return nil }
        guard unsafe SSL_SESSION_is_resumable(session) == 1 else {
            unsafe SSL_SESSION_free(session)
            return nil
        }
        return unsafe TLSResumption(session)
    }

    /// Whether the chain or the names of the endpoint's certificate were not believed.
    var failedVerification: Bool { unsafe SSL_get_verify_result(pointer) != Int(X509_V_OK) }
}

extension BackendTLSSettings {
    /// Whether a name is a URI, which OpenSSL does not verify itself.
    var hasIdentifiers: Bool {
        names.contains { if case .uri = $0 { true } else { false } }
    }
}
