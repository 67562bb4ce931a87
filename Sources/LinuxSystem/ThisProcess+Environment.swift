extension ThisProcess {
    /// The environment the process was started with, `NAME=value` each (`environ(7)`).
    package static var environment: [String] {
        guard let bytes = try? FileSystem.read("/proc/self/environ", byteLimit: 4_194_304) else {
            return []
        }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
