import DataPlane
import XDPEngine

/// What this binary is made of.
enum BuildInformation {
    /// Martlet's own version.
    static let version = "0.1.0"

    /// The compiler that built it.
    static var compiler: String {
        #if compiler(>=6.4)
            return "6.4 or newer"
        #elseif compiler(>=6.3.1)
            return "6.3.1"
        #elseif compiler(>=6.3)
            return "6.3"
        #else
            return "6.2"
        #endif
    }

    /// Every part with its version, as `martlet version` and `/status` show them.
    static var parts: [(name: String, version: String)] {
        [
            ("martlet", version),
            ("swift", compiler),
            ("openssl", TLSLibrary.version),
            ("nghttp2", HTTP2Library.version),
            ("libbpf", BPFLibrary.version),
        ]
    }
}
