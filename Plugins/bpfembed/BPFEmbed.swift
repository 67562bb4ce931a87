import LinuxSystem

/// Writes a file's bytes into a Swift source as Base64: `bpfembed OBJECT SOURCE NAME`. Run by the
/// build-tool plugin alone.
@main
struct BPFEmbed {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4 else { throw Errno.invalid }
        let bytes = try FileSystem.read(arguments[1])
        let source = """
            /// The BPF object as Base64, made by the build from `bpf/`.
            let \(arguments[3])Base64: StaticString = "\(base64(bytes))"

            """
        try FileSystem.replace(arguments[2], with: Array(source.utf8))
    }

    /// RFC 4648 section 4, with padding.
    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
        )
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let count = min(3, bytes.count - start)
            var group: UInt32 = 0
            for index in 0..<3 {
                group = group << 8 | (index < count ? UInt32(bytes[start + index]) : 0)
            }
            for index in 0..<4 {
                let digit = alphabet[Int(group >> UInt32(18 - 6 * index) & 63)]
                text.append(index <= count ? digit : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
