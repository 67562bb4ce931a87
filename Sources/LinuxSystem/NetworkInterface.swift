import Addressing
import Glibc

/// Network interfaces of the calling thread's network namespace.
package enum NetworkInterface {
    /// The index of a named interface; `nil` where there is none (`if_nametoindex(3)`).
    package static func index(of name: String) -> UInt32? {
        let index = unsafe if_nametoindex(name)
        return index == 0 ? nil : index
    }
}

/// The default routes of the calling thread's network namespace, as `/proc` shows them.
package struct DefaultRoutes: Equatable, Sendable {
    /// Interfaces that a default route leaves by, sorted, each once.
    package var interfaces: [String]
    /// The gateways of the default routes.
    package var nextHops: [IPAddress]

    /// Reads the routes of both families; a family that the kernel lacks has none.
    package static func current() -> DefaultRoutes {
        let v4 = try? FileSystem.readText("/proc/thread-self/net/route")
        let v6 = try? FileSystem.readText("/proc/thread-self/net/ipv6_route")
        return DefaultRoutes(routeText: v4 ?? "", ipv6RouteText: v6 ?? "")
    }

    /// Parses the two tables. Lines of another form are passed over.
    package init(routeText: String, ipv6RouteText: String) {
        var names: Set<String> = []
        nextHops = []
        for line in routeText.split(separator: "\n") {
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard fields.count >= 8, fields[1] == "00000000", fields[7] == "00000000",
                let flags = UInt32(fields[3], radix: 16), flags & 1 == 1, flags & 0x200 == 0
            else { continue }
            names.insert(String(fields[0]))
            if let gateway = UInt32(fields[2], radix: 16), gateway != 0 {
                nextHops.append(IPAddress(v4: UInt32(bigEndian: gateway)))
            }
        }
        for line in ipv6RouteText.split(separator: "\n") {
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard fields.count >= 10, fields[0].allSatisfy({ $0 == "0" }), fields[1] == "00",
                let flags = UInt32(fields[8], radix: 16), flags & 1 == 1, flags & 0x200 == 0,
                fields[9] != "lo"
            else { continue }
            names.insert(String(fields[9]))
            if let high = UInt64(fields[4].prefix(16), radix: 16),
                let low = UInt64(fields[4].suffix(16), radix: 16), high | low != 0
            {
                nextHops.append(IPAddress(high: high, low: low))
            }
        }
        interfaces = names.sorted()
    }
}

extension NetworkInterface {
    /// The addresses of all interfaces that are up (`getifaddrs(3)`), each once, sorted; without
    /// link-local ones, which mean nothing apart from their link.
    package static func addresses() -> [IPAddress] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return [] }
        defer { unsafe freeifaddrs(first) }
        var found: Set<IPAddress> = []
        var current = unsafe first
        while let entry = unsafe current {
            unsafe current = entry.pointee.ifa_next
            guard unsafe entry.pointee.ifa_flags & UInt32(IFF_UP) != 0,
                let socketAddress = unsafe entry.pointee.ifa_addr,
                let address = unsafe address(of: socketAddress)
            else { continue }
            if !address.isLinkLocal { found.insert(address) }
        }
        return found.sorted()
    }

    private static func address(of raw: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        switch Int32(unsafe raw.pointee.sa_family) {
        case AF_INET:
            return unsafe raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                IPAddress(v4: UInt32(bigEndian: unsafe $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            return unsafe raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                let bytes = unsafe withUnsafeBytes(of: pointer.pointee.sin6_addr) {
                    unsafe Array($0)
                }
                return IPAddress(networkBytes: bytes)
            }
        default: return nil
        }
    }
}
