import COpenSSL

/// What came of giving ciphertext to a session.
package enum TLSProgress: Equatable {
    /// That much plaintext was produced; 0 while the handshake goes on.
    case plaintext(Int)
    /// The peer ended the session in order.
    case ended
    /// The session is broken; what is in the output should still be sent.
    case failed(TLSError)
}

/// One TLS session, server or client. Bytes pass through the worker's `TLSTransport`.
@safe final class TLSSession {
    let pointer: OpaquePointer
    private let transport: TLSTransport
    /// What it was made of; OpenSSL's callbacks lead there.
    let context: TLSContext
    /// The listener that a server's session is under, a slot; -1 for any.
    var listener: Int32 = -1
    /// Whether it is a server's.
    var isServer: Bool { context.server != nil }
    /// Whether the handshake is complete.
    private(set) var isEstablished = false
    /// Whether early data came (RFC 8446 section 2.3): what may be a replay, until the handshake is
    /// complete.
    private(set) var hasEarlyData = false
    /// Whether early data may still come.
    private var readsEarlyData = false
    /// Whether the peer has ended the session in order: nothing follows what was produced.
    private(set) var hasEnded = false
    /// Whether HTTP/2 was negotiated.
    private(set) var speaksHTTP2 = false
    /// The name that the client asked for (RFC 6066 section 3); `nil` when it named none.
    var serverName: String? {
        let name = unsafe SSL_get_servername(pointer, TLSEXT_NAMETYPE_host_name)
        guard let name = unsafe name else { return nil }
        return unsafe String(cString: name)
    }
    /// Whether it goes on with what an earlier session agreed on.
    var isResumed: Bool { unsafe copenssl_is_session_reused(pointer) == 1 }

    private init(_ pointer: OpaquePointer, _ transport: TLSTransport, _ context: TLSContext) {
        unsafe self.pointer = unsafe pointer
        self.transport = transport
        self.context = context
    }

    deinit {
        // A connection that was just closed has done nothing wrong: its session may be resumed.
        if isEstablished {
            unsafe SSL_set_shutdown(pointer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        }
        unsafe SSL_free(pointer)
    }

    /// Begins a server's session with the context that its ClientHello asks for.
    static func server(_ context: TLSContext, _ transport: TLSTransport) -> TLSSession? {
        guard let made = make(context, transport) else { return nil }
        unsafe SSL_set_accept_state(made.pointer)
        made.readsEarlyData = context.server?.takesEarlyData == true
        return made
    }

    /// Begins a client's session.
    ///
    /// - Parameter serverName: the name to ask for and to verify; an address is verified only.
    static func client(
        _ context: TLSContext,
        serverName: String,
        isAddress: Bool,
        _ transport: TLSTransport
    ) -> TLSSession? {
        guard let made = make(context, transport) else { return nil }
        unsafe SSL_set_connect_state(made.pointer)
        let parameters = unsafe SSL_get0_param(made.pointer)
        if isAddress {
            _ = unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName)
        } else {
            _ = unsafe copenssl_set_server_name(made.pointer, serverName)
            _ = unsafe X509_VERIFY_PARAM_set1_host(parameters, serverName, 0)
        }
        return made
    }

    private static func make(
        _ context: TLSContext,
        _ transport: TLSTransport
    ) -> TLSSession? {
        guard let pointer = unsafe SSL_new(context.pointer) else { return nil }
        guard let bio = unsafe transport.makeBIO() else {
            unsafe SSL_free(pointer)
            return nil
        }
        unsafe SSL_set_bio(pointer, bio, bio)
        return unsafe TLSSession(pointer, transport, context)
    }

    /// Takes ciphertext and produces plaintext.
    ///
    /// - Parameter target: room for at least as much plaintext as there is ciphertext.
    func receive(_ ciphertext: RawSpan, into target: inout MutableRawSpan) -> TLSProgress {
        ERR_clear_error()
        let room = target.byteCount
        return unsafe target.withUnsafeMutableBytes { buffer in
            let base = buffer.baseAddress
            return transport.lending(ciphertext) { unsafe read(base, room) }.0
        }
    }

    private func read(_ base: UnsafeMutableRawPointer?, _ room: Int) -> TLSProgress {
        guard let base = unsafe base else { return .plaintext(0) }
        var produced = 0
        if readsEarlyData {
            let progress = unsafe readEarlyData(base, room)
            guard !readsEarlyData, case .plaintext(let count) = progress else { return progress }
            produced = count
        }
        if !isEstablished {
            let result = unsafe SSL_do_handshake(pointer)
            guard result == 1 else { return outcome(result, produced: produced) }
            if let error = established() { return .failed(error) }
        }
        while produced < room {
            let room = Int32(clamping: room - produced)
            let count = unsafe SSL_read(pointer, base + produced, room)
            guard count > 0 else { return outcome(count, produced: produced) }
            produced += Int(count)
            // Another call would find nothing, and take and give back a record's buffer to do so.
            guard unsafe transport.hasInput || SSL_has_pending(pointer) == 1 else { break }
        }
        return .plaintext(produced)
    }

