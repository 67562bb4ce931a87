import CNghttp2

/// The HTTP/2 framing library that is linked.
package enum HTTP2Library {
    /// Its version, such as `1.52.0` (`nghttp2_version(3)`).
    package static var version: String {
        guard let info = unsafe nghttp2_version(0) else { return "unknown" }
        return unsafe String(cString: info.pointee.version_str)
    }
}
