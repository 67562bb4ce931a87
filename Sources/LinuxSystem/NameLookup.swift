import Addressing
import CLinux
import Glibc

/// Host names to addresses by the system's name service (`getaddrinfo(3)`).
package enum NameLookup {
    /// The addresses of a host, in the order to try them. Blocks; for a `BlockingThread`.
    ///
    /// - Throws: `.notFound` when the name has none, `.again` when the service failed for now.
    package static func addresses(of host: String) throws(Errno) -> [IPAddress] {
        if let ip = IPAddress(host) { return [ip] }
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_ADDRCONFIG
        var first: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(host, nil, &hints, &first)
        defer { unsafe freeaddrinfo(first) }
        guard result == 0 else {
            if result == EAI_AGAIN { throw .again }
            throw result == EAI_SYSTEM ? .current() : .notFound
        }
        var found: [IPAddress] = []
        var entry = unsafe first
        while let current = unsafe entry {
            if let address = unsafe current.pointee.ai_addr {
                var raw = clinux_address()
                let byteCount = unsafe min(
                    Int(current.pointee.ai_addrlen),
                    MemoryLayout<clinux_address>.size
                )
                unsafe withUnsafeMutableBytes(of: &raw) { target in
                    unsafe target.copyMemory(
                        from: UnsafeRawBufferPointer(start: address, count: byteCount)
                    )
                }
                let ip = Socket.decode(&raw).ip
                if !found.contains(ip) { found.append(ip) }
            }
            unsafe entry = current.pointee.ai_next
        }
        guard !found.isEmpty else { throw .notFound }
        return found
    }
}
