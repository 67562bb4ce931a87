/// What names in the agent's file may look like.
enum ConfigurationRules {
    /// The rule of node names in words. They become directory names.
    static let nodeName =
        "a name of 1 to 63 letters, digits, dots and dashes that begins with a letter or digit"

    /// Whether a text can be a node's name.
    static func isNodeName(_ text: String) -> Bool {
        guard (1...63).contains(text.utf8.count), let first = text.utf8.first else { return false }
        return isAlphanumeric(first)
            && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d || $0 == 0x2e }
    }

    /// Whether a text is a domain name in lower case (RFC 1123 section 2.1).
    static func isDomain(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 253
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                    && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2d }
                    && label == label.lowercased()
            }
    }

    /// Whether the kernel takes a text as an interface's name (`dev_valid_name`).
    static func isInterfaceName(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x2f && $0 != 0x3a }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
            || (0x61...0x7a).contains(byte)
    }
}
