/// An IPv4 or IPv6 address as a plain value.
///
/// IPv4 is held in its mapped form (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), so that one key
/// serves both families; `isIPv4` tells them apart. Bits are in host byte order; this module is the
/// one place where byte order changes.
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The upper 64 bits, host byte order.
    public let high: UInt64
    /// The lower 64 bits, host byte order.
    public let low: UInt64

    /// Makes an address of its 128 bits, host byte order.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes an IPv4 address of its 32 bits, host byte order.
    public init(v4 bits: UInt32) {
        self.init(high: 0, low: 0xffff_0000_0000 | UInt64(bits))
    }

    /// Makes an IPv4 address of its four octets, as written.
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(v4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// Makes an address of 4 or 16 bytes in network byte order.
    ///
    /// - Returns: `nil` for any other byte count.
    public init?(networkBytes bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.init(bytes[0], bytes[1], bytes[2], bytes[3])
        case 16:
            let high = bytes[0..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let low = bytes[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            self.init(high: high, low: low)
        default: return nil
        }
    }

    /// Whether the address is IPv4 (held in mapped form).
    public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The 32 bits of an IPv4 address, host byte order. Meaningful only where `isIPv4`.
    public var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

    /// 4 bytes (IPv4) or 16 bytes (IPv6), network byte order.
    public var networkBytes: [UInt8] {
        isIPv4 ? Array(mappedNetworkBytes[12...]) : mappedNetworkBytes
    }

    /// 16 bytes, network byte order; IPv4 in its mapped form.
    public var mappedNetworkBytes: [UInt8] {
        (0..<16).map { index in
            let word = index < 8 ? high : low
            return UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (index % 8)))
        }
    }

    /// 32 for IPv4, 128 for IPv6.
    public var bitCount: Int { isIPv4 ? 32 : 128 }

    /// 127.0.0.0/8 or ::1.
    public var isLoopback: Bool {
        isIPv4 ? v4Bits >> 24 == 127 : high == 0 && low == 1
    }

    /// 0.0.0.0 or `::`.
    public var isUnspecified: Bool { isIPv4 ? v4Bits == 0 : high == 0 && low == 0 }

    /// 224.0.0.0/4 or ff00::/8.
    public var isMulticast: Bool { isIPv4 ? v4Bits >> 28 == 0xe : high >> 56 == 0xff }

    /// 169.254.0.0/16 or fe80::/10.
    public var isLinkLocal: Bool { isIPv4 ? v4Bits >> 16 == 0xa9fe : high >> 54 == 0x3fa }

    /// `0.0.0.0`.
    public static let anyIPv4 = IPAddress(v4: 0)
    /// `::`.
    public static let anyIPv6 = IPAddress(high: 0, low: 0)
    /// `127.0.0.1`.
    public static let loopbackIPv4 = IPAddress(127, 0, 0, 1)
    /// `::1`.
    public static let loopbackIPv6 = IPAddress(high: 0, low: 1)
}

extension IPAddress: Comparable {
    /// Orders by the 128 bits, so IPv4 addresses sort together and numerically.
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}
