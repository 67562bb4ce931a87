import Addressing
import MeshModel

/// A plugin's wish to keep a source out.
package struct VerdictRequest: Equatable, Sendable {
    /// The socket's peer; never an address read from a header.
    package var source: IPAddress
    /// Where to keep it out.
    package var scope: BlockScope
    /// Who asks, for the quota.
    package var owner: BlockOwner
    /// For how long; shortened or lengthened by the rules.
    package var ttl: Duration
    /// Whether the source completed a handshake, so that its address is not forged.
    package var hasHandshake: Bool
    /// Only count.
    package var dryRun: Bool

    /// Makes a wish.
    package init(
        source: IPAddress,
        scope: BlockScope,
        owner: BlockOwner,
        ttl: Duration,
        hasHandshake: Bool,
        dryRun: Bool = false
    ) {
        self.source = source
        self.scope = scope
        self.owner = owner
        self.ttl = ttl
        self.hasHandshake = hasHandshake
        self.dryRun = dryRun
    }
}

/// What the rules say to a wish.
package enum VerdictDecision: Equatable, Sendable {
    /// Block for this long.
    case block(ttl: Duration, dryRun: Bool)
    /// The source may never be blocked, and why.
    case neverBlocked(String)
    /// The source's address may be forged: no handshake.
    case noHandshake
    /// The plugin has had its blocks for this minute.
    case overQuota
    /// The time asked for is not positive.
    case invalidTTL
    /// Too many sources are remembered already.
    case tableFull
}

/// The safety rules of verdicts: never-list, handshake, quota, and times that double with each
/// repeated offence. Pure; time is a parameter. One copy belongs to one worker.
package struct VerdictRules: Sendable {
    /// The bounds of the rules.
    package struct Limits: Equatable, Sendable {
        /// The longest first block of a source: an error of a plugin heals within a minute.
        package var firstTTLMax: Duration = .seconds(60)
        /// The longest block, however often a source offends.
        package var ttlMax: Duration = .seconds(3600)
        /// How long after a block's end its length is remembered.
        package var memory: Duration = .seconds(600)
        /// Blocks that one plugin may ask for in a minute, on this worker.
        package var blocksPerMinuteMax: UInt32 = 600
        /// Sources that are remembered at once: about 100 bytes each.
        package var rememberedSourceCountMax = 16_384

        /// Makes the default limits.
        package init() {}
    }

    /// How often each bound decided.
    package struct LimitCounts: Equatable, Sendable {
        /// First blocks shortened to `firstTTLMax`.
        package var firstTTL: UInt64 = 0
        /// Repeated blocks shortened to `ttlMax`.
        package var ttl: UInt64 = 0
        /// Wishes over `blocksPerMinuteMax`.
        package var blocksPerMinute: UInt64 = 0
        /// Wishes over `rememberedSourceCountMax`.
        package var rememberedSources: UInt64 = 0

        /// Makes counts of zero.
        package init() {}

        /// Adds another worker's counts.
        package mutating func add(_ other: LimitCounts) {
            firstTTL &+= other.firstTTL
            ttl &+= other.ttl
            blocksPerMinute &+= other.blocksPerMinute
            rememberedSources &+= other.rememberedSources
        }
    }

    private struct Offender: Hashable {
        var source: IPAddress
        var scope: BlockScope
    }

    private struct Memory {
        var ttlNanoseconds: UInt64
        var forgetAtNanoseconds: UInt64
    }

    private struct Window {
        var startNanoseconds: UInt64
        var count: UInt32
    }

    private static let minuteNanoseconds: UInt64 = 60_000_000_000

    /// The bounds; may be changed while in use.
    package var limits: Limits
    /// Sources that may never be blocked.
    package var neverList: NeverList
    /// How often each bound decided so far.
    package private(set) var limitCounts = LimitCounts()
    private var remembered: [Offender: Memory] = [:]
    private var windows: [BlockOwner: Window] = [:]

    /// Makes rules with nothing remembered.
    package init(limits: Limits = Limits(), neverList: NeverList = NeverList()) {
        self.limits = limits
        self.neverList = neverList
    }

    /// Judges a wish and remembers it if it is granted. A dry run takes no quota's place, but is
    /// limited like any other.
    ///
    /// - Parameter nowNanoseconds: CLOCK_MONOTONIC; must not go back.
    package mutating func judge(
        _ request: VerdictRequest,
        nowNanoseconds now: UInt64
    ) -> VerdictDecision {
        guard request.ttl > .zero else { return .invalidTTL }
        if let reason = neverList.reason(for: request.source) { return .neverBlocked(reason) }
        guard request.hasHandshake else { return .noHandshake }
        let offender = Offender(source: request.source, scope: request.scope)
        guard makeRoom(for: offender, now: now) else {
            limitCounts.rememberedSources &+= 1
            return .tableFull
        }
        guard takeQuota(request.owner, now: now) else {
            limitCounts.blocksPerMinute &+= 1
            return .overQuota
        }
        let ttl = ttlNanoseconds(request, offender, now: now)
        if !request.dryRun {
            remembered[offender] = Memory(
                ttlNanoseconds: ttl,
                forgetAtNanoseconds: now + ttl + limits.memory.wholeNanoseconds
            )
        }
        return .block(ttl: .nanoseconds(Int64(clamping: ttl)), dryRun: request.dryRun)
    }

    /// Sources remembered now.
    package var rememberedSourceCount: Int { remembered.count }

    private mutating func ttlNanoseconds(
        _ request: VerdictRequest,
        _ offender: Offender,
        now: UInt64
    ) -> UInt64 {
        let asked = min(request.ttl, limits.firstTTLMax).wholeNanoseconds
        guard let memory = remembered[offender], memory.forgetAtNanoseconds > now else {
            if request.ttl > limits.firstTTLMax { limitCounts.firstTTL &+= 1 }
            return asked
        }
        let doubled = memory.ttlNanoseconds.multipliedReportingOverflow(by: 2)
        let cap = limits.ttlMax.wholeNanoseconds
        let wanted = doubled.overflow ? .max : max(asked, doubled.partialValue)
        if wanted > cap { limitCounts.ttl &+= 1 }
        return min(cap, wanted)
    }

    private mutating func makeRoom(for offender: Offender, now: UInt64) -> Bool {
        guard remembered.count >= limits.rememberedSourceCountMax, remembered[offender] == nil
        else { return true }
        remembered = remembered.filter { $0.value.forgetAtNanoseconds > now }
        return remembered.count < limits.rememberedSourceCountMax
    }

    private mutating func takeQuota(_ owner: BlockOwner, now: UInt64) -> Bool {
        var window = windows[owner] ?? Window(startNanoseconds: now, count: 0)
        if now - window.startNanoseconds >= VerdictRules.minuteNanoseconds {
            window = Window(startNanoseconds: now, count: 0)
        }
        guard window.count < limits.blocksPerMinuteMax else { return false }
        window.count += 1
        windows[owner] = window
        return true
    }
}
