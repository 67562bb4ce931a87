import COpenSSL
import LinuxSystem

/// What a certificate's authority says of it (RFC 6960), as a server staples it to its handshakes
/// (RFC 6066 section 8).
struct OCSPStaple: Sendable {
    /// How far a response's time may lie ahead: clocks differ.
    private static let aheadSecondsMax: Int64 = 300
    /// status_request in a certificate's TLS feature extension (RFC 7633 section 4), DER.
    private static let statusRequest: [UInt8] = [0x02, 0x01, 0x05]

    /// What the authority says.
    enum Verdict: Sendable {
        case good
        case revoked
        case unknown
    }

    /// The response, DER.
    let response: [UInt8]
    /// The serial number of the certificate it is about.
    let serial: [UInt8]
    let verdict: Verdict
    /// The wall clock's nanoseconds from which on it is stale.
    let endNanoseconds: UInt64

    /// Whether it says that the certificate is good, and still may be believed: no other is shown.
    var isGood: Bool { isFresh && verdict == .good }
    private var isFresh: Bool { Clock.wallNanoseconds() < endNanoseconds }

    /// Why it is not shown; `nil` where it is.
    var fault: String? {
        switch verdict {
        case .revoked: "OCSP response: the certificate is revoked"
        case .unknown: "OCSP response: its authority does not know the certificate"
        case .good: isFresh ? nil : "OCSP response: its time has passed"
        }
    }

    /// Reads a response about one of some certificates.
    ///
    /// - Throws: what is wrong: not a response, no success, about another certificate or one of
    ///   another authority, signed by somebody else, not in force yet.
    init(_ response: [UInt8], of materials: [LoadedMaterial]) throws(TLSError) {
        self.response = response
        let parsed = unsafe response.withUnsafeBufferPointer { buffer in
            var start = buffer.baseAddress
            return unsafe d2i_OCSP_RESPONSE(nil, &start, buffer.count)
        }
        ERR_clear_error()
        guard let outer = unsafe parsed else {
            throw TLSError("OCSP response: expected DER of RFC 6960, found something else")
        }
        defer { unsafe OCSP_RESPONSE_free(outer) }
        guard unsafe OCSP_response_status(outer) == OCSP_RESPONSE_STATUS_SUCCESSFUL,
            let basic = unsafe OCSP_response_get1_basic(outer)
        else { throw TLSError("OCSP response: expected a successful one, found an error") }
        defer { unsafe OCSP_BASICRESP_free(basic) }
        for material in materials {
            guard let single = unsafe OCSPStaple.single(basic, about: material) else { continue }
            if let issuer = unsafe material.issuer, unsafe !OCSPStaple.isSigned(basic, by: issuer) {
                throw TLSError("OCSP response: is not signed by the certificate's authority")
            }
            serial = unsafe OCSPStaple.serial(of: material.leaf)
            var reason: Int32 = 0
            var start: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
            var end: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
            let status = unsafe OCSP_single_get0_status(single, &reason, nil, &start, &end)
            switch status {
            case V_OCSP_CERTSTATUS_GOOD: verdict = .good
            case V_OCSP_CERTSTATUS_REVOKED: verdict = .revoked
            default: verdict = .unknown
            }
            let ahead = unsafe OCSPStaple.seconds(until: start) ?? 0
            guard ahead <= OCSPStaple.aheadSecondsMax else {
                throw TLSError("OCSP response: begins in \(ahead) seconds")
            }
            // A response without end is stale a day from now.
            let left = unsafe end == nil ? 86_400 : OCSPStaple.seconds(until: end) ?? 0
            endNanoseconds =
                left <= 0 ? 0 : Clock.wallNanoseconds() + UInt64(left) * 1_000_000_000
            return
        }
        throw TLSError("OCSP response: is about none of the listener's certificates")
    }

    /// A certificate's serial number.
    static func serial(of certificate: OpaquePointer) -> [UInt8] {
        guard let number = unsafe X509_get0_serialNumber(certificate) else { return [] }
        return unsafe bytes(number)
    }

    /// Whether a certificate says that it is not to be served without a response (RFC 7633).
    static func isDemanded(by certificate: OpaquePointer) -> Bool {
        let place = unsafe X509_get_ext_by_NID(certificate, NID_tlsfeature, -1)
        guard place >= 0, let found = unsafe X509_get_ext(certificate, place),
            let content = unsafe X509_EXTENSION_get_data(found)
        else { return false }
        return unsafe bytes(content).firstRange(of: statusRequest) != nil
    }

    /// What a response says about a certificate: its serial number and its authority must be named.
    private static func single(
        _ basic: OpaquePointer,
        about material: LoadedMaterial
    ) -> OpaquePointer? {
        let count = unsafe OCSP_resp_count(basic)
        for index in 0..<count {
            guard let single = unsafe OCSP_resp_get0(basic, index) else { continue }
            var issuer: UnsafeMutablePointer<ASN1_OCTET_STRING>?
            var digest: OpaquePointer?
            var key: UnsafeMutablePointer<ASN1_OCTET_STRING>?
            var number: UnsafeMutablePointer<ASN1_INTEGER>?
            guard unsafe copenssl_single_id(single, &issuer, &digest, &key, &number) == 1,
                let issuer = unsafe issuer, let digest = unsafe digest,
                let number = unsafe number,
                unsafe ASN1_INTEGER_cmp(number, X509_get0_serialNumber(material.leaf)) == 0,
                unsafe bytes(issuer) == issuerHash(of: material.leaf, digest)
            else { continue }
            return unsafe single
        }
        return nil
    }

    /// The digest of the name of a certificate's authority.
    private static func issuerHash(of leaf: OpaquePointer, _ digest: OpaquePointer) -> [UInt8]? {
        guard let name = unsafe X509_get_issuer_name(leaf),
            let method = unsafe copenssl_digest(digest)
        else { return nil }
        var hash = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard unsafe X509_NAME_digest(name, method, &hash, &count) == 1 else { return nil }
        return Array(hash.prefix(Int(count)))
    }

    private static func bytes(_ string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        guard let start = unsafe ASN1_STRING_get0_data(string) else { return [] }
        let count = Int(unsafe ASN1_STRING_length(string))
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    private static func isSigned(_ basic: OpaquePointer, by issuer: OpaquePointer) -> Bool {
        guard let store = unsafe X509_STORE_new() else { return false }
        defer { unsafe X509_STORE_free(store) }
        guard let extra = unsafe copenssl_chain_new() else { return false }
        defer { unsafe copenssl_chain_free(extra) }
        _ = unsafe copenssl_chain_push(extra, issuer)
        _ = unsafe X509_STORE_add_cert(store, issuer)
        _ = unsafe X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        let isSigned = unsafe OCSP_basic_verify(basic, extra, store, 0) == 1
        ERR_clear_error()
        return isSigned
    }

    /// From now; `nil` for what is no time.
    private static func seconds(
        until time: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    ) -> Int64? {
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard unsafe ASN1_TIME_diff(&days, &seconds, nil, time) == 1 else { return nil }
        return Int64(days) * 86_400 + Int64(seconds)
    }
}
