import COpenSSL
import Synchronization

/// What a virtual host or a client presents: certificate chain, key, versions, ALPN. Immutable once
/// made; sessions keep what they began with.
@safe package final class TLSContext: Sendable {
    private let shared: SharedPointer
    /// What a server's callbacks need; `nil` for clients.
    let server: TLSServerState?
    /// A number that no other context of this process has.
    let number = TLSContext.numbers.wrappingAdd(1, ordering: .relaxed).newValue
    private static let numbers = Atomic<Int32>(0)
    /// What a server's sessions are bound to; `nil` for clients.
    let sessionScope: TLSSessionScope?

    init(
        _ pointer: OpaquePointer,
        server: TLSServerState? = nil,
        sessionScope: TLSSessionScope? = nil
    ) {
        shared = unsafe SharedPointer(pointer)
        self.server = server
        self.sessionScope = sessionScope
    }

    /// The `SSL_CTX`: reference counted, and not changed once sessions are made of it.
    var pointer: OpaquePointer { unsafe shared.pointer }

    deinit { unsafe SSL_CTX_free(pointer) }

    /// Makes a client's context.
    ///
    /// - Parameters:
    ///   - authoritiesPEM: the certificates to trust; empty for the system's own.
    ///   - chainPEM: the client's certificate, leaf first; empty for none.
    ///   - keyPEM: its key.
    ///   - verifies: `false` trusts every certificate.
    ///   - protocols: what is offered by ALPN, in order of preference (RFC 7301); none for no offer.
    package static func client(
        authoritiesPEM: [UInt8],
        chainPEM: [UInt8] = [],
        keyPEM: [UInt8] = [],
        verifies: Bool = true,
        protocols: [String] = []
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
        if !protocols.isEmpty {
            let offer = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            _ = unsafe SSL_CTX_set_alpn_protos(pointer, offer, UInt32(offer.count))
        }
        return context
    }

    func configure() throws(TLSError) {
        guard unsafe copenssl_set_version_range(pointer, TLS1_2_VERSION, TLS1_3_VERSION) == 1 else {
            throw TLSError("OpenSSL does not take TLS 1.2 to 1.3: \(TLSContext.lastError())")
        }
        _ = unsafe copenssl_set_mode(pointer)
    }

    private func use(chainPEM: [UInt8], keyPEM: [UInt8]) throws(TLSError) {
        let certificates = unsafe try TLSContext.certificates(chainPEM, "tls.crt")
        let leaf = unsafe certificates[0]
        defer { unsafe X509_free(leaf) }
        for index in unsafe certificates.indices.dropFirst()
        where unsafe copenssl_add_chain(pointer, certificates[index]) != 1 {
            unsafe X509_free(certificates[index])
        }
        let key = unsafe try TLSContext.privateKey(keyPEM)
        defer { unsafe EVP_PKEY_free(key) }
        let bits = unsafe EVP_PKEY_get_security_bits(key)
        guard bits >= LoadedMaterial.securityBitsMin else {
            throw TLSError(
                "tls.key: expected at least \(LoadedMaterial.securityBitsMin) bits of security"
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

    func trust(_ authoritiesPEM: [UInt8]) throws(TLSError) {
        let certificates = unsafe try TLSContext.certificates(authoritiesPEM, "CA certificates")
        let store = unsafe SSL_CTX_get_cert_store(pointer)
        for index in unsafe certificates.indices {
            _ = unsafe X509_STORE_add_cert(store, certificates[index])
            unsafe X509_free(certificates[index])
        }
        ERR_clear_error()
    }

    /// Reads all certificates of a PEM text: one at least.
    static func certificates(_ pem: [UInt8], _ what: String) throws(TLSError) -> [OpaquePointer] {
        guard let bio = unsafe memory(pem) else {
            throw TLSError("\(what): expected a PEM certificate, found none")
        }
        defer { unsafe BIO_free(bio) }
        var found: [OpaquePointer] = unsafe []
        while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
            unsafe found.append(certificate)
        }
        ERR_clear_error()
        guard unsafe !found.isEmpty else {
            throw TLSError("\(what): expected a PEM certificate, found none")
        }
        return unsafe found
    }

    /// Reads a private key that is not encrypted.
    static func privateKey(_ pem: [UInt8]) throws(TLSError) -> OpaquePointer {
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
}

/// `pem_password_cb`: encrypted keys are refused, nobody is asked.
private func tlsNoPassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int32,
    _ isWriting: Int32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 { 0 }
