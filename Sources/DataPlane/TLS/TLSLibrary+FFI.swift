import COpenSSL

/// The TLS library that is linked.
package enum TLSLibrary {
    /// Its version, such as `3.0.16` (`OpenSSL_version(3)`).
    package static var version: String {
        guard let text = unsafe OpenSSL_version(OPENSSL_VERSION_STRING) else { return "unknown" }
        return unsafe String(cString: text)
    }
}
