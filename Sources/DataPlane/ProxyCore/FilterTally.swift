import MeshModel

/// Why a filter's wish for a block was refused.
package enum BlockRefusal: Int, CaseIterable, Error, Sendable {
    /// Nothing decides about blocks here.
    case notCoupled
    /// The exchange belongs to no listener.
    case noListener
    /// The peer is a proxy that named the client by the PROXY protocol.
    case proxied
    /// The source may never be blocked.
    case neverBlocked
    /// The source's address may be forged.
    case noHandshake
    /// The plugin has had its blocks for this minute.
    case overQuota
    /// The time asked for is not positive.
    case invalidTTL
    /// Too many sources are remembered already.
    case tableFull

    /// The name in `/status` and in metrics.
    package var name: String { "\(self)" }
}

/// What became of a filter's wish for a block.
package enum BlockVerdict: Equatable, Sendable {
    /// It is in force, or counts as a dry run.
    case granted
    /// It is not, and why.
    case refused(BlockRefusal)
}

/// What a plugin's filters were called for and did.
package struct FilterCounts: Equatable, Sendable {
    /// Calls of any phase.
    package var runs: UInt64 = 0
    /// Exchanges it answered.
    package var replies: UInt64 = 0
    /// Calls that threw, or asked for what their phase does not allow.
    package var errors: UInt64 = 0
    /// Calls past their time budget, and pauses past their deadline.
    package var overruns: UInt64 = 0
    /// Blocks it asked for.
    package var blocksAsked: UInt64 = 0
    private var refusals = [UInt64](repeating: 0, count: BlockRefusal.allCases.count)

    /// Makes counts of zero.
    package init() {}

    /// Blocks refused for a reason.
    package func blocksRefused(_ reason: BlockRefusal) -> UInt64 { refusals[reason.rawValue] }

    /// Counts what became of a wish.
    mutating func count(_ verdict: BlockVerdict) {
        blocksAsked &+= 1
        if case .refused(let reason) = verdict { refusals[reason.rawValue] &+= 1 }
    }

    /// Adds other counts.
    package mutating func add(_ other: FilterCounts) {
        runs &+= other.runs
        replies &+= other.replies
        errors &+= other.errors
        overruns &+= other.overruns
        blocksAsked &+= other.blocksAsked
        for index in refusals.indices { refusals[index] &+= other.refusals[index] }
    }
}

/// The counts of one plugin by one policy on one worker: they outlive the filters.
package final class FilterTally {
    /// The counts.
    package internal(set) var counts = FilterCounts()

    /// Makes a tally of zero.
    package init() {}
}

/// A plugin as one policy configures it.
package struct PluginUse: Hashable, Sendable {
    /// The plugin's name.
    package var name: String
    /// The policy.
    package var policy: ObjectKey

    /// Makes one.
    package init(name: String, policy: ObjectKey) {
        self.name = name
        self.policy = policy
    }
}

/// The filters that live on one worker, by what configures them. They outlive the chains they are
/// part of: a filter stays as long as its configuration does, its plugin's counts for ever.
package final class FilterStore {
    /// The filters.
    package var filters: [PluginBinding: Filter] = [:]
    private var tallies: [PluginUse: FilterTally] = [:]
    private var retired: [String: FilterCounts] = [:]

    /// Makes an empty store.
    package init() {}

    /// The tally of a use, made when there is none.
    package func tally(of use: PluginUse) -> FilterTally {
        if let tally = tallies[use] { return tally }
        let tally = FilterTally()
        tallies[use] = tally
        return tally
    }

    /// Lets go of the tallies of uses that are no more; their plugins' sums keep what they counted.
    package func keepTallies(of uses: Set<PluginUse>) {
        for (use, tally) in tallies where !uses.contains(use) {
            retired[use.name, default: FilterCounts()].add(tally.counts)
            tallies[use] = nil
        }
    }

    /// What each use counted.
    package var countsByUse: [PluginUse: FilterCounts] { tallies.mapValues(\.counts) }

    /// What each plugin counted since the worker began.
    package var countsByPlugin: [String: FilterCounts] {
        tallies.reduce(into: retired) { sums, row in
            sums[row.key.name, default: FilterCounts()].add(row.value.counts)
        }
    }
}
