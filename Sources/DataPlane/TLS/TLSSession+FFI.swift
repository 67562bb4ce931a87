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
    private let pointer: OpaquePointer
    private let transport: TLSTransport
    private let hosts: TLSHostTable?
    /// Whether the handshake is complete.
    private(set) var isEstablished = false
    /// Whether HTTP/2 was negotiated.
    private(set) var speaksHTTP2 = false

    private init(_ pointer: OpaquePointer, _ transport: TLSTransport, _ hosts: TLSHostTable?) {
        unsafe self.pointer = unsafe pointer
        self.transport = transport
        self.hosts = hosts
    }

    deinit { unsafe SSL_free(pointer) }

    /// Begins a server's session.
    static func server(_ hosts: TLSHostTable, _ transport: TLSTransport) -> TLSSession? {
        guard let context = hosts.any, let made = make(context, transport, hosts) else {
            return nil
        }
        unsafe SSL_set_accept_state(made.pointer)
        let argument = unsafe Unmanaged.passUnretained(made).toOpaque()
        unsafe SSL_set_ex_data(made.pointer, 0, argument)
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
        guard let made = make(context, transport, nil) else { return nil }
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
        _ transport: TLSTransport,
        _ hosts: TLSHostTable?
    ) -> TLSSession? {
        guard let pointer = unsafe SSL_new(context.pointer) else { return nil }
        guard let bio = unsafe transport.makeBIO() else {
            unsafe SSL_free(pointer)
            return nil
        }
        unsafe SSL_set_bio(pointer, bio, bio)
        return unsafe TLSSession(pointer, transport, hosts)
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
        if !isEstablished {
            let result = unsafe SSL_do_handshake(pointer)
            guard result == 1 else { return outcome(result, produced: 0) }
            established()
        }
        var produced = 0
        while produced < room {
            let room = Int32(clamping: room - produced)
            let count = unsafe SSL_read(pointer, base + produced, room)
            guard count > 0 else { return outcome(count, produced: produced) }
            produced += Int(count)
        }
        return .plaintext(produced)
    }

    private func established() {
        isEstablished = true
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(pointer, &name, &length)
        guard length == 2, let name = unsafe name else { return }
        speaksHTTP2 = unsafe name[0] == UInt8(ascii: "h") && name[1] == UInt8(ascii: "2")
    }

    private func outcome(_ result: Int32, produced: Int) -> TLSProgress {
        switch unsafe SSL_get_error(pointer, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .plaintext(produced)
        case SSL_ERROR_ZERO_RETURN: return produced > 0 ? .plaintext(produced) : .ended
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

    /// Chooses the context for the server name of a ClientHello, before anything is negotiated.
    ///
    /// - Returns: `false` when no host answers the name.
    fileprivate func choose(_ name: String?) -> Bool {
        guard let hosts else { return true }
        guard let context = name.flatMap({ hosts.context(for: $0) }) ?? hosts.fallback else {
            return false
        }
        unsafe SSL_set_SSL_CTX(pointer, context.pointer)
        return true
    }
}

/// `SSL_CTX_set_client_hello_cb`: unpacks the server name and forwards.
func tlsClientHello(
    _ session: OpaquePointer?,
    _ alert: UnsafeMutablePointer<Int32>?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let pointer = unsafe SSL_get_ex_data(session, 0) else { return SSL_CLIENT_HELLO_SUCCESS }
    let owner = unsafe Unmanaged<TLSSession>.fromOpaque(pointer).takeUnretainedValue()
    var bytes: UnsafePointer<UInt8>?
    var length = 0
    var name: String?
    if unsafe SSL_client_hello_get0_ext(session, UInt32(TLSEXT_TYPE_server_name), &bytes, &length)
        == 1, let bytes = unsafe bytes
    {
        let buffer = unsafe UnsafeRawBufferPointer(start: bytes, count: length)
        name = unsafe ServerName.parse(extension: Array(buffer))
    }
    guard owner.choose(name) else {
        unsafe alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
        return SSL_CLIENT_HELLO_ERROR
    }
    return SSL_CLIENT_HELLO_SUCCESS
}
