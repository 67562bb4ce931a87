import Addressing
import CLinux
import Glibc

extension Socket {
    /// Where a redirected connection was going (`SO_ORIGINAL_DST`); `nil` when it was not
    /// redirected.
    package static func originalDestination(
        of descriptor: Int32,
        isIPv4: Bool
    ) -> SocketAddress? {
        var raw = clinux_address()
        var length = socklen_t(MemoryLayout<clinux_address>.size)
        let level = isIPv4 ? IPPROTO_IP : IPPROTO_IPV6
        let name = isIPv4 ? clinux_so_original_dst : clinux_ip6t_so_original_dst
        let result = unsafe clinux_getsockopt(descriptor, Int32(level), name, &raw, &length)
        return result == 0 ? decode(&raw) : nil
    }
}
