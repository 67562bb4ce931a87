import COpenSSL
import MeshModel

/// What OpenSSL's callbacks need to know of the virtual host whose session they are called for.
/// Immutable: it lives as long as its context, and every session keeps its context.
final class TLSServerState: Sendable {
    /// ALPN names in order of preference: each after its length.
    let protocols: [UInt8]
    /// Whether a client that offers only other protocols is refused.
    let requiresProtocol: Bool
    /// What seals tickets; `nil` where there are none.
    let ticketKeys: TLSTicketKeys?
    /// What is asked of clients' certificates.
    let clientCertificate: ListenerTLSSettings.ClientCertificate
    /// Names, one of which a client's certificate must have; empty for any.
    let clientNames: Set<String>
    /// Whether endpoints are told of the client's certificate.
    let forwardsClientCertificate: Bool
    /// Host names that its certificates are for.
    let hostNames: [HostPattern]
    /// Whether early data is taken.
    let takesEarlyData: Bool
    /// What is stapled.
    let staple: OCSPStaple?
    /// Whether a handshake fails where there is nothing good to staple.
    let requiresStaple: Bool
    /// Whether one of its certificates says that it is not to be served without a response.
    let hasStapleDemand: Bool

    init(
        _ configuration: TLSServerConfiguration,
        _ keys: TLSTicketKeys?,
        _ staple: OCSPStaple?,
        materials: [LoadedMaterial]
    ) {
        hostNames = materials.flatMap(\.names)
        hasStapleDemand = materials.contains { unsafe OCSPStaple.isDemanded(by: $0.leaf) }
        let settings = configuration.settings
        protocols = configuration.protocols
        requiresProtocol = !settings.alpn.isEmpty
        ticketKeys = settings.resumes ? keys : nil
        clientCertificate = settings.clientCertificate
        clientNames = Set(settings.clientNames.map { $0.lowercased() })
        forwardsClientCertificate =
            settings.forwardsClientCertificate && settings.clientCertificate != .none
        takesEarlyData = configuration.earlyDataByteLimit > 0
        self.staple = staple
        requiresStaple = settings.requiresStaple
    }

    /// Whether one of a certificate's names is among those that are asked for.
    func admits(_ names: CertificateNames) -> Bool {
        clientNames.isEmpty
            || (names.domains + names.identifiers).contains {
                clientNames.contains($0.lowercased())
            }
    }

    /// Has the callbacks of a context find this.
    func install(in context: OpaquePointer) {
        let argument = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe SSL_CTX_set_ex_data(context, 0, argument)
        unsafe SSL_CTX_set_alpn_select_cb(context, tlsSelectProtocol, argument)
        if ticketKeys != nil {
            _ = unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tlsTicketKey)
        }
        if clientCertificate != .none {
            unsafe SSL_CTX_set_cert_verify_callback(context, tlsVerifyClient, argument)
        }
        if staple != nil || requiresStaple || hasStapleDemand {
            unsafe copenssl_set_status_callback(context, tlsStaple, argument)
        }
    }

    fileprivate static func of(_ argument: UnsafeMutableRawPointer?) -> TLSServerState? {
        guard let argument = unsafe argument else { return nil }
        return unsafe Unmanaged<TLSServerState>.fromOpaque(argument).takeUnretainedValue()
    }

    /// Picks the first of the own protocols that the client offers.
    ///
    /// - Returns: where it is in the offer, and its length.
    fileprivate func select(_ offer: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        var own = 0
        while own < protocols.count {
            let count = Int(protocols[own])
            let name = protocols[(own + 1)..<(own + 1 + count)]
            own += 1 + count
            var at = 0
            while at < offer.count {
                let length = Int(unsafe offer[at])
                guard length > 0, at + 1 + length <= offer.count else { break }
                let range = (at + 1)..<(at + 1 + length)
                if unsafe name.elementsEqual(offer[range]) { return range }
                at += 1 + length
            }
        }
        return nil
    }
}

