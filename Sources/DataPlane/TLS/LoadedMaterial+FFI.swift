import COpenSSL
import LinuxSystem
import MeshModel

/// A certificate with chain and key as OpenSSL holds them, checked: what cannot serve, or should
/// not, is refused with a reason.
@safe final class LoadedMaterial {
    /// The fewest security bits of a key or a signature (NIST SP 800-57: 112 is RSA 2048, EC 224 and
    /// SHA-224; MD5 and SHA-1 have less).
    static let securityBitsMin: Int32 = 112

    let leaf: OpaquePointer
    let key: OpaquePointer
    private let chain: [OpaquePointer]

    /// Reads material.
    ///
    /// - Throws: what is wrong: no certificate, no key, a key of another certificate, a weak key or
    ///   signature, an end that has passed.
    init(_ material: TLSMaterial) throws(TLSError) {
        let certificates = unsafe try TLSContext.certificates(material.chainPEM, "tls.crt")
        unsafe leaf = unsafe certificates[0]
        unsafe chain = unsafe Array(certificates.dropFirst())
        do {
            unsafe key = unsafe try TLSContext.privateKey(material.keyPEM)
        } catch {
            for index in unsafe certificates.indices { unsafe X509_free(certificates[index]) }
            throw error
        }
        try check()
    }

    deinit {
        unsafe X509_free(leaf)
        unsafe EVP_PKEY_free(key)
        for index in unsafe chain.indices { unsafe X509_free(chain[index]) }
    }

    private func check() throws(TLSError) {
        let bits = unsafe EVP_PKEY_get_security_bits(key)
        guard bits >= LoadedMaterial.securityBitsMin else {
            throw TLSError(
                "tls.key: expected at least \(LoadedMaterial.securityBitsMin) bits of security"
                    + " (RSA 2048, EC 224), found \(bits)"
            )
        }
        guard unsafe X509_check_private_key(leaf, key) == 1 else {
            throw TLSError("tls.key: is not the key of tls.crt: \(TLSContext.lastError())")
        }
        unsafe try checkSignature(leaf)
        for index in unsafe chain.indices
        where unsafe X509_check_issued(chain[index], chain[index]) != Int32(X509_V_OK) {
            unsafe try checkSignature(chain[index])
        }
        try checkEnd()
    }

    private func checkSignature(_ certificate: OpaquePointer) throws(TLSError) {
        var digest: Int32 = 0
        var bits: Int32 = 0
        guard
            unsafe X509_get_signature_info(certificate, &digest, nil, &bits, nil) == 1
        else { throw TLSError("tls.crt: is signed in a way that OpenSSL does not know") }
        guard bits >= LoadedMaterial.securityBitsMin else {
            let name = unsafe OBJ_nid2sn(digest).map { unsafe String(cString: $0) } ?? "unknown"
            throw TLSError(
                "tls.crt: expected a signature of at least \(LoadedMaterial.securityBitsMin) bits"
                    + " of security (SHA-256), found \(name) with \(bits)"
            )
        }
    }

    private func checkEnd() throws(TLSError) {
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard
            unsafe ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(leaf)) == 1
        else { throw TLSError("tls.crt: expected a time it ends at, found none") }
        guard days >= 0 && seconds >= 0 else {
            throw TLSError("tls.crt: expected a certificate in force, it expired \(-days) days ago")
        }
    }

    /// Has a context present it, besides those of other kinds of keys.
    func use(in context: OpaquePointer) throws(TLSError) {
        guard let stack = unsafe copenssl_chain_new() else {
            throw TLSError("tls.crt: no memory is left for its chain")
        }
        defer { unsafe copenssl_chain_free(stack) }
        for index in unsafe chain.indices { _ = unsafe copenssl_chain_push(stack, chain[index]) }
        guard unsafe copenssl_set_certificate(context, leaf, key, stack) == 1 else {
            throw TLSError("tls.crt: OpenSSL refuses it: \(TLSContext.lastError())")
        }
    }

    /// The kind of its key, OpenSSL's number.
    var keyKind: Int32 { unsafe EVP_PKEY_get_base_id(key) }

    /// When the leaf ends, the wall clock's nanoseconds.
    var endNanoseconds: UInt64 {
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard unsafe ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(leaf)) == 1 else {
            return 0
        }
        let left = Int64(days) * 86_400 + Int64(seconds)
        return Clock.wallNanoseconds() &+ UInt64(max(0, left)) * 1_000_000_000
    }

    /// The certificate that signed it, where the chain has it.
    var issuer: OpaquePointer? { unsafe chain.first }

    /// The host names it is for; its subject's where it has no alternative names.
    var names: [HostPattern] {
        let found = unsafe CertificateNames(leaf).domains
        return found.map { HostPattern($0) }
    }
}

/// The names in a certificate's subjectAltName (RFC 5280 section 4.2.1.6) that are text.
struct CertificateNames {
    /// Of kind dNSName.
    private(set) var domains: [String] = []
    /// Of kind uniformResourceIdentifier.
    private(set) var identifiers: [String] = []

    /// Reads a certificate's.
    init(_ certificate: OpaquePointer) {
        let extensionPointer = unsafe X509_get_ext_d2i(
            certificate,
            NID_subject_alt_name,
            nil,
            nil
        )
        guard let pointer = unsafe extensionPointer else { return }
        let list = OpaquePointer(pointer)
        defer { unsafe GENERAL_NAMES_free(list) }
        let count = unsafe copenssl_name_count(list)
        for index in 0..<count {
            guard let name = unsafe copenssl_name(list, index),
                let text = unsafe CertificateNames.text(name)
            else { continue }
            if unsafe copenssl_name_is_uri(name) == 1 {
                identifiers.append(text)
            } else {
                domains.append(text.lowercased())
            }
        }
    }

    /// Printable text only: nothing in it can break a header line.
    private static func text(_ name: UnsafePointer<GENERAL_NAME>) -> String? {
        guard let string = unsafe copenssl_name_text(name),
            let start = unsafe ASN1_STRING_get0_data(string)
        else { return nil }
        let count = Int(unsafe ASN1_STRING_length(string))
        let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
