import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import TrafficPolicy
import XDPEngine

/// Where one worker's verdicts are decided, checked and written, on its own thread: the safety
/// rules, the one kernel-map write a worker may do, and its own user-space table.
final class VerdictDesk {
    private var rules: VerdictRules
    private let blocksPerMinuteMax: UInt32
    private var listeners: [Int32: ListenerID] = [:]
    private var addresses: [ListenerID: [SocketAddress]] = [:]
    private var table: UserspaceBlocks
    /// Writes into the packet layer; `nil` where it is off.
    private var writer: BlockWriter?
    private var sources: SourceCounters?
    private let made: (Block) -> Void

    /// Makes a desk without rules of a snapshot.
    ///
    /// - Parameters:
    ///   - made: hears of each block that was made, on the worker's thread.
    init(limits: BlockLimits, made: @escaping (Block) -> Void) {
        self.made = made
        rules = VerdictRules(limits: limits.verdicts)
        blocksPerMinuteMax = limits.verdicts.blocksPerMinuteMax
        table = UserspaceBlocks(entryMax: limits.userspaceMax)
    }

    /// What a snapshot says about verdicts.
    struct Settings: Sendable {
        /// The never-list.
        var neverList = NeverList()
        /// Blocks that one plugin may ask for in a minute on one worker; `nil`: as many as without
        /// a policy.
        var blocksPerMinuteMax: UInt32?
        /// Listeners by slot.
        var listeners: [Int32: ListenerID] = [:]
        /// The addresses each listener is reached by.
        var addresses: [ListenerID: [SocketAddress]] = [:]
        /// Writes into the packet layer; `nil` where it is off.
        var writer: BlockWriter?
        /// What the packet layer sees of sources; `nil` where it is off.
        var sources: SourceCounters?
    }

    /// Puts a snapshot's settings in force.
    func install(_ settings: Settings) {
        rules.neverList = settings.neverList
        rules.limits.blocksPerMinuteMax = settings.blocksPerMinuteMax ?? blocksPerMinuteMax
        listeners = settings.listeners
        addresses = settings.addresses
        writer = settings.writer
        sources = settings.sources
    }

    /// What the packet layer saw of a source; `nil` where it is off or saw nothing.
    func observation(of source: IPAddress) -> SourceObservation? {
        sources?.observation(of: source)
    }

    /// Decides on a plugin's wish, and writes the block at once if it is granted: into the packet
    /// layer, or, where that does not run, into this worker's own table.
    func decide(_ request: BlockRequest) -> BlockVerdict {
        guard let listener = listeners[request.listener] else { return .refused(.noListener) }
        let verdict = VerdictRequest(
            source: request.source,
            scope: .listener(listener),
            owner: request.owner,
            ttl: .nanoseconds(Int64(clamping: request.ttlNanoseconds)),
            hasHandshake: true,
            dryRun: request.dryRun
        )
        switch rules.judge(verdict, nowNanoseconds: Clock.monotonicNanoseconds()) {
        case .block(let ttl, let dryRun):
            make(request, listener, ttl, dryRun: dryRun)
            return .granted
        case .neverBlocked: return .refused(.neverBlocked)
        case .noHandshake: return .refused(.noHandshake)
        case .overQuota: return .refused(.overQuota)
        case .invalidTTL: return .refused(.invalidTTL)
        case .tableFull: return .refused(.tableFull)
        }
    }

    private func make(
        _ request: BlockRequest,
        _ listener: ListenerID,
        _ ttl: Duration,
        dryRun: Bool
    ) {
        let now = Clock.wallNanoseconds()
        var block = Block(
            source: IPPrefix(host: request.source),
            scope: .listener(listener),
            destinations: addresses[listener] ?? [request.destination],
            reason: request.reason,
            owner: request.owner,
            sinceNanoseconds: now,
            expiryNanoseconds: now + ttl.wholeNanoseconds,
            dryRun: dryRun
        )
        block.enforcedAt = enforce(block)
        made(block)
    }

    private func enforce(_ block: Block) -> [EnforcementPoint] {
        if let writer, (try? writer.write(block)) != nil { return [.xdp] }
        table.add(block, now: block.sinceNanoseconds)
        return [.userspace]
    }

    /// Decides about a connection before its first byte.
    func admission(_ source: IPAddress, listener slot: Int32) -> AdmissionDecision {
        guard !table.isEmpty, let listener = listeners[slot] else { return .admit }
        return table.decide(source, listener: listener, now: Clock.wallNanoseconds())
    }

    /// Takes a block that was made elsewhere.
    func add(_ block: Block) { table.add(block, now: Clock.wallNanoseconds()) }

    /// Lifts every block of a source.
    func remove(_ source: IPPrefix) { table.remove(source) }

    /// Connections that a block refused on this worker.
    func refusedCount(_ source: IPPrefix, _ scope: BlockScope) -> UInt64 {
        table.refusedCount(source, scope)
    }

    /// How often each bound of the safety rules decided.
    var limitCounts: VerdictRules.LimitCounts { rules.limitCounts }

    /// Blocks that found no room in the user-space table.
    var overflowCount: UInt64 { table.overflowCount }
}