/// `SSL_CTX_set_alpn_select_cb`: the choice points into the client's list, which outlives the call.
private func tlsSelectProtocol(
    _ session: OpaquePointer?,
    _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ outLength: UnsafeMutablePointer<UInt8>?,
    _ offer: UnsafePointer<UInt8>?,
    _ offerLength: UInt32,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let state = unsafe TLSServerState.of(argument), let out = unsafe out,
        let outLength = unsafe outLength, let offer = unsafe offer
    else { return SSL_TLSEXT_ERR_NOACK }
    let list = unsafe UnsafeBufferPointer(start: offer, count: Int(offerLength))
    guard let range = unsafe state.select(list) else {
        return state.requiresProtocol ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK
    }
    unsafe out.pointee = unsafe offer + range.lowerBound
    unsafe outLength.pointee = UInt8(range.count)
    return SSL_TLSEXT_ERR_OK
}

/// `SSL_CTX_set_tlsext_ticket_key_evp_cb`: prepares cipher and MAC for a ticket that is made, or
/// for one that is opened.
///
/// - Returns: -1 on failure, 0 for a ticket of an unknown key, 1 for success, 2 for success where a
///   new ticket should be made.
private func tlsTicketKey(
    _ session: OpaquePointer?,
    _ name: UnsafeMutablePointer<UInt8>?,
    _ vector: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?,
    _ mac: OpaquePointer?,
    _ isMaking: Int32
) -> Int32 {
    guard let session = unsafe session, let name = unsafe name, let vector = unsafe vector,
        let mac = unsafe mac,
        let state = unsafe TLSServerState.of(
            SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session), 0)
        ), let keys = state.ticketKeys
    else { return -1 }
    if isMaking == 1 {
        guard let key = keys.current(), unsafe RAND_bytes(vector, 16) == 1 else { return -1 }
        for index in key.name.indices { unsafe name[index] = key.name[index] }
        guard
            unsafe EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1,
            unsafe copenssl_set_mac_key(mac, key.mac, key.mac.count) == 1
        else { return -1 }
        return 1
    }
    let given = unsafe Array(
        UnsafeBufferPointer(start: name, count: TLSTicketKeys.nameByteCount)
    )
    guard let (key, isCurrent) = keys.key(named: given) else { return 0 }
    guard unsafe copenssl_set_mac_key(mac, key.mac, key.mac.count) == 1,
        unsafe EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1
    else { return -1 }
    return isCurrent ? 1 : 2
}

/// `SSL_CTX_set_cert_verify_callback`: verifies a client's certificate and its names.
private func tlsVerifyClient(
    _ verification: OpaquePointer?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    guard let verification = unsafe verification, let state = unsafe TLSServerState.of(argument)
    else { return 0 }
    let isTrusted = unsafe X509_verify_cert(verification) == 1
    if state.clientCertificate == .unverified { return 1 }
    guard isTrusted else { return 0 }
    guard let leaf = unsafe X509_STORE_CTX_get0_cert(verification),
        state.admits(unsafe CertificateNames(leaf))
    else {
        unsafe X509_STORE_CTX_set_error(verification, X509_V_ERR_HOSTNAME_MISMATCH)
        return 0
    }
    return 1
}

/// `SSL_CTX_set_tlsext_status_cb`: staples, where the response says that the certificate is good.
private func tlsStaple(_ session: OpaquePointer?, _ argument: UnsafeMutableRawPointer?) -> Int32 {
    guard let session = unsafe session, let state = unsafe TLSServerState.of(argument),
        let leaf = unsafe SSL_get_certificate(session)
    else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    guard let staple = state.staple, staple.isGood,
        unsafe OCSPStaple.serial(of: leaf) == staple.serial
    else {
        let isNeeded = unsafe state.requiresStaple || OCSPStaple.isDemanded(by: leaf)
        return isNeeded ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK
    }
    let count = staple.response.count
    guard let copy = unsafe CRYPTO_malloc(count, "", 0) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    unsafe staple.response.withUnsafeBytes { source in
        if let base = source.baseAddress { unsafe copy.copyMemory(from: base, byteCount: count) }
    }
    let bytes = unsafe copy.assumingMemoryBound(to: UInt8.self)
    guard unsafe copenssl_staple(session, bytes, count) == 1 else {
        unsafe CRYPTO_free(copy, "", 0)
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
    return SSL_TLSEXT_ERR_OK
}