    /// Produces what of early data has come; `readsEarlyData` tells whether more may.
    private func readEarlyData(_ base: UnsafeMutableRawPointer, _ room: Int) -> TLSProgress {
        var produced = 0
        while produced < room {
            var count = 0
            let result = unsafe SSL_read_early_data(
                pointer,
                base + produced,
                room - produced,
                &count
            )
            switch result {
            case SSL_READ_EARLY_DATA_SUCCESS:
                if !hasEarlyData { noteProtocol() }
                hasEarlyData = true
                produced += count
            case SSL_READ_EARLY_DATA_FINISH:
                readsEarlyData = false
                return .plaintext(produced)
            default: return outcome(0, produced: produced)
            }
        }
        return .plaintext(produced)
    }

    /// Notes what was agreed on.
    ///
    /// - Returns: why the session is not to go on, if it is not.
    private func established() -> TLSError? {
        if let error = refusalOfResumption { return error }
        isEstablished = true
        forwardedCertificate = readCertificate()
        noteProtocol()
        return nil
    }

    private func noteProtocol() {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(pointer, &name, &length)
        guard length == 2, let name = unsafe name else { return }
        speaksHTTP2 = unsafe name[0] == UInt8(ascii: "h") && name[1] == UInt8(ascii: "2")
    }

    /// A resumed session keeps the client's certificate unseen; its end holds nevertheless.
    private var refusalOfResumption: TLSError? {
        guard let server = context.server, server.clientCertificate != .none,
            server.clientCertificate != .unverified, isResumed,
            let certificate = unsafe SSL_get0_peer_certificate(pointer),
            unsafe X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0
        else { return nil }
        return TLSError("the client's certificate has expired since its session began")
    }

    /// The client's certificate as Envoy writes it in x-forwarded-client-cert (its HTTP header
    /// manipulation page): hash, subject, URI and DNS names, after the own URI. Empty where there is
    /// none that was verified, or endpoints are not told.
    private(set) var forwardedCertificate: [UInt8] = []
    /// Whether endpoints are told of the client's certificate.
    var hasForwardedCertificate: Bool { !forwardedCertificate.isEmpty }

    private func readCertificate() -> [UInt8] {
        guard context.server?.forwardsClientCertificate == true,
            unsafe SSL_get_verify_result(pointer) == Int(X509_V_OK),
            let peer = unsafe SSL_get0_peer_certificate(pointer)
        else { return [] }
        var parts: [String] = []
        if let own = unsafe SSL_get_certificate(pointer),
            let identifier = unsafe CertificateNames(own).identifiers.first
        {
            parts.append("By=\(identifier.forwarded)")
        }
        unsafe parts.append("Hash=\(CertificateText.fingerprint(peer))")
        unsafe parts.append("Subject=\"\(CertificateText.subject(peer).quoted)\"")
        let names = unsafe CertificateNames(peer)
        parts += names.identifiers.map { "URI=\($0.forwarded)" }
        parts += names.domains.map { "DNS=\($0.forwarded)" }
        return Array(parts.joined(separator: ";").utf8)
    }

    private func outcome(_ result: Int32, produced: Int) -> TLSProgress {
        switch unsafe SSL_get_error(pointer, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .plaintext(produced)
        case SSL_ERROR_ZERO_RETURN:
            hasEnded = true
            return produced > 0 ? .plaintext(produced) : .ended
        default: return .failed(TLSError(TLSContext.lastError() + verification))
        }
    }

    /// Why the peer's certificate is not believed; empty where it is, or none was looked at.
    private var verification: String {
        let verdict = unsafe SSL_get_verify_result(pointer)
        guard verdict != Int(X509_V_OK),
            let text = unsafe X509_verify_cert_error_string(verdict)
        else { return "" }
        return unsafe " (\(String(cString: text)))"
    }

    /// Begins a client's handshake: its first flight is in the transport's output after this.
    func startHandshake() -> TLSProgress {
        ERR_clear_error()
        return unsafe outcome(SSL_do_handshake(pointer), produced: 0)
    }

    /// Encrypts plaintext into the transport's output.
    ///
    /// - Returns: how much was taken; less than all when the output is full or the handshake is
    ///   not complete.
    func send(_ plaintext: RawSpan) -> Int {
        ERR_clear_error()
        return unsafe plaintext.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            var sent = 0
            if !isEstablished && hasEarlyData {
                // Before the client's last flight: OpenSSL has a call of its own for this.
                while sent < buffer.count {
                    var count = 0
                    let result = unsafe SSL_write_early_data(
                        pointer,
                        base + sent,
                        buffer.count - sent,
                        &count
                    )
                    guard result == 1, count > 0 else { break }
                    sent += count
                }
                return sent
            }
            while sent < buffer.count {
                let count = unsafe SSL_write(
                    pointer,
                    base + sent,
                    Int32(clamping: buffer.count - sent)
                )
                guard count > 0 else { break }
                sent += Int(count)
            }
            return sent
        }
    }

    /// Puts close_notify into the transport's output.
    func shutDown() {
        ERR_clear_error()
        guard isEstablished else { return }
        _ = unsafe SSL_shutdown(pointer)
        ERR_clear_error()
    }
}
