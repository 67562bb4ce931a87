import Addressing

/// A SourcePolicy (`martlet.mesh/v1alpha1`): what the packet layer does with sources.
package struct SourcePolicy: Equatable, Sendable {
    /// One denied prefix.
    package struct Deny: Hashable, Sendable {
        /// The source.
        package var source: IPPrefix
        /// How long from when the policy is applied; `nil` for as long as the policy stands.
        package var ttl: Duration?

        /// Makes an entry.
        package init(source: IPPrefix, ttl: Duration? = nil) {
            self.source = source
            self.ttl = ttl
        }
    }

    /// The object.
    package let key: ObjectKey
    /// Never dropped, whatever else says so.
    package var allow: [IPPrefix]
    /// Always dropped.
    package var deny: [Deny]
    /// Packets per second one source may send; `nil`: no limit.
    package var packetsPerSecond: UInt32?
    /// TCP SYNs per second one source may send; `nil`: no limit.
    package var synPerSecond: UInt32?
    /// Sources that neither plugins nor operators may block.
    package var trustedSources: [IPPrefix]
    /// Count what would be dropped, and pass it.
    package var dryRun: Bool
    /// Blocks that one plugin may ask for in a minute.
    package var pluginBlocksPerMinute: UInt32

    /// Makes a policy; by default one that drops nothing. 600 plugin blocks a minute are allowed.
    package init(
        key: ObjectKey,
        allow: [IPPrefix] = [],
        deny: [Deny] = [],
        packetsPerSecond: UInt32? = nil,
        synPerSecond: UInt32? = nil,
        trustedSources: [IPPrefix] = [],
        dryRun: Bool = false,
        pluginBlocksPerMinute: UInt32 = 600
    ) {
        self.key = key
        self.allow = allow
        self.deny = deny
        self.packetsPerSecond = packetsPerSecond
        self.synPerSecond = synPerSecond
        self.trustedSources = trustedSources
        self.dryRun = dryRun
        self.pluginBlocksPerMinute = pluginBlocksPerMinute
    }
}
