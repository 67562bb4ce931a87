/// What nf_tables is told, as values: a table with chains and rules of a few expressions
/// (`nft(8)`, `linux/netfilter/nf_tables.h`).
package struct NFTable: Equatable, Sendable {
    /// A base chain.
    package struct Chain: Equatable, Sendable {
        /// Its name.
        package var name: String
        /// `nat`, `route` or `filter`.
        package var type: String
        /// Where it hooks in.
        package var hook: Hook
        /// The lower runs first.
        package var priority: Int32
        /// Its rules, in order.
        package var rules: [NFRule]

        /// Makes a chain.
        package init(name: String, type: String, hook: Hook, priority: Int32, rules: [NFRule]) {
            self.name = name
            self.type = type
            self.hook = hook
            self.priority = priority
            self.rules = rules
        }
    }

    /// The places of the packet's way that are used (`NF_INET_*`).
    package enum Hook: UInt32, Sendable {
        case prerouting = 0
        case output = 3
    }

    /// Its name, in the `inet` family.
    package var name: String
    /// Kept by the kernel with the table: what version of which plan it is.
    package var version: String
    /// Whether it belongs to the socket that makes it (`NFT_TABLE_F_OWNER`): nobody else may change
    /// it, and it vanishes when the socket is closed, by the death of its process too.
    package var isOwned: Bool
    /// Its chains.
    package var chains: [Chain]

    /// Makes a table.
    package init(name: String, version: String, isOwned: Bool = false, chains: [Chain]) {
        self.name = name
        self.version = version
        self.isOwned = isOwned
        self.chains = chains
    }
}

/// One rule: expressions from left to right, all of which must hold for the last to act.
package struct NFRule: Equatable, Sendable {
    /// What it is for, in error texts.
    package var name: String
    /// The expressions.
    package var expressions: [NFExpression]

    /// Makes a rule.
    package init(_ name: String, _ expressions: [NFExpression]) {
        self.name = name
        self.expressions = expressions
    }
}

/// An expression. Values travel in one register.
package enum NFExpression: Equatable, Sendable {
    /// Loads packet metadata.
    case loadMeta(Meta)
    /// Loads packet bytes.
    case loadPayload(base: Base, offset: UInt32, byteCount: UInt32)
    /// Loads the connection's mark (4 bytes) or direction (1 byte).
    case loadConnection(Connection)
    /// Loads the type of the destination address: 4 bytes, 2 for local.
    case loadDestinationType
    /// Register = register & mask ^ flip.
    case bitwise(mask: [UInt8], flip: [UInt8])
    /// Goes on only if the register compares so.
    case compare(Comparison, [UInt8])
    /// Goes on only if the register is within.
    case range(from: [UInt8], through: [UInt8])
    /// Sets the packet's mark from the register.
    case setMark
    /// Sets the connection's mark from the register.
    case setConnectionMark
    /// Redirects to a local port.
    case redirect(port: UInt16)
    /// Leaves the chain.
    case leave
    /// Counts packets and bytes.
    case counter

    /// Packet metadata (`NFT_META_*`).
    package enum Meta: UInt32, Sendable {
        case mark = 3
        case inputName = 6
        case outputName = 7
        case family = 15
        case transport = 16
    }

    /// Where packet bytes are counted from (`NFT_PAYLOAD_*`).
    package enum Base: UInt32, Sendable {
        case network = 1
        case transport = 2
    }

    /// What is known of the connection (`NFT_CT_*`).
    package enum Connection: UInt32, Sendable {
        case direction = 1
        case mark = 3
    }

    /// How to compare (`NFT_CMP_*`).
    package enum Comparison: UInt32, Sendable {
        case equal = 0
        case notEqual = 1
    }
}
