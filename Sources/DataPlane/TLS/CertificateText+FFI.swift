import COpenSSL

/// A certificate's parts as text for header lines.
enum CertificateText {
    /// SHA-256 of the certificate, hexadecimal.
    static func fingerprint(_ certificate: OpaquePointer) -> String {
        var digest = [UInt8](repeating: 0, count: 64)
        var count: UInt32 = 0
        guard unsafe X509_digest(certificate, EVP_sha256(), &digest, &count) == 1 else {
            return ""
        }
        let digits = Array("0123456789abcdef".utf8)
        let text = digest.prefix(Int(count)).flatMap {
            [digits[Int($0 >> 4)], digits[Int($0 & 15)]]
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The subject (RFC 2253); bytes outside printable ASCII are escaped.
    static func subject(_ certificate: OpaquePointer) -> String {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe BIO_free(bio) }
        let name = unsafe X509_get_subject_name(certificate)
        guard unsafe X509_NAME_print_ex(bio, name, 0, copenssl_rfc2253()) >= 0 else { return "" }
        var text = [UInt8](repeating: 0, count: 1_024)
        let count = unsafe BIO_read(bio, &text, Int32(text.count))
        return String(decoding: text.prefix(Int(max(0, count))), as: UTF8.self)
    }
}

extension String {
    /// As the inside of a quoted value.
    var quoted: String {
        var text = ""
        for character in unicodeScalars where character.value >= 0x20 && character.value < 0x7f {
            if character == "\"" || character == "\\" { text += "\\" }
            text.unicodeScalars.append(character)
        }
        return text
    }

    /// As a value of x-forwarded-client-cert: quoted where it has a character that ends one.
    var forwarded: String {
        contains { ",;=\"".contains($0) } ? "\"\(quoted)\"" : quoted
    }
}
