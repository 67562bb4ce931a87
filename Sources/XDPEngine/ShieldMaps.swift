import Addressing
import CMeshMaps
import LinuxSystem

/// The adapter between plans and maps: reads what is, writes what differs.
struct ShieldMaps {
    private let maps: [String: KernelMap]

    init(_ object: LoadedObject) {
        maps = object.maps
    }

    private func map(_ name: String) throws(Errno) -> KernelMap {
        guard let map = maps[name] else { throw .notFound }
        return map
    }

    func denyMap() throws(Errno) -> KernelMap { try map("deny") }

    func filterMap(family: Int) throws(Errno) -> KernelMap { try map("deny_filter\(family)") }

    // MARK: allow

    func allowed() throws(Errno) -> [IPPrefix: UInt32] {
        let map = try map("allow")
        var entries: [IPPrefix: UInt32] = [:]
        for key in try map.keys() {
            guard let prefix = Layout.value(key, as: mesh_prefix.self).flatMap(IPPrefix.init),
                let value = try map.value(key).flatMap({ Layout.value($0, as: mesh_allow.self) })
            else { continue }
            entries[prefix] = value.kind
        }
        return entries
    }

    func writeAllow(_ wanted: [IPPrefix: UInt32]) throws(Errno) {
        let map = try map("allow")
        let diff = MapDiff(from: try allowed(), to: wanted)
        for (prefix, kind) in diff.updates {
            let value = Layout.bytes(of: mesh_allow(kind: kind))
            try map.update(Layout.bytes(of: prefix.meshPrefix), value)
        }
        for prefix in diff.removals { try map.remove(Layout.bytes(of: prefix.meshPrefix)) }
    }

    // MARK: destinations

    func knownDestinations() throws(Errno) -> [ShieldPlan.Destination: [ShieldPlan.Scope]] {
        let map = try map("destinations")
        var entries: [ShieldPlan.Destination: [ShieldPlan.Scope]] = [:]
        for key in try map.keys() {
            guard let parts = Layout.value(key, as: mesh_destination_key.self),
                let value = try map.value(key)
            else { continue }
            let place = ShieldPlan.Destination(
                address: IPAddress(parts.address),
                port: UInt16(bigEndian: parts.port),
                protocolNumber: parts.protocol
            )
            entries[place] = scopes(value)
        }
        return entries
    }

    private func scopes(_ value: [UInt8]) -> [ShieldPlan.Scope] {
        let count = Int(Layout.value(value, as: UInt32.self) ?? 0)
        return (0..<min(count, Int(MESH_SCOPES_PER_DESTINATION_MAX))).compactMap { index in
            let offset = 8 + index * MemoryLayout<mesh_destination_scope>.stride
            return Layout.value(value, at: offset, as: mesh_destination_scope.self)
                .map { ShieldPlan.Scope(listener: $0.listener, gateway: $0.gateway) }
        }
    }

    func writeDestinations(
        _ wanted: [ShieldPlan.Destination: [ShieldPlan.Scope]]
    ) throws(Errno) {
        let map = try map("destinations")
        let diff = MapDiff(from: try knownDestinations(), to: wanted)
        for (place, scopes) in diff.updates {
            try map.update(key(place), value(scopes, byteCount: map.valueByteCount))
        }
        for place in diff.removals { try map.remove(key(place)) }
    }

    private func key(_ place: ShieldPlan.Destination) -> [UInt8] {
        Layout.bytes(
            of: mesh_destination_key(
                address: place.address.meshAddress,
                port: place.port.bigEndian,
                protocol: place.protocolNumber,
                reserved: 0
            )
        )
    }

    private func value(_ scopes: [ShieldPlan.Scope], byteCount: Int) -> [UInt8] {
        var bytes = Layout.bytes(of: UInt32(scopes.count)) + Layout.bytes(of: UInt32(0))
        for scope in scopes {
            bytes += Layout.bytes(
                of: mesh_destination_scope(listener: scope.listener, gateway: scope.gateway)
            )
        }
        return bytes + [UInt8](repeating: 0, count: byteCount - bytes.count)
    }

    // MARK: policies

    func writePolicies(_ wanted: Set<UInt64>) throws(Errno) {
        let map = try map("policies")
        let known = Set(try map.keys().compactMap { Layout.value($0, as: UInt64.self) })
        let byteCount = MemoryLayout<mesh_tally>.stride * KernelMap.possibleCoreCount
        for policy in wanted.subtracting(known) {
            try map.update(Layout.bytes(of: policy), [UInt8](repeating: 0, count: byteCount))
        }
        for policy in known.subtracting(wanted) { try map.remove(Layout.bytes(of: policy)) }
    }

    func tallies(_ policies: Set<UInt64>) throws(Errno) -> [UInt64: PacketTally] {
        let map = try map("policies")
        var tallies: [UInt64: PacketTally] = [:]
        for policy in policies {
            let copies = KernelMap.possibleCoreCount
            guard let value = try map.value(Layout.bytes(of: policy), copies: copies) else {
                continue
            }
            tallies[policy] = PacketTally(summing: value)
        }
        return tallies
    }

    func reasons() throws(Errno) -> [PacketReason: PacketTally] {
        let map = try map("reasons")
        var tallies: [PacketReason: PacketTally] = [:]
        for reason in PacketReason.allCases {
            let key = Layout.bytes(of: reason.rawValue)
            let value = try map.value(key, copies: KernelMap.possibleCoreCount)
            tallies[reason] = PacketTally(summing: value ?? [])
        }
        return tallies
    }

    // MARK: config

    static func flags(_ plan: ShieldPlan, _ filter: DenyFilter) -> UInt32 {
        var flags: UInt32 = 0
        if !plan.allow.isEmpty { flags |= MESH_CONFIG_ALLOW.rawValue }
        if !plan.deny.isEmpty { flags |= MESH_CONFIG_DENY.rawValue }
        if filter.isWideV4 { flags |= MESH_CONFIG_DENY_WIDE_V4.rawValue }
        if filter.isWideV6 { flags |= MESH_CONFIG_DENY_WIDE_V6.rawValue }
        return flags
    }

    /// A bucket holds one second's worth.
    static func rate(_ rate: ShieldPlan.Rate?) -> mesh_rate {
        guard let rate else { return mesh_rate() }
        return mesh_rate(
            nanoseconds_per_token: max(1, 1_000_000_000 / UInt64(rate.perSecond)),
            burst: Int64(rate.perSecond),
            policy: rate.policy,
            flags: rate.dryRun ? MESH_ENTRY_DRY_RUN.rawValue : 0,
            reserved: 0
        )
    }
}
