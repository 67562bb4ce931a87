import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel
import TrafficPolicy

extension XDPEngine {
    /// Carries a wish into the maps: what differs is written, and read back. Nothing is touched when
    /// another agent has become the node's writer.
    ///
    /// - Returns: what could not be applied.
    @discardableResult
    package func apply(_ desired: DesiredShield, version: UInt64) -> [XDPFault] {
        state.withLock { state in
            let plan = ShieldPlan(desired)
            state.neverList = NeverList(protected: desired.protected, policies: desired.policies)
            state.refusedScopeCount &+= plan.refusedScopeCount
            state.planFaults = plan.faults.map { XDPFault(part: "xdp", reason: $0) }
            guard let object = state.object else {
                state.appliedVersion = version
                return state.planFaults
            }
            guard writerLocked(state)?.isCurrent() == true else {
                state.planFaults.append(XDPEngine.supersededFault)
                return state.planFaults
            }
            do throws(Errno) {
                try write(plan, to: object, &state)
                state.appliedVersion = version
                let mark = mesh_writer(generation: state.generation, applied_version: version)
                try object.maps["writer"]?.update(
                    Layout.bytes(of: UInt32(0)),
                    Layout.bytes(of: mark)
                )
            } catch {
                state.planFaults.append(
                    XDPFault(part: "xdp", reason: "a map refused the plan: \(error)")
                )
            }
            return state.planFaults
        }
    }

    static let supersededFault = XDPFault(
        part: "xdp",
        reason: "another agent writes this node's packet layer now"
    )

    /// Spares first, drops last: at no moment is an allowed source dropped or a denied one let in
    /// that was neither before nor after.
    private func write(
        _ plan: ShieldPlan,
        to object: LoadedObject,
        _ state: inout State
    ) throws(Errno) {
        let maps = ShieldMaps(object)
        try maps.writeAllow(plan.allow)
        try maps.writeDestinations(plan.destinations)
        try maps.writePolicies(Set(plan.policyNames.keys))
        let old = try maps.denies()
        let oldFilter = state.filter ?? DenyFilter(old.keys)
        let filter = DenyFilter(plan.deny.keys)
        state.policyNames = plan.policyNames
        state.packetRate = plan.packetRate
        state.synRate = plan.synRate
        let wasEmpty = plan.deny.isEmpty
        try maps.widenFilter(from: oldFilter, to: filter)
        state.filter = filter
        state.configFlags = ShieldMaps.flags(plan, filter)
        if !wasEmpty { try refreshConfig(&state) }
        try maps.writeDenies(plan.deny, over: old, now: Clock.monotonicNanoseconds())
        try refreshConfig(&state)
        try maps.narrowFilter(from: oldFilter, to: filter)
        try maps.verify(plan)
    }

    /// Writes the one value of `config`.
    func refreshConfig(_ state: inout State) throws(Errno) {
        guard let object = state.object, let map = object.maps["config"] else { return }
        let key = Layout.bytes(of: UInt32(0))
        var config = mesh_config()
        if state.filter == nil,
            let pinned = try map.value(key).flatMap({ Layout.value($0, as: mesh_config.self) })
        {
            // Nothing applied yet: what an earlier agent set goes on.
            config = pinned
        } else {
            config.flags = state.configFlags
            config.packet_rate = ShieldMaps.rate(state.packetRate)
            config.syn_rate = ShieldMaps.rate(state.synRate)
        }
        config.flags |= MESH_CONFIG_SOURCES.rawValue
        config.flags &= ~XDPEngine.scopeFlagMask
        config.flags |= scopeFlags(state)
        config.sample_mask = XDPEngine.sampleMask
        try map.update(key, Layout.bytes(of: config))
    }

    private static let scopeFlagMask =
        MESH_CONFIG_NODE_BLOCKS.rawValue | MESH_CONFIG_GATEWAY_BLOCKS.rawValue
        | MESH_CONFIG_PREFIX_BLOCKS.rawValue

    /// One sample in 64 drops of a reason on a core, the first included.
    static let sampleMask: UInt32 = 63
}
