import Addressing

/// Where an API server is: the parts of its URL.
package struct APIServerAddress: Hashable, Sendable {
    /// A host name, or an IP address without brackets.
    package let host: String
    /// The port.
    package let port: UInt16
    /// `https`.
    package let isTLS: Bool
    /// A path before every request's path, without a slash at its end; mostly empty.
    package let basePath: String

    /// Makes an address of its parts.
    package init(host: String, port: UInt16, isTLS: Bool, basePath: String = "") {
        self.host = host
        self.port = port
        self.isTLS = isTLS
        self.basePath = basePath
    }

    /// Reads `https://host[:port][/path]` or `http://…`; IPv6 addresses stand in brackets.
    ///
    /// - Returns: `nil` for anything else.
    package init?(url: String) {
        let isTLS: Bool
        var rest: Substring
        if url.hasPrefix("https://") {
            isTLS = true
            rest = url.dropFirst(8)
        } else if url.hasPrefix("http://") {
            isTLS = false
            rest = url.dropFirst(7)
        } else {
            return nil
        }
        guard !rest.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7f }), !rest.contains("@"),
            !rest.contains("?"), !rest.contains("#")
        else { return nil }
        var path = rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? ""
        while path.hasSuffix("/") { path.removeLast() }
        rest = rest.prefix { $0 != "/" }
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            let after = rest[rest.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            portText = after.isEmpty ? nil : after.dropFirst()
            rest = rest[rest.index(after: rest.startIndex)..<end]
            guard let ip = IPAddress(rest), !ip.isIPv4 else { return nil }
        } else if let colon = rest.firstIndex(of: ":") {
            portText = rest[rest.index(after: colon)...]
            rest = rest[..<colon]
        }
        guard !rest.isEmpty else { return nil }
        guard let port = portText.map({ UInt16($0) }) ?? (isTLS ? 443 : 80), port > 0 else {
            return nil
        }
        self.init(host: String(rest), port: port, isTLS: isTLS, basePath: path)
    }

    /// The value of `Host`: with brackets around IPv6.
    package var authority: String {
        (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    }

    /// The URL.
    package var url: String { "\(isTLS ? "https" : "http")://\(authority)\(basePath)" }
}
