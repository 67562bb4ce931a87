import COpenSSL
import MeshModel

/// Making a server's context.
extension TLSContext {
    /// Sessions without ticket that one virtual host remembers; the oldest give way.
    private static let sessionCacheMax = 4_096
    /// The longest chain of a client's certificate.
    private static let clientChainMax: Int32 = 8
    /// How long a session may be resumed at most (RFC 8446 section 4.6.1: seven days).
    private static let sessionSecondsMax: Int64 = 604_800

    /// Makes a server's context of one certificate, with defaults.
    ///
    /// - Throws: a reason: no certificate, no key, a weak key, a key of another certificate.
    package static func server(chainPEM: [UInt8], keyPEM: [UInt8]) throws(TLSError) -> TLSContext {
        let material = TLSMaterial(chainPEM: chainPEM, keyPEM: keyPEM)
        return try server(TLSServerConfiguration(materials: [material]))
    }

    /// Makes a server's context.
    ///
    /// - Parameter keys: what tickets are sealed by; `nil` for a ring of its own.
    /// - Throws: a reason: of the material, a name of a cipher or group, a CA certificate, the OCSP
    ///   response.
    package static func server(
        _ configuration: TLSServerConfiguration,
        keys: TLSTicketKeys? = nil
    ) throws(TLSError) -> TLSContext {
        var materials: [LoadedMaterial] = []
        for material in configuration.materials { materials.append(try LoadedMaterial(material)) }
        guard !materials.isEmpty else { throw TLSError("expected a certificate, found none") }
        let settings = configuration.settings
        var staple: OCSPStaple?
        if !settings.ocspResponse.isEmpty {
            staple = try OCSPStaple(settings.ocspResponse, of: materials)
        }
        guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw TLSError("OpenSSL could not make a server context: \(lastError())")
        }
        let ring = keys ?? TLSTicketKeys(lifetime: settings.ticketKeyLifetime)
        let state = TLSServerState(configuration, ring, staple, materials: materials)
        let context = unsafe TLSContext(
            pointer,
            server: state,
            sessionScope: configuration.sessionScope
        )
        unsafe SSL_CTX_set_options(pointer, copenssl_server_options())
        try context.configure()
        for material in materials { unsafe try material.use(in: pointer) }
        try context.restrict(settings)
        try context.askForCertificates(settings)
        try context.bindSessions(configuration)
        unsafe state.install(in: pointer)
        return context
    }

    /// Whether one of its certificates is for a host; a wildcard stands for one label (RFC 6125
    /// section 6.4.3).
    func presents(_ name: String) -> Bool {
        let host = name.lowercased()
        let parent = host.firstIndex(of: ".").map { String(host[host.index(after: $0)...]) }
        return server?.hostNames.contains { pattern in
            pattern == .exact(host) || parent.map { pattern == .wildcard(suffix: $0) } == true
        } == true
    }

    private func restrict(_ settings: ListenerTLSSettings) throws(TLSError) {
        let least = settings.minimumVersion == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        let most = settings.maximumVersion == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        guard least <= most, unsafe copenssl_set_version_range(pointer, least, most) == 1 else {
            throw TLSError(
                "TLS versions: expected a range, found \(settings.minimumVersion.rawValue) to "
                    + settings.maximumVersion.rawValue
            )
        }
        // One by one first: in a list OpenSSL passes over names that it does not know.
        let suites = settings.ciphers.filter { $0.hasPrefix("TLS_") }
        for name in suites where unsafe SSL_CTX_set_ciphersuites(pointer, name) != 1 {
            throw TLSError("ciphers: OpenSSL has no TLS 1.3 suite \(name)")
        }
        let ciphers = settings.ciphers.filter { !$0.hasPrefix("TLS_") }
        for name in ciphers {
            // Not `@SECLEVEL=0`, not `ALL`: a name of one cipher has a dash and no operators.
            let isPlain = name.contains("-") && !name.contains { "@:!+, ".contains($0) }
            guard isPlain, unsafe SSL_CTX_set_cipher_list(pointer, name) == 1 else {
                throw TLSError("ciphers: OpenSSL has no TLS 1.2 cipher \(name)")
            }
        }
        if !suites.isEmpty {
            _ = unsafe SSL_CTX_set_ciphersuites(pointer, suites.joined(separator: ":"))
        }
        if !ciphers.isEmpty {
            _ = unsafe SSL_CTX_set_cipher_list(pointer, ciphers.joined(separator: ":"))
        }
        let groups = settings.groups.joined(separator: ":")
        if !groups.isEmpty {
            guard unsafe copenssl_set_groups(pointer, groups) == 1 else {
                throw TLSError("groups: OpenSSL does not know one of \(groups)")
            }
        }
        ERR_clear_error()
    }

    private func askForCertificates(_ settings: ListenerTLSSettings) throws(TLSError) {
        let mode: Int32
        switch settings.clientCertificate {
        case .none: return
        case .optional, .unverified: mode = SSL_VERIFY_PEER
        case .required: mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        }
        unsafe SSL_CTX_set_verify(pointer, mode, nil)
        unsafe SSL_CTX_set_verify_depth(pointer, TLSContext.clientChainMax)
        if settings.clientCertificate == .unverified && settings.clientCAPEM.isEmpty { return }
        try trust(settings.clientCAPEM)
        let authorities = unsafe try TLSContext.certificates(
            settings.clientCAPEM,
            "CA certificates"
        )
        for index in unsafe authorities.indices {
            _ = unsafe SSL_CTX_add_client_CA(pointer, authorities[index])
            unsafe X509_free(authorities[index])
        }
    }

    /// Binds tickets and session ids to the virtual host and what it asks of clients' certificates.
    private func bindSessions(_ configuration: TLSServerConfiguration) throws(TLSError) {
        let settings = configuration.settings
        let text = configuration.sessionScope.text
        var digest = [UInt8](repeating: 0, count: 32)
        guard
            unsafe EVP_Digest(text, text.count, &digest, nil, EVP_sha256(), nil) == 1,
            unsafe SSL_CTX_set_session_id_context(pointer, digest, UInt32(digest.count)) == 1
        else { throw TLSError("OpenSSL could not bind sessions: \(TLSContext.lastError())") }
        guard settings.resumes else {
            unsafe copenssl_set_session_cache(pointer, 0)
            unsafe SSL_CTX_set_options(pointer, copenssl_option_no_ticket())
            _ = unsafe SSL_CTX_set_num_tickets(pointer, 0)
            return
        }
        if configuration.earlyDataByteLimit > 0 {
            // With a bound above 0 OpenSSL makes tickets that name a session it keeps, and takes each
            // once, whichever worker it comes to: what is sent early cannot be sent again.
            let most = configuration.earlyDataByteLimit
            _ = unsafe SSL_CTX_set_max_early_data(pointer, most)
            _ = unsafe SSL_CTX_set_recv_max_early_data(pointer, most)
        }
        unsafe copenssl_set_session_cache(pointer, TLSContext.sessionCacheMax)
        let seconds = settings.ticketKeyLifetime.components.seconds
        let lifetime = max(1, min(seconds, TLSContext.sessionSecondsMax))
        _ = unsafe SSL_CTX_set_timeout(pointer, Int(lifetime))
    }
}
