/// A CIDR block: a base address and how many of its leading bits count.
public struct IPPrefix: Hashable, Sendable, BitwiseCopyable {
    /// The base address; bits past the prefix are zero.
    public let base: IPAddress
    /// 0...32 for IPv4, 0...128 for IPv6.
    public let length: Int

    /// Makes a block, clearing the bits of `address` past `length`.
    ///
    /// - Returns: `nil` when `length` is out of range for the family.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.bitCount).contains(length) else { return nil }
        self.base = IPPrefix.masked(address, length: length)
        self.length = length
    }

    /// The block that holds one address.
    public init(host address: IPAddress) {
        self.base = address
        self.length = address.bitCount
    }

    /// Whether `address` is of the same family and inside the block.
    public func contains(_ address: IPAddress) -> Bool {
        address.isIPv4 == base.isIPv4 && IPPrefix.masked(address, length: length) == base
    }

    /// Whether every address of `other` is inside the block.
    public func contains(_ other: IPPrefix) -> Bool {
        other.length >= length && contains(other.base)
    }

    /// Whether the two blocks share an address.
    public func overlaps(_ other: IPPrefix) -> Bool {
        contains(other) || other.contains(self)
    }

    /// Whether the block is one address.
    public var isHost: Bool { length == base.bitCount }

    private static func masked(_ address: IPAddress, length: Int) -> IPAddress {
        let bits = address.isIPv4 ? length + 96 : length
        let high = bits == 0 ? 0 : UInt64.max << UInt64(64 - min(bits, 64))
        let low = bits <= 64 ? 0 : UInt64.max << UInt64(128 - bits)
        return IPAddress(high: address.high & high, low: address.low & low)
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// Parses `address/length`, or a bare address as a block of one.
    ///
    /// - Returns: `nil` for bad text, a bad length, or bits set past the prefix.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(parts[0]) else { return nil }
        guard parts.count == 2 else {
            self.init(host: address)
            return
        }
        guard let length = Int(parts[1]), String(length) == parts[1],
            let prefix = IPPrefix(address, length: length), prefix.base == address
        else { return nil }
        self = prefix
    }

    /// `address/length`.
    public var description: String { "\(base)/\(length)" }
}
