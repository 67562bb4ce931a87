import COpenSSL
import LinuxSystem

/// What a certificate's authority says of it (RFC 6960), as a server staples it to its handshakes
/// (RFC 6066 section 8).
struct OCSPStaple: Sendable {
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

    /// Whether it may still be shown.
    var isFresh: Bool { Clock.wallNanoseconds() < endNanoseconds }
    /// Whether it lets a handshake that needs one go on.
    var isGood: Bool { isFresh && verdict == .good }

    /// Reads a response about one of some certificates.
    ///
    /// - Throws: what is wrong: not a response, no success, about another certificate, signed by
    ///   somebody else.
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
            guard let single = unsafe OCSPStaple.single(basic, about: material.leaf) else {
                continue
            }
            if let issuer = unsafe material.issuer, unsafe !OCSPStaple.isSigned(basic, by: issuer) {
                throw TLSError("OCSP response: is not signed by the certificate's authority")
            }
            serial = unsafe OCSPStaple.serial(of: material.leaf)
            var reason: Int32 = 0
            var end: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
            let status = unsafe OCSP_single_get0_status(single, &reason, nil, nil, &end)
            switch status {
            case V_OCSP_CERTSTATUS_GOOD: verdict = .good
            case V_OCSP_CERTSTATUS_REVOKED: verdict = .revoked
            default: verdict = .unknown
            }
            endNanoseconds = unsafe OCSPStaple.nanoseconds(until: end)
            return
        }
        throw TLSError("OCSP response: is about none of the listener's certificates")
    }

    /// A certificate's serial number.
    static func serial(of certificate: OpaquePointer) -> [UInt8] {
        guard let number = unsafe X509_get0_serialNumber(certificate),
            let start = unsafe ASN1_STRING_get0_data(number)
        else { return [] }
        let count = Int(unsafe ASN1_STRING_length(number))
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    private static func single(_ basic: OpaquePointer, about leaf: OpaquePointer) -> OpaquePointer?
    {
        let count = unsafe OCSP_resp_count(basic)
        for index in 0..<count {
            guard let single = unsafe OCSP_resp_get0(basic, index) else { continue }
            var number: UnsafeMutablePointer<ASN1_INTEGER>?
            guard unsafe copenssl_serial(single, &number) == 1 else { continue }
            if let number = unsafe number,
                unsafe ASN1_INTEGER_cmp(number, X509_get0_serialNumber(leaf)) == 0
            {
                return unsafe single
            }
        }
        return nil
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

    /// The wall clock's nanoseconds at a time; a response without end is stale a day from now.
    private static func nanoseconds(
        until time: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    ) -> UInt64 {
        var days: Int32 = 1
        var seconds: Int32 = 0
        if let time = unsafe time {
            guard unsafe ASN1_TIME_diff(&days, &seconds, nil, time) == 1 else { return 0 }
        }
        let left = Int64(days) * 86_400 + Int64(seconds)
        guard left > 0 else { return 0 }
        return Clock.wallNanoseconds() + UInt64(left) * 1_000_000_000
    }
}
