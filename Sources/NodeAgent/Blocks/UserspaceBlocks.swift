import Addressing
import DataPlane
import MeshModel

/// Blocks as one worker enforces them when it accepts a connection: where the packet layer is off,
/// and on interfaces that it is not on. A plain value of one worker.
struct UserspaceBlocks {
    private struct Key: Hashable {
        var source: IPPrefix
        var scope: BlockScope
    }

    private struct Entry {
        var expiryNanoseconds: UInt64
        var isDryRun: Bool
        var refusedCount: UInt64 = 0
    }

    /// Blocks of one worker; one more is not enforced here.
    let entryMax: Int
    private var entries: [Key: Entry] = [:]
    private var prefixLengths: Set<Int> = []
    /// Blocks that found no room.
    private(set) var overflowCount: UInt64 = 0

    /// Makes an empty table.
    init(entryMax: Int = 65_536) { self.entryMax = entryMax }

    /// Whether nothing is blocked, which costs an accept one comparison.
    var isEmpty: Bool { entries.isEmpty }

    /// Adds or renews a block.
    ///
    /// - Parameters:
    ///   - now: wall clock, nanoseconds since 1970, as the block's times.
    /// - Returns: `false` when there is no room.
    @discardableResult
    mutating func add(_ block: Block, now: UInt64) -> Bool {
        let key = Key(source: block.source, scope: block.scope)
        if entries.count >= entryMax, entries[key] == nil { sweep(now: now) }
        guard entries.count < entryMax || entries[key] != nil else {
            overflowCount += 1
            return false
        }
        var entry = Entry(expiryNanoseconds: block.expiryNanoseconds, isDryRun: block.dryRun)
        entry.refusedCount = entries[key]?.refusedCount ?? 0
        entries[key] = entry
        prefixLengths.insert(block.source.length)
        return true
    }

    /// Lifts every block of a source.
    mutating func remove(_ source: IPPrefix) {
        entries = entries.filter { $0.key.source != source }
        prefixLengths = Set(entries.keys.map(\.source.length))
    }

    /// Forgets blocks whose time is over.
    mutating func sweep(now: UInt64) {
        entries = entries.filter { $0.value.expiryNanoseconds > now }
        prefixLengths = Set(entries.keys.map(\.source.length))
    }

    /// Decides about a connection to a listener.
    mutating func decide(
        _ source: IPAddress,
        listener: ListenerID,
        now: UInt64
    ) -> AdmissionDecision {
        let scopes = [BlockScope.listener(listener), .gateway(listener.gatewayKey), .node]
        for length in prefixLengths {
            guard let prefix = IPPrefix(source, length: length) else { continue }
            for scope in scopes {
                let key = Key(source: prefix, scope: scope)
                guard let entry = entries[key], entry.expiryNanoseconds > now else { continue }
                entries[key]?.refusedCount += 1
                return entry.isDryRun ? .countAndAdmit : .refuse
            }
        }
        return .admit
    }

    /// Connections that a block refused.
    func refusedCount(_ source: IPPrefix, _ scope: BlockScope) -> UInt64 {
        entries[Key(source: source, scope: scope)]?.refusedCount ?? 0
    }
}
