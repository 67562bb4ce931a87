/// An IP address and a TCP or UDP port.
public struct SocketAddress: Hashable, Sendable, BitwiseCopyable {
    /// The address.
    public let ip: IPAddress
    /// The port, host byte order.
    public let port: UInt16

    /// Makes a socket address of its parts.
    public init(_ ip: IPAddress, _ port: UInt16) {
        self.ip = ip
        self.port = port
    }
}

extension SocketAddress: LosslessStringConvertible {
    /// Parses `a.b.c.d:port` or `[v6]:port`.
    ///
    /// - Returns: `nil` for anything else, and for a port outside 0...65535.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard let ip = IPAddress(host) else { return nil }
        self.init(ip, port)
    }

    /// `a.b.c.d:port` or `[v6]:port`.
    public var description: String {
        ip.isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)"
    }
}
