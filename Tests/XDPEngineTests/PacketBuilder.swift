import Addressing

/// Builds frames as a test reads: `.ethernet().vlan(7).ipv4(from:to:).tcp(port: 80, flags: .syn)`.
struct PacketBuilder {
    private(set) var bytes: [UInt8] = []
    /// Where the EtherType of the last layer-2 header lies.
    private var typeOffset = 12
    /// Where the next-header byte of the last layer-3 header lies; `nil` before there is one.
    private var nextHeaderOffset: Int?
    /// Where the length field of the IP header lies, and how much of the frame it leaves out.
    private var length: (offset: Int, uncounted: Int)?

    static func ethernet() -> PacketBuilder {
        var builder = PacketBuilder()
        builder.bytes = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 0]
        return builder
    }

    /// Sets the EtherType by hand.
    func type(_ value: UInt16) -> PacketBuilder { with { $0.put(value, at: $0.typeOffset) } }

    func vlan(_ identifier: UInt16, tag: UInt16 = 0x8100) -> PacketBuilder {
        with {
            $0.put(tag, at: $0.typeOffset)
            $0.typeOffset = $0.bytes.count + 2
            $0.append(identifier)
            $0.append(0)
        }
    }

    /// - Parameters:
    ///   - fragment: offset in units of 8 bytes.
    ///   - words: header length in 32-bit words.
    func ipv4(
        from source: IPAddress,
        to destination: IPAddress,
        fragment: UInt16 = 0,
        more: Bool = false,
        words: UInt8 = 5
    ) -> PacketBuilder {
        with {
            $0.put(0x0800, at: $0.typeOffset)
            let start = $0.bytes.count
            $0.bytes += [0x40 | words, 0, 0, 0, 0, 1]
            $0.append(fragment | (more ? 0x2000 : 0))
            $0.bytes += [64, 255, 0, 0] + source.networkBytes + destination.networkBytes
            $0.bytes += [UInt8](repeating: 1, count: max(0, Int(words) - 5) * 4)
            $0.nextHeaderOffset = start + 9
            $0.length = (start + 2, start)
        }
    }

    func ipv6(from source: IPAddress, to destination: IPAddress) -> PacketBuilder {
        with {
            $0.put(0x86dd, at: $0.typeOffset)
            let start = $0.bytes.count
            $0.bytes += [0x60, 0, 0, 0, 0, 0, 59, 64]
            $0.bytes += source.networkBytes + destination.networkBytes
            $0.nextHeaderOffset = start + 6
            $0.length = (start + 4, start + 40)
        }
    }

    /// An extension header of any kind: 0 hop-by-hop, 43 routing, 60 destination options.
    func extensionHeader(_ kind: UInt8, extraUnits: UInt8 = 0) -> PacketBuilder {
        with {
            $0.chain(kind)
            let size = 8 + Int(extraUnits) * 8
            $0.nextHeaderOffset = $0.bytes.count
            $0.bytes += [59, extraUnits] + [UInt8](repeating: 0, count: size - 2)
        }
    }

    /// An authentication header, whose length counts words (RFC 4302 section 2.2).
    func authenticationHeader() -> PacketBuilder {
        with {
            $0.chain(51)
            $0.nextHeaderOffset = $0.bytes.count
            $0.bytes += [59, 4] + [UInt8](repeating: 0, count: 22)
        }
    }

    func fragmentHeader(offset: UInt16, more: Bool) -> PacketBuilder {
        with {
            $0.chain(44)
            $0.nextHeaderOffset = $0.bytes.count
            $0.bytes += [59, 0]
            $0.append(offset << 3 | (more ? 1 : 0))
            $0.bytes += [0, 0, 0, 9]
        }
    }

    enum TCPFlags: UInt8 { case syn = 0x02, synAck = 0x12, ack = 0x10 }

    func tcp(port: UInt16, flags: TCPFlags = .ack) -> PacketBuilder {
        with {
            $0.chain(6)
            $0.append(40_000)
            $0.append(port)
            $0.bytes += [0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags.rawValue, 1, 0, 0, 0, 0, 0]
        }
    }

    func udp(port: UInt16) -> PacketBuilder {
        with {
            $0.chain(17)
            $0.append(40_000)
            $0.append(port)
            $0.bytes += [0, 8, 0, 0]
        }
    }

    /// Bytes inside the packet.
    func payload(_ count: Int) -> PacketBuilder {
        with { $0.bytes += [UInt8](repeating: 0x61, count: count) }
    }

    /// The frame, its lengths filled in, padded as Ethernet pads.
    func frame(padding: UInt8 = 0) -> [UInt8] {
        var copy = self
        if let length { copy.put(UInt16(bytes.count - length.uncounted), at: length.offset) }
        let short = max(0, 60 - copy.bytes.count)
        return copy.bytes + [UInt8](repeating: padding, count: short)
    }

    private func with(_ change: (inout PacketBuilder) -> Void) -> PacketBuilder {
        var copy = self
        change(&copy)
        return copy
    }

    private mutating func chain(_ kind: UInt8) {
        if let nextHeaderOffset { bytes[nextHeaderOffset] = kind }
    }

    private mutating func append(_ value: UInt16) {
        bytes += [UInt8(value >> 8), UInt8(value & 255)]
    }

    private mutating func put(_ value: UInt16, at offset: Int) {
        bytes[offset] = UInt8(value >> 8)
        bytes[offset + 1] = UInt8(value & 255)
    }
}
