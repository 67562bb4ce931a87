import Addressing

/// To which destinations a block applies; packets to others always pass.
package enum BlockScope: Hashable, Sendable {
    case listener(ListenerID)
    /// Every listener of the Gateway.
    case gateway(ObjectKey)
    /// Every address of the node.
    case node

    /// `listener`, `gateway` or `node`.
    package var name: String {
        switch self {
        case .listener: "listener"
        case .gateway: "gateway"
        case .node: "node"
        }
    }
}

/// Who asked for a block.
package enum BlockOwner: Hashable, Sendable, CustomStringConvertible {
    case `operator`
    /// A plugin, under the FilterPolicy that attached it.
    case plugin(name: String, policy: ObjectKey)

    /// `operator`, or `plugin NAME (FilterPolicy ns/name)`.
    package var description: String {
        switch self {
        case .operator: "operator"
        case .plugin(let name, let policy): "plugin \(name) (\(policy))"
        }
    }
}

/// Where a block is enforced.
package enum EnforcementPoint: String, Hashable, Sendable {
    case xdp
    case podNft
    case userspace
}

/// A source that is kept out of a scope for a time.
package struct Block: Hashable, Sendable {
    /// The source.
    package var source: IPPrefix
    /// Where it is kept out.
    package var scope: BlockScope
    /// The addresses and ports the scope stood for when the block was made; empty for the node.
    package var destinations: [SocketAddress]
    /// Why, in the words of who asked.
    package var reason: String
    /// Who asked.
    package var owner: BlockOwner
    /// When it was made, wall clock, nanoseconds since 1970.
    package var sinceNanoseconds: UInt64
    /// When it ends, wall clock, nanoseconds since 1970.
    package var expiryNanoseconds: UInt64
    /// Only counts; packets pass.
    package var dryRun: Bool
    /// Where it is enforced.
    package var enforcedAt: [EnforcementPoint]
    /// Packets dropped (or, with `dryRun`, that would have been).
    package var packetCount: UInt64

    /// Makes a block.
    package init(
        source: IPPrefix,
        scope: BlockScope,
        destinations: [SocketAddress] = [],
        reason: String,
        owner: BlockOwner,
        sinceNanoseconds: UInt64,
        expiryNanoseconds: UInt64,
        dryRun: Bool = false,
        enforcedAt: [EnforcementPoint] = [],
        packetCount: UInt64 = 0
    ) {
        self.source = source
        self.scope = scope
        self.destinations = destinations
        self.reason = reason
        self.owner = owner
        self.sinceNanoseconds = sinceNanoseconds
        self.expiryNanoseconds = expiryNanoseconds
        self.dryRun = dryRun
        self.enforcedAt = enforcedAt
        self.packetCount = packetCount
    }
}

/// Sources that may never be blocked, each with the reason why.
package struct ProtectedSources: Equatable, Sendable {
    /// One protected prefix.
    package struct Entry: Hashable, Sendable {
        /// The source.
        package var prefix: IPPrefix
        /// Such as `node n1`, `pod ns/name`, `next hop`, `name server`, `trusted by SourcePolicy x`.
        package var reason: String

        /// Makes an entry.
        package init(_ prefix: IPPrefix, reason: String) {
            self.prefix = prefix
            self.reason = reason
        }
    }

    /// All entries.
    package var entries: [Entry]

    /// Makes a list.
    package init(_ entries: [Entry] = []) {
        self.entries = entries
    }
}

/// What the packet layer saw of one source.
package struct SourceObservation: Hashable, Sendable, BitwiseCopyable {
    /// Packets seen.
    package var packetCount: UInt64
    /// Bytes seen.
    package var byteCount: UInt64
    /// Packets dropped, for any reason.
    package var dropCount: UInt64
    /// TCP SYNs seen.
    package var synCount: UInt64

    /// Makes an observation.
    package init(
        packetCount: UInt64 = 0,
        byteCount: UInt64 = 0,
        dropCount: UInt64 = 0,
        synCount: UInt64 = 0
    ) {
        self.packetCount = packetCount
        self.byteCount = byteCount
        self.dropCount = dropCount
        self.synCount = synCount
    }
}
