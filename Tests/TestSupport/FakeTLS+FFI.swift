import COpenSSL

/// A TLS server's settings, made with OpenSSL alone so that it shares no code with what is tested.
@safe package final class FakeTLSContext {
    /// Where certificates lie.
    package struct Files: Sendable {
        /// The server's certificate, PEM.
        package var certificate: String
        /// Its key, PEM.
        package var key: String
        /// Who must have signed the client's certificate; `nil` where none is asked for.
        package var clientAuthority: String?
        /// Whether it chooses HTTP/2 where that is offered; it says nothing otherwise.
        package var takesHTTP2: Bool

        /// Makes settings of paths.
        package init(
            certificate: String,
            key: String,
            clientAuthority: String? = nil,
            takesHTTP2: Bool = false
        ) {
            self.certificate = certificate
            self.key = key
            self.clientAuthority = clientAuthority
            self.takesHTTP2 = takesHTTP2
        }
    }

    fileprivate let pointer: OpaquePointer

    /// Reads the files; `nil` when one of them cannot be used.
    package init?(_ files: Files) {
        guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else { return nil }
        unsafe self.pointer = pointer
        let usesChain = unsafe SSL_CTX_use_certificate_chain_file(pointer, files.certificate)
        let usesKey = unsafe SSL_CTX_use_PrivateKey_file(pointer, files.key, SSL_FILETYPE_PEM)
        guard usesChain == 1, usesKey == 1 else { return nil }
        if files.takesHTTP2 {
            unsafe SSL_CTX_set_alpn_select_cb(pointer, fakeChooseHTTP2, nil)
        }
        guard let authority = files.clientAuthority else { return }
        guard unsafe SSL_CTX_load_verify_locations(pointer, authority, nil) == 1 else { return nil }
        unsafe SSL_CTX_set_verify(
            pointer,
            SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
            nil
        )
    }

    deinit { unsafe SSL_CTX_free(pointer) }
}

/// `SSL_CTX_alpn_select_cb_func`: HTTP/2 or nothing.
private func fakeChooseHTTP2(
    _ session: OpaquePointer?,
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenLength: UnsafeMutablePointer<UInt8>?,
    _ offer: UnsafePointer<UInt8>?,
    _ offerLength: UInt32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    let names = unsafe UnsafeBufferPointer(start: offer, count: Int(offerLength))
    var at = 0
    while at < names.count {
        let count = unsafe Int(names[at])
        if count == 2, unsafe names[at + 1] == UInt8(ascii: "h"), let offer = unsafe offer {
            unsafe chosen?.pointee = offer + at + 1
            unsafe chosenLength?.pointee = 2
            return SSL_TLSEXT_ERR_OK
        }
        at += 1 + count
    }
    return SSL_TLSEXT_ERR_NOACK
}

/// One server session: ciphertext in, plaintext and ciphertext out.
@safe final class FakeTLS {
    struct Outcome {
        var plaintext: [UInt8] = []
        var output: [UInt8] = []
        var hasFailed = false
        /// Whether the handshake was complete before.
        var wasEstablished = false
    }

    private let session: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    init?(_ context: FakeTLSContext) {
        guard let session = unsafe SSL_new(context.pointer),
            let input = unsafe BIO_new(BIO_s_mem()), let output = unsafe BIO_new(BIO_s_mem())
        else { return nil }
        unsafe SSL_set_bio(session, input, output)
        unsafe SSL_set_accept_state(session)
        unsafe self.session = session
        unsafe self.input = input
        unsafe self.output = output
    }

    deinit { unsafe SSL_free(session) }

    /// The common name of the client's certificate.
    var clientName: String? {
        guard let certificate = unsafe SSL_get1_peer_certificate(session) else { return nil }
        defer { unsafe X509_free(certificate) }
        guard let subject = unsafe X509_get_subject_name(certificate) else { return nil }
        var name = [CChar](repeating: 0, count: 256)
        let length = unsafe X509_NAME_get_text_by_NID(subject, NID_commonName, &name, 256)
        guard length > 0 else { return nil }
        return String(
            decoding: name.prefix(Int(length)).map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }

    /// Whether the handshake is complete and HTTP/2 was chosen.
    var speaksHTTP2: Bool {
        guard unsafe SSL_is_init_finished(session) == 1 else { return false }
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(session, &name, &length)
        return length == 2
    }

    func receive(_ ciphertext: [UInt8]) -> Outcome {
        var outcome = Outcome()
        outcome.wasEstablished = unsafe SSL_is_init_finished(session) == 1
        _ = unsafe BIO_write(input, ciphertext, Int32(ciphertext.count))
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            ERR_clear_error()
            let count = unsafe SSL_read(session, &buffer, 16_384)
            guard count > 0 else {
                let reason = unsafe SSL_get_error(session, count)
                outcome.hasFailed = reason != SSL_ERROR_WANT_READ
                break
            }
            outcome.plaintext += buffer.prefix(Int(count))
        }
        outcome.output = takeOutput()
        return outcome
    }

    func seal(_ plaintext: [UInt8]) -> [UInt8] {
        _ = unsafe SSL_write(session, plaintext, Int32(plaintext.count))
        return takeOutput()
    }

    private func takeOutput() -> [UInt8] {
        var taken: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe BIO_read(output, &buffer, 16_384)
            guard count > 0 else { return taken }
            taken += buffer.prefix(Int(count))
        }
    }
}
