import Addressing

/// The resolver's file (`resolv.conf(5)`).
enum NameServers {
    /// The name servers it names; zones of link-local addresses are dropped.
    static func addresses(_ text: String) -> [IPAddress] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard fields.count >= 2, fields[0] == "nameserver" else { return nil }
            return fields[1].split(separator: "%").first.flatMap { IPAddress($0) }
        }
    }
}
