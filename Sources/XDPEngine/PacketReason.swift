import Addressing
import CMeshMaps

/// What became of a packet in the shield. Every packet counts under exactly one.
package enum PacketReason: UInt32, CaseIterable, Sendable {
    case passClean = 0
    case passNotIP
    case passAllowed
    case passMalformed
    case passVLANDepth
    case passFragment
    case passDryRun
    case dropBlockNode
    case dropBlockGateway
    case dropBlockListener
    case dropBlockPrefix
    case dropDeny
    case dropPacketRate
    case dropSynRate
    case dropHeaderChain

    /// The name in `/status` and in metrics.
    package var name: String {
        switch self {
        case .passClean: "pass_clean"
        case .passNotIP: "pass_not_ip"
        case .passAllowed: "pass_allowed"
        case .passMalformed: "pass_malformed"
        case .passVLANDepth: "pass_vlan_depth"
        case .passFragment: "pass_fragment"
        case .passDryRun: "pass_dry_run"
        case .dropBlockNode: "drop_block_node"
        case .dropBlockGateway: "drop_block_gateway"
        case .dropBlockListener: "drop_block_listener"
        case .dropBlockPrefix: "drop_block_prefix"
        case .dropDeny: "drop_deny"
        case .dropPacketRate: "drop_packet_rate"
        case .dropSynRate: "drop_syn_rate"
        case .dropHeaderChain: "drop_header_chain"
        }
    }

    /// Whether the packet was dropped.
    package var isDrop: Bool { rawValue >= MESH_DROP_FIRST.rawValue }
}

/// Packets and bytes.
package struct PacketTally: Equatable, Sendable {
    /// Packets.
    package var packetCount: UInt64
    /// Bytes of whole frames.
    package var byteCount: UInt64

    /// Makes a tally.
    package init(packetCount: UInt64 = 0, byteCount: UInt64 = 0) {
        self.packetCount = packetCount
        self.byteCount = byteCount
    }

    /// Adds up the cores' values of a per-CPU map.
    init(summing bytes: [UInt8]) {
        self.init()
        var offset = 0
        while let part = Layout.value(bytes, at: offset, as: mesh_tally.self) {
            packetCount &+= part.packets
            byteCount &+= part.bytes
            offset += MemoryLayout<mesh_tally>.stride
        }
    }
}

extension IPAddress {
    /// The address as the maps hold it.
    var meshAddress: mesh_address {
        Layout.value(mappedNetworkBytes, as: mesh_address.self) ?? mesh_address()
    }

    /// An address out of a map.
    init(_ address: mesh_address) {
        let bytes = Layout.bytes(of: address)
        self = IPAddress(networkBytes: bytes) ?? .anyIPv6
    }
}

extension IPPrefix {
    /// The prefix as the tries hold it: the family first, then the address.
    var meshPrefix: mesh_prefix {
        var key = mesh_prefix()
        key.bit_count = UInt32(32 + length)
        key.family = base.isIPv4 ? 4 : 6
        let padded = base.networkBytes + [UInt8](repeating: 0, count: 12)
        key.words = Layout.value(padded, as: mesh_address.self)?.words ?? (0, 0, 0, 0)
        return key
    }

    /// A prefix out of a trie.
    init?(_ key: mesh_prefix) {
        var address = mesh_address()
        address.words = key.words
        let bytes = Layout.bytes(of: address)
        guard key.bit_count >= 32,
            let base = IPAddress(networkBytes: key.family == 4 ? Array(bytes.prefix(4)) : bytes)
        else { return nil }
        self.init(base, length: Int(key.bit_count) - 32)
    }
}

extension DropSample {
    init(_ event: mesh_event) {
        timeNanoseconds = event.time_ns
        source = IPAddress(event.source)
        destination = SocketAddress(IPAddress(event.destination), UInt16(bigEndian: event.port))
        protocolNumber = event.protocol
        reason = PacketReason(rawValue: UInt32(event.reason)) ?? .passClean
        byteCount = event.byte_count
    }
}
