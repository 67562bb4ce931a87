import Addressing
import CMeshMaps
import MeshModel

/// A name of a scope that holds across restarts: 0 for the node, else 64 bits of a hash. All
/// listeners of one Gateway on one port are one scope, for packets cannot tell them apart.
enum ScopeName {
    static let node: UInt64 = 0

    static func listener(gateway: ObjectKey, port: UInt16) -> UInt64 {
        hash("listener\0\(gateway.namespace)\0\(gateway.name)\0\(port)")
    }

    static func gateway(_ key: ObjectKey) -> UInt64 {
        hash("gateway\0\(key.namespace)\0\(key.name)")
    }

    static func policy(_ key: ObjectKey) -> UInt64 { hash("policy\0\(key.namespace)\0\(key.name)") }

    /// FNV-1a, 64 bits; never 0.
    private static func hash(_ text: String) -> UInt64 {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return state == 0 ? 1 : state
    }
}

/// Why a block cannot be put into the packet layer.
package enum BlockRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// A listener's block must name the port it stands for.
    case noDestination
    /// Workers block at listener scope only.
    case notListenerScope
    /// Only single addresses may be blocked on a listener or Gateway.
    case prefixOutsideNodeScope
    /// A source that may never be blocked, with the reason why.
    case protected(IPPrefix, reason: String)
    /// The kernel refused.
    case kernel(errno: Int32)
    /// Another agent writes now.
    case superseded
    /// The packet layer is off.
    case off

    /// One sentence.
    package var description: String {
        switch self {
        case .noDestination: "a block at listener scope must name its destination's port"
        case .notListenerScope: "a worker may block at listener scope only"
        case .prefixOutsideNodeScope: "a prefix can be blocked for the whole node only"
        case .protected(let prefix, let reason): "\(prefix) may never be blocked: \(reason)"
        case .kernel(let errno): "the kernel refused the block: errno \(errno)"
        case .superseded: "another agent writes this node's packet layer now"
        case .off: "the packet layer is off"
        }
    }
}

/// A block as the kernel holds it: key and value as bytes. Pure; times are parameters.
struct BlockRecord: Equatable {
    /// The two clocks, read together, that carry an expiry from one to the other.
    struct Clocks: Equatable {
        var monotonicNanoseconds: UInt64
        var wallNanoseconds: UInt64
    }

    /// Addresses and ports that are kept for showing.
    private static let destinationCountMax = 4

    var key: [UInt8]
    var value: [UInt8]
    /// Whether it belongs into the trie of prefixes and not into the hash.
    var isPrefix: Bool

    /// Encodes a block.
    init(_ block: Block, clocks: Clocks, writer: UInt64) throws(BlockRefusal) {
        var head = mesh_block_head()
        isPrefix = !block.source.isHost
        switch block.scope {
        case .node:
            key = BlockRecord.key(scope: ScopeName.node, source: block.source)
        case .gateway(let gateway):
            guard !isPrefix else { throw .prefixOutsideNodeScope }
            key = BlockRecord.key(scope: ScopeName.gateway(gateway), source: block.source)
        case .listener(let listener):
            guard !isPrefix else { throw .prefixOutsideNodeScope }
            guard let port = block.destinations.first?.port else { throw .noDestination }
            head.port = port
            let scope = ScopeName.listener(gateway: listener.gatewayKey, port: port)
            key = BlockRecord.key(scope: scope, source: block.source)
        }
        let left = Int64(clamping: block.expiryNanoseconds)
            .subtractingReportingOverflow(Int64(clamping: clocks.wallNanoseconds)).partialValue
        head.expires_ns = UInt64(max(1, Int64(clamping: clocks.monotonicNanoseconds) &+ left))
        head.flags = block.dryRun ? MESH_ENTRY_DRY_RUN.rawValue : 0
        head.since_wall_ns = block.sinceNanoseconds
        head.writer = writer
        let text = BlockRecord.text(of: block)
        head.text_bytes = UInt16(text.count)
        value = Layout.bytes(of: head) + text
        value += [UInt8](repeating: 0, count: MemoryLayout<mesh_block>.size - value.count)
    }

    private static func key(scope: UInt64, source: IPPrefix) -> [UInt8] {
        guard source.isHost else { return Layout.bytes(of: source.meshPrefix) }
        return Layout.bytes(of: mesh_block_key(scope: scope, source: source.base.meshAddress))
    }

