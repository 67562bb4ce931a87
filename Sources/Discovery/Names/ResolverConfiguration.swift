import Addressing

/// Name servers and how they are asked (`resolv.conf(5)`).
package struct ResolverConfiguration: Equatable, Sendable {
    /// Where the system's is.
    package static let path = "/etc/resolv.conf"
    /// Name servers, asked in this order; three at most, as the system does.
    package var servers: [SocketAddress] = []
    /// For one question to one server.
    package var timeoutMilliseconds: Int32 = 2_000
    /// How often all servers are asked.
    package var attempts = 2

    /// Makes a configuration of servers.
    package init(servers: [SocketAddress]) { self.servers = servers }

    /// Reads the text of `resolv.conf`; lines that are not understood are passed over. Names are
    /// looked up as they are: search domains are for people.
    package init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
            guard words.count > 1 else { continue }
            switch words[0] {
            case "nameserver":
                guard servers.count < 3, let ip = IPAddress(words[1]) else { continue }
                servers.append(SocketAddress(ip, 53))
            case "options":
                for option in words.dropFirst() { take(option) }
            default: continue
            }
        }
        if servers.isEmpty { servers = [SocketAddress(.loopbackIPv4, 53)] }
    }

    private mutating func take(_ option: String) {
        let parts = option.split(separator: ":")
        guard parts.count == 2, let number = Int(parts[1]) else { return }
        if parts[0] == "timeout" { timeoutMilliseconds = Int32(min(max(number, 1), 5)) * 1_000 }
        if parts[0] == "attempts" { attempts = min(max(number, 1), 5) }
    }
}
