import Addressing
import CMeshMaps
import LinuxSystem

extension ShieldMaps {
    /// A deny entry as the kernel has it.
    struct KnownDeny: Equatable {
        var deny: ShieldPlan.Deny
        var expiresNanoseconds: UInt64
    }

    func denies() throws(Errno) -> [IPPrefix: KnownDeny] {
        let map = try denyMap()
        var entries: [IPPrefix: KnownDeny] = [:]
        for key in try map.keys() {
            guard let prefix = Layout.value(key, as: mesh_prefix.self).flatMap(IPPrefix.init),
                let value = try map.value(key).flatMap({ Layout.value($0, as: mesh_deny.self) })
            else { continue }
            let deny = ShieldPlan.Deny(
                ttlNanoseconds: value.ttl_ns,
                policy: value.policy,
                dryRun: value.flags & MESH_ENTRY_DRY_RUN.rawValue != 0
            )
            entries[prefix] = KnownDeny(deny: deny, expiresNanoseconds: value.expires_ns)
        }
        return entries
    }

    /// An entry that stands as it was asked for keeps its counters and its end, even one that is
    /// over: its time ran from when the policy was first applied.
    func writeDenies(
        _ wanted: [IPPrefix: ShieldPlan.Deny],
        over known: [IPPrefix: KnownDeny],
        now: UInt64
    ) throws(Errno) {
        let map = try denyMap()
        let diff = MapDiff(from: known.mapValues(\.deny), to: wanted)
        for (prefix, deny) in diff.updates {
            var value = mesh_deny()
            value.ttl_ns = deny.ttlNanoseconds
            value.expires_ns = deny.ttlNanoseconds == 0 ? 0 : now + deny.ttlNanoseconds
            value.policy = deny.policy
            value.flags = deny.dryRun ? MESH_ENTRY_DRY_RUN.rawValue : 0
            try map.update(Layout.bytes(of: prefix.meshPrefix), Layout.bytes(of: value))
        }
        for prefix in diff.removals { try map.remove(Layout.bytes(of: prefix.meshPrefix)) }
    }

    /// Sets the bits that both filters have, so that neither's prefixes are missed meanwhile.
    func widenFilter(from old: DenyFilter, to new: DenyFilter) throws(Errno) {
        try set(old.v4Words.merging(new.v4Words, uniquingKeysWith: |), over: old.v4Words, family: 4)
        try set(old.v6Words.merging(new.v6Words, uniquingKeysWith: |), over: old.v6Words, family: 6)
    }

    /// Clears the bits that only the old filter had.
    func narrowFilter(from old: DenyFilter, to new: DenyFilter) throws(Errno) {
        let v4 = old.v4Words.merging(new.v4Words, uniquingKeysWith: |)
        let v6 = old.v6Words.merging(new.v6Words, uniquingKeysWith: |)
        try set(new.v4Words, over: v4, family: 4)
        try set(new.v6Words, over: v6, family: 6)
    }

    private func set(
        _ wanted: [UInt32: UInt64],
        over known: [UInt32: UInt64],
        family: Int
    ) throws(Errno) {
        let map = try filterMap(family: family)
        let diff = MapDiff(from: known, to: wanted)
        for (index, word) in diff.updates {
            try map.update(Layout.bytes(of: index), Layout.bytes(of: word))
        }
        for index in diff.removals {
            try map.update(Layout.bytes(of: index), Layout.bytes(of: UInt64(0)))
        }
    }

    /// Reads back what was written.
    ///
    /// - Throws: EINVAL when a map does not hold the plan.
    func verify(_ plan: ShieldPlan) throws(Errno) {
        guard try allowed() == plan.allow, try denies().mapValues(\.deny) == plan.deny,
            try knownDestinations() == plan.destinations
        else { throw .invalid }
    }
}
