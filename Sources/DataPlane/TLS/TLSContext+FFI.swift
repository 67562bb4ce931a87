import COpenSSL

/// What a virtual host or a client presents: certificate chain, key, versions, ALPN. Immutable once
/// made; sessions keep what they began with.
@safe package final class TLSContext: Sendable {
    /// Protocols offered, in order of preference, in the form of RFC 7301: length-prefixed names.
    private static let offered: [UInt8] = [2] + Array("h2".utf8) + [8] + Array("http/1.1".utf8)
    /// The fewest security bits a key may have (NIST SP 800-57: 112 is RSA 2048).
    private static let securityBitsMin: Int32 = 112

    private let shared: SharedPointer

    private init(_ pointer: OpaquePointer) {
        shared = unsafe SharedPointer(pointer)
    }

    /// The `SSL_CTX`: reference counted, and not changed once sessions are made of it.
    var pointer: OpaquePointer { unsafe shared.pointer }

    deinit { unsafe SSL_CTX_free(pointer) }

    /// Makes a server's context.
    ///
    /// - Parameters:
    ///   - chainPEM: the leaf first.
    ///   - keyPEM: its private key, not encrypted.
    /// - Throws: a reason: no certificate, no key, a weak key, a key of another certificate.
    package static func server(chainPEM: [UInt8], keyPEM: [UInt8]) throws(TLSError) -> TLSContext {
        guard let pointer = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw TLSError("OpenSSL could not make a server context: \(lastError())")
        }
        let context = unsafe TLSContext(pointer)
        unsafe SSL_CTX_set_options(pointer, copenssl_server_options())
        unsafe SSL_CTX_set_alpn_select_cb(pointer, tlsSelectProtocol, nil)
        unsafe SSL_CTX_set_client_hello_cb(pointer, tlsClientHello, nil)
        try context.configure()
        try context.use(chainPEM: chainPEM, keyPEM: keyPEM)
        return context
    }

    /// Makes a client's context.
    ///
    /// - Parameters:
    ///   - authoritiesPEM: the certificates to trust; empty for the system's own.
    ///   - chainPEM: the client's certificate, leaf first; empty for none.
    ///   - keyPEM: its key.
    ///   - verifies: `false` trusts every certificate.
    package static func client(
        authoritiesPEM: [UInt8],
        chainPEM: [UInt8] = [],
        keyPEM: [UInt8] = [],
        verifies: Bool = true
    ) throws(TLSError) -> TLSContext {
        guard let pointer = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw TLSError("OpenSSL could not make a client context: \(lastError())")
        }
        let context = unsafe TLSContext(pointer)
        try context.configure()
        unsafe SSL_CTX_set_verify(pointer, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        if authoritiesPEM.isEmpty {
            _ = unsafe SSL_CTX_set_default_verify_paths(pointer)
        } else {
            try context.trust(authoritiesPEM)
        }
        if !chainPEM.isEmpty { try context.use(chainPEM: chainPEM, keyPEM: keyPEM) }
        return context
    }

    private func configure() throws(TLSError) {
        guard unsafe copenssl_set_version_range(pointer, TLS1_2_VERSION, TLS1_3_VERSION) == 1 else {
            throw TLSError("OpenSSL does not take TLS 1.2 to 1.3: \(TLSContext.lastError())")
        }
        _ = unsafe copenssl_set_mode(pointer)
    }

    private func use(chainPEM: [UInt8], keyPEM: [UInt8]) throws(TLSError) {
        let certificates = unsafe try TLSContext.certificates(chainPEM)
        guard let leaf = unsafe certificates.first else {
            throw TLSError("tls.crt: expected a PEM certificate, found none")
        }
        defer { unsafe X509_free(leaf) }
        for index in unsafe certificates.indices.dropFirst()
        where unsafe copenssl_add_chain(pointer, certificates[index]) != 1 {
            unsafe X509_free(certificates[index])
        }
        let key = unsafe try TLSContext.privateKey(keyPEM)
        defer { unsafe EVP_PKEY_free(key) }
        let bits = unsafe EVP_PKEY_get_security_bits(key)
        guard bits >= TLSContext.securityBitsMin else {
            throw TLSError(
                "tls.key: expected at least \(TLSContext.securityBitsMin) bits of security"
                    + " (RSA 2048), found \(bits)"
            )
        }
        guard unsafe SSL_CTX_use_certificate(pointer, leaf) == 1 else {
            throw TLSError("tls.crt: OpenSSL refuses it: \(TLSContext.lastError())")
        }
        guard unsafe SSL_CTX_use_PrivateKey(pointer, key) == 1,
            unsafe SSL_CTX_check_private_key(pointer) == 1
        else {
            throw TLSError("tls.key: is not the key of tls.crt: \(TLSContext.lastError())")
        }
    }

    private func trust(_ authoritiesPEM: [UInt8]) throws(TLSError) {
        let certificates = unsafe try TLSContext.certificates(authoritiesPEM)
        let store = unsafe SSL_CTX_get_cert_store(pointer)
        for index in unsafe certificates.indices {
            _ = unsafe X509_STORE_add_cert(store, certificates[index])
            unsafe X509_free(certificates[index])
        }
        ERR_clear_error()
    }

    private static func certificates(_ pem: [UInt8]) throws(TLSError) -> [OpaquePointer] {
        guard let bio = unsafe memory(pem) else {
            throw TLSError("expected a PEM certificate, found none")
        }
        defer { unsafe BIO_free(bio) }
        var found: [OpaquePointer] = unsafe []
        while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
            unsafe found.append(certificate)
        }
        ERR_clear_error()
        guard unsafe !found.isEmpty else {
            throw TLSError("expected a PEM certificate, found none")
        }
        return unsafe found
    }

    private static func privateKey(_ pem: [UInt8]) throws(TLSError) -> OpaquePointer {
        guard let bio = unsafe memory(pem) else {
            throw TLSError("tls.key: expected a PEM private key, found none")
        }
        defer { unsafe BIO_free(bio) }
        guard let key = unsafe PEM_read_bio_PrivateKey(bio, nil, tlsNoPassphrase, nil) else {
            throw TLSError("tls.key: expected a PEM private key: \(lastError())")
        }
        return unsafe key
    }

    private static func memory(_ bytes: [UInt8]) -> OpaquePointer? {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe BIO_write(bio, buffer.baseAddress, Int32(clamping: buffer.count))
        }
        guard count == Int32(clamping: bytes.count), count > 0 else {
            unsafe BIO_free(bio)
            return nil
        }
        return unsafe bio
    }

    /// OpenSSL's last error of this thread as text; clears the queue.
    static func lastError() -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return "no detail" }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            unsafe ERR_error_string_n(code, buffer.baseAddress, buffer.count)
            return unsafe buffer.baseAddress.map { unsafe String(cString: $0) } ?? "no detail"
        }
    }

    /// Picks HTTP/2 before HTTP/1.1 of what the client offers.
    fileprivate static func select(
        _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>,
        _ outLength: UnsafeMutablePointer<UInt8>,
        _ offer: UnsafePointer<UInt8>,
        _ offerLength: UInt32
    ) -> Int32 {
        unsafe offered.withUnsafeBufferPointer { own in
            guard let base = own.baseAddress else { return SSL_TLSEXT_ERR_NOACK }
            var chosen: UnsafeMutablePointer<UInt8>?
            let result = unsafe SSL_select_next_proto(
                &chosen,
                outLength,
                base,
                UInt32(own.count),
                offer,
                offerLength
            )
            guard result == OPENSSL_NPN_NEGOTIATED, let chosen = unsafe chosen else {
                return SSL_TLSEXT_ERR_NOACK
            }
            // The choice points into one of the two lists; the client's outlives the call.
            let length = unsafe outLength.pointee
            unsafe out.pointee = unsafe find(UnsafePointer(chosen), length, offer, offerLength)
            return unsafe out.pointee == nil ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK
        }
    }

    private static func find(
        _ name: UnsafePointer<UInt8>,
        _ length: UInt8,
        _ offer: UnsafePointer<UInt8>,
        _ offerLength: UInt32
    ) -> UnsafePointer<UInt8>? {
        var at = 0
        while at < Int(offerLength) {
            let count = Int(unsafe offer[at])
            guard at + 1 + count <= Int(offerLength) else { return nil }
            var isEqual = count == Int(length)
            for index in 0..<count where isEqual {
                isEqual = unsafe offer[at + 1 + index] == name[index]
            }
            if isEqual { return unsafe offer + at + 1 }
            at += 1 + count
        }
        return nil
    }
}

/// `SSL_CTX_set_alpn_select_cb`.
private func tlsSelectProtocol(
    _ session: OpaquePointer?,
    _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ outLength: UnsafeMutablePointer<UInt8>?,
    _ offer: UnsafePointer<UInt8>?,
    _ offerLength: UInt32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let out = unsafe out, let outLength = unsafe outLength, let offer = unsafe offer else {
        return SSL_TLSEXT_ERR_NOACK
    }
    return unsafe TLSContext.select(out, outLength, offer, offerLength)
}

/// `pem_password_cb`: encrypted keys are refused, nobody is asked.
private func tlsNoPassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int32,
    _ isWriting: Int32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 { 0 }
