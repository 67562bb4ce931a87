import CLinux
import Glibc

/// What a process can ask about itself and its machine.
package enum ThisProcess {
    /// The process id.
    package static var identifier: Int32 { getpid() }

    /// The effective user id.
    package static var userID: UInt32 { geteuid() }

    /// The machine's host name (`gethostname(2)`).
    package static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Cores that this process may run on (`sched_getaffinity(2)`), at least 1.
    package static var usableCoreCount: Int { max(1, clinux_usable_core_count()) }

    /// The kernel's release, such as `6.1.0-18-amd64`.
    package static var kernelRelease: String {
        let text = try? FileSystem.readText("/proc/sys/kernel/osrelease", byteLimit: 256)
        return text?.split(separator: "\n").first.map(String.init) ?? "unknown"
    }

    /// The path of the running program.
    package static var executablePath: String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { return "" }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Effective capabilities, one bit each (`capabilities(7)`).
    package static var capabilities: UInt64 {
        guard let text = try? FileSystem.readText("/proc/self/status", byteLimit: 65_536) else {
            return 0
        }
        for line in text.split(separator: "\n") where line.hasPrefix("CapEff:") {
            let digits = line.dropFirst(7).filter { $0.isHexDigit }
            return UInt64(digits, radix: 16) ?? 0
        }
        return 0
    }
}
