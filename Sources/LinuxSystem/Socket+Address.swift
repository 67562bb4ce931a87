import Addressing
import CLinux
import Glibc

extension Socket {
    /// Writes an address in the kernel's form and returns its length.
    static func encode(_ address: SocketAddress, into raw: inout clinux_address) -> socklen_t {
        raw = clinux_address()
        if address.ip.isIPv4 {
            unsafe raw.v4.sin_family = sa_family_t(AF_INET)
            unsafe raw.v4.sin_port = address.port.bigEndian
            unsafe raw.v4.sin_addr.s_addr = address.ip.v4Bits.bigEndian
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        }
        unsafe raw.v6.sin6_family = sa_family_t(AF_INET6)
        unsafe raw.v6.sin6_port = address.port.bigEndian
        unsafe withUnsafeMutableBytes(of: &raw.v6.sin6_addr) { bytes in
            unsafe bytes.storeBytes(of: address.ip.high.bigEndian, as: UInt64.self)
            unsafe bytes.storeBytes(of: address.ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return socklen_t(MemoryLayout<sockaddr_in6>.size)
    }

    /// Writes a local socket's path; `nil` when it is too long (107 bytes).
    static func encode(path: String, into raw: inout clinux_address) -> socklen_t? {
        let bytes = Array(path.utf8)
        raw = clinux_address()
        unsafe raw.local.sun_family = sa_family_t(AF_UNIX)
        let capacity = unsafe MemoryLayout.size(ofValue: raw.local.sun_path)
        guard !bytes.isEmpty, bytes.count < capacity else { return nil }
        unsafe withUnsafeMutableBytes(of: &raw.local.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + 1)
    }

    /// Reads the kernel's form; anything but IPv4 and IPv6 becomes `[::]:0`.
    static func decode(_ raw: inout clinux_address) -> SocketAddress {
        switch Int32(unsafe raw.base.sa_family) {
        case AF_INET:
            return SocketAddress(
                IPAddress(v4: unsafe UInt32(bigEndian: raw.v4.sin_addr.s_addr)),
                unsafe UInt16(bigEndian: raw.v4.sin_port)
            )
        case AF_INET6:
            let words = unsafe withUnsafeBytes(of: &raw.v6.sin6_addr) { bytes in
                (
                    UInt64(bigEndian: unsafe bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(
                        bigEndian: unsafe bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                    )
                )
            }
            return SocketAddress(
                IPAddress(high: words.0, low: words.1),
                unsafe UInt16(bigEndian: raw.v6.sin6_port)
            )
        default:
            return SocketAddress(.anyIPv6, 0)
        }
    }
}