    /// Ten fields; the reason last, cut to what room there is.
    private static func text(of block: Block) -> [UInt8] {
        var fields: [String]
        switch block.scope {
        case .node: fields = ["", "", ""]
        case .gateway(let key): fields = [key.namespace, key.name, ""]
        case .listener(let id): fields = [id.namespace, id.gateway, id.name]
        }
        switch block.owner {
        case .operator: fields += ["", "", "", ""]
        case .plugin(let name, let policy):
            fields += [name, policy.kind.rawValue, policy.namespace, policy.name]
        }
        fields.append(
            block.destinations.prefix(destinationCountMax).map(\.description)
                .joined(separator: ",")
        )
        var text = Array((block.scope.name + "\0").utf8)
        for field in fields { text += Array(field.utf8) + [0] }
        let room = max(0, Int(MESH_BLOCK_TEXT_BYTES) - 1 - text.count)
        let reason = Array(String(decoding: block.reason.utf8.prefix(room), as: UTF8.self).utf8)
        return Array((text + reason.prefix(room)).prefix(Int(MESH_BLOCK_TEXT_BYTES) - 1)) + [0]
    }
}

extension BlockRecord {
    /// Decodes what a map holds.
    ///
    /// - Returns: `nil` for bytes of another form.
    static func block(key: [UInt8], value: [UInt8], isPrefix: Bool, clocks: Clocks) -> Block? {
        guard let source = source(of: key, isPrefix: isPrefix),
            let head = Layout.value(value, as: mesh_block_head.self)
        else { return nil }
        let headByteCount = MemoryLayout<mesh_block_head>.size
        let text = value.dropFirst(headByteCount).prefix(Int(head.text_bytes))
        let fields = text.split(separator: 0, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard fields.count >= 10, let scope = scope(of: fields) else { return nil }
        let isOver = head.expires_ns <= clocks.monotonicNanoseconds
        let left = isOver ? 0 : head.expires_ns - clocks.monotonicNanoseconds
        return Block(
            source: source,
            scope: scope,
            destinations: fields[8].split(separator: ",").compactMap { SocketAddress(String($0)) },
            reason: fields[9],
            owner: owner(of: fields),
            sinceNanoseconds: head.since_wall_ns,
            expiryNanoseconds: clocks.wallNanoseconds + left,
            dryRun: head.flags & MESH_ENTRY_DRY_RUN.rawValue != 0,
            enforcedAt: [.xdp],
            packetCount: head.tally.packets
        )
    }

    /// Whether a value's time is over.
    static func isExpired(value: [UInt8], monotonicNanoseconds: UInt64) -> Bool {
        guard let head = Layout.value(value, as: mesh_block_head.self) else { return true }
        return head.expires_ns != 0 && head.expires_ns <= monotonicNanoseconds
    }

    /// A value of another layout in this one's size; blocks only ever grew at their end.
    static func migrated(value: [UInt8]) -> [UInt8] {
        let byteCount = MemoryLayout<mesh_block>.size
        let kept = value.prefix(byteCount)
        return Array(kept) + [UInt8](repeating: 0, count: byteCount - kept.count)
    }

    private static func source(of key: [UInt8], isPrefix: Bool) -> IPPrefix? {
        guard !isPrefix else {
            return Layout.value(key, as: mesh_prefix.self).flatMap(IPPrefix.init)
        }
        guard let parts = Layout.value(key, as: mesh_block_key.self) else { return nil }
        return IPPrefix(host: IPAddress(parts.source))
    }

    private static func scope(of fields: [String]) -> BlockScope? {
        switch fields[0] {
        case "node": .node
        case "gateway": .gateway(ObjectKey(.gateway, namespace: fields[1], name: fields[2]))
        case "listener":
            .listener(ListenerID(namespace: fields[1], gateway: fields[2], name: fields[3]))
        default: nil
        }
    }

    private static func owner(of fields: [String]) -> BlockOwner {
        guard !fields[4].isEmpty else { return .operator }
        let kind = ObjectKind(rawValue: fields[5]) ?? .filterPolicy
        let policy = ObjectKey(kind, namespace: fields[6], name: fields[7])
        return .plugin(name: fields[4], policy: policy)
    }
}
