import COpenSSL

/// What may be shown of a certificate.
package struct CertificateSummary: Equatable, Sendable {
    /// Seconds until it ends; negative when it has ended.
    package let secondsLeft: Int64
    /// Its subject, one line.
    package let subject: String

    /// Reads the first certificate of a PEM text.
    ///
    /// - Returns: `nil` where there is none.
    package init?(chainPEM: [UInt8]) {
        guard let source = unsafe BIO_new_mem_buf(chainPEM, Int32(clamping: chainPEM.count)) else {
            return nil
        }
        defer { unsafe BIO_free(source) }
        guard let leaf = unsafe PEM_read_bio_X509(source, nil, nil, nil) else { return nil }
        defer { unsafe X509_free(leaf) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        let end = unsafe X509_get0_notAfter(leaf)
        guard unsafe ASN1_TIME_diff(&days, &seconds, nil, end) == 1 else { return nil }
        secondsLeft = Int64(days) * 86_400 + Int64(seconds)
        var name = [CChar](repeating: 0, count: 256)
        unsafe X509_NAME_oneline(X509_get_subject_name(leaf), &name, Int32(name.count))
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        subject = String(decoding: bytes, as: UTF8.self)
    }
}
