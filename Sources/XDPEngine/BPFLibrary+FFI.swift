import CLibBPF

/// The BPF loading library that is linked.
package enum BPFLibrary {
    /// Its version, such as `1.1` (`libbpf_version_string`).
    package static var version: String {
        guard let text = unsafe libbpf_version_string() else { return "unknown" }
        let version = unsafe String(cString: text)
        return version.hasPrefix("v") ? String(version.dropFirst()) : version
    }
}
