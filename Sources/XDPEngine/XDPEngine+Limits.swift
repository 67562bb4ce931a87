import CMeshMaps

/// The bounds of the shield's maps, for `/config`.
extension XDPEngine {
    /// A map whose entries are the control side's to count. The table of sources is not: in it the
    /// least recently used gives way, in the kernel.
    package struct BoundedMap: Sendable {
        /// The map.
        package let name: String
        /// The limit's name.
        package let limit: String
        /// What is built for.
        let entryMax: UInt32
        /// Why there is a bound, and what becomes of one more.
        package let reason: String
    }

    /// The maps.
    package static let boundedMaps = [
        BoundedMap(
            name: "blocks",
            limit: "blockMax",
            entryMax: UInt32(MESH_BLOCKS_MAX),
            reason: "1.4 KiB each; one more is enforced in user space."
        ),
        BoundedMap(
            name: "block_prefixes",
            limit: "prefixBlockMax",
            entryMax: UInt32(MESH_PREFIX_BLOCKS_MAX),
            reason: "Operators' prefixes; one more is refused."
        ),
        BoundedMap(
            name: "allow",
            limit: "allowMax",
            entryMax: UInt32(MESH_ALLOW_MAX),
            reason: "Allowed and protected prefixes; a snapshot with more is not applied."
        ),
        BoundedMap(
            name: "deny",
            limit: "denyMax",
            entryMax: UInt32(MESH_DENY_MAX),
            reason: "130 bytes each; a snapshot with more is not applied."
        ),
        BoundedMap(
            name: "destinations",
            limit: "destinationMax",
            entryMax: UInt32(MESH_DESTINATIONS_MAX),
            reason: "Node addresses times listeners; a snapshot with more is not applied."
        ),
        BoundedMap(
            name: "policies",
            limit: "policyMax",
            entryMax: UInt32(MESH_POLICIES_MAX),
            reason: "SourcePolicies with counters; a snapshot with more is not applied."
        ),
    ]

    /// Listeners whose blocks are told apart at one address and port.
    package static let scopesPerDestinationMax = Int(MESH_SCOPES_PER_DESTINATION_MAX)

    /// Entries that a map may hold.
    package func entryMax(of map: String) -> UInt32 {
        let built = XDPEngine.boundedMaps.first { $0.name == map }?.entryMax
        return configuration.mapEntries[map] ?? built ?? 0
    }

    /// Entries that a map refused because it was full.
    package func refusedCount(of map: String) -> UInt64 {
        state.withLock { $0.object?.maps[map]?.refusedCount ?? 0 }
    }

    /// Listeners that shared an address and port with as many as may.
    package var refusedScopeCount: UInt64 { state.withLock(\.refusedScopeCount) }
}
