import Addressing
import LinuxSystem

/// Keeps the addresses of names current: looks each up again when its time is over, and tells when
/// something differs. What is known stands while no server answers.
package actor NameResolver {
    /// The bounds of how long an answer is believed, seconds: a server that says 0 is not asked
    /// all the time, one that says a year is asked again.
    static let secondsRange: ClosedRange<UInt32> = 5...3_600
    /// How long it is believed that a name is not there.
    static let absenceSecondsMax: UInt32 = 300
    /// Addresses of one name that are used.
    static let addressMax = 64
    /// Lookups in hand at a time; more wait for their turn.
    static let lookupMax = 4
    /// Names that are looked up; more have no addresses.
    static let nameMax = 1_024

    private struct Entry {
        var addresses: [IPAddress] = []
        var dueNanoseconds: UInt64 = 0
        var isUnderWay = false
    }

    private let configuration: @Sendable () -> ResolverConfiguration
    private var entries: [String: Entry] = [:]
    private var underWayCount = 0
    private var timer: Task<Void, Never>?
    private var changed: @Sendable () async -> Void = {}

    /// Makes a resolver.
    ///
    /// - Parameter configuration: read before each lookup, so that it may change.
    package init(configuration: @escaping @Sendable () -> ResolverConfiguration) {
        self.configuration = configuration
    }

    /// Makes a resolver of the system's name servers.
    package init() {
        self.init {
            let text = try? FileSystem.readText(ResolverConfiguration.path)
            return ResolverConfiguration(text ?? "")
        }
    }

    /// What is known of the names that are followed.
    package var addresses: [String: [IPAddress]] { entries.mapValues(\.addresses) }

    /// Says whom to tell of changes.
    package func onChange(_ body: @escaping @Sendable () async -> Void) { changed = body }

    /// Follows these names and no others.
    package func follow(_ names: Set<String>) {
        let wanted = Set(names.sorted().prefix(NameResolver.nameMax))
        guard wanted != Set(entries.keys) else { return }
        entries = entries.filter { wanted.contains($0.key) }
        for name in wanted where entries[name] == nil { entries[name] = Entry() }
        work()
    }

    /// Begins what is due, and comes back when the next is.
    private func work() {
        timer?.cancel()
        timer = nil
        let now = Clock.monotonicNanoseconds()
        var nextNanoseconds = UInt64.max
        let waiting = entries.filter { !$0.value.isUnderWay }
        for (name, entry) in waiting.sorted(by: {
            $0.value.dueNanoseconds < $1.value.dueNanoseconds
        }) {
            // Whoever ends comes back here.
            guard underWayCount < NameResolver.lookupMax else { return }
            guard entry.dueNanoseconds <= now else {
                nextNanoseconds = entry.dueNanoseconds
                break
            }
            begin(name)
        }
        guard nextNanoseconds < .max else { return }
        let wait = Int64(nextNanoseconds - now)
        timer = Task {
            try? await Task.sleep(for: .nanoseconds(wait))
            if !Task.isCancelled { self.work() }
        }
    }

    private func begin(_ name: String) {
        entries[name]?.isUnderWay = true
        underWayCount += 1
        let configuration = configuration
        Task {
            let found = await BlockingThread.run(name: "martlet-dns") {
                NameQuery.look(up: name, configuration())
            }
            await self.ended(name, found.flatMap(\.self))
        }
    }

    private func ended(_ name: String, _ found: NameQuery.Outcome?) async {
        underWayCount -= 1
        defer { work() }
        guard var entry = entries[name] else { return }
        entry.isUnderWay = false
        var seconds = NameResolver.secondsRange.lowerBound
        let before = entry.addresses
        if let found {
            let usable = found.addresses.filter(NameResolver.isUsable)
            entry.addresses = Array(usable.prefix(NameResolver.addressMax))
            let most =
                usable.isEmpty
                ? NameResolver.absenceSecondsMax : NameResolver.secondsRange.upperBound
            seconds = min(max(found.seconds, seconds), most)
        }
        entry.dueNanoseconds = Clock.monotonicNanoseconds() + UInt64(seconds) * 1_000_000_000
        entries[name] = entry
        // Servers give the addresses in turn; another order is no change.
        if Set(before) != Set(entry.addresses) { await changed() }
    }

    /// A name must not lead to this node itself or to the cloud's metadata server (loopback,
    /// link-local, unspecified and multicast addresses).
    static func isUsable(_ ip: IPAddress) -> Bool {
        if ip.isIPv4 {
            let bits = ip.v4Bits
            let first = bits >> 24
            return first != 0 && first != 127 && bits >> 16 != 0xa9fe && first < 224
        }
        let prefix = ip.high >> 48
        return !(ip.high == 0 && ip.low <= 1) && prefix & 0xffc0 != 0xfe80 && prefix < 0xff00
    }
}
