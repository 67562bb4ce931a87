import Addressing
import LinuxSystem

/// Keeps the addresses of names current: looks each up again when its time is over, both kinds at
/// once and each for itself, and tells when something differs. What is known stands while no server
/// answers.
package actor NameResolver {
    /// Lookups in hand at a time; more wait for their turn.
    static let lookupMax = 512
    /// Names that are looked up; more have no addresses.
    static let nameMax = 1_024

    private struct Key: Hashable {
        var name: String
        var kind: DNSQuestion.Kind
    }

    private let configuration: @Sendable () -> ResolverConfiguration
    private var exchange: ServerExchange?
    private var records: [Key: NameRecord] = [:]
    private var inHand: Set<Key> = []
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

    /// What is known of the names that are followed: addresses of both kinds in turn (RFC 8305
    /// section 4).
    package var addresses: [String: [IPAddress]] {
        var known: [String: [IPAddress]] = [:]
        for key in records.keys where key.kind == .ipv6 {
            known[key.name] = NameResolver.interleaved(
                records[key]?.addresses ?? [],
                records[Key(name: key.name, kind: .ipv4)]?.addresses ?? []
            )
        }
        return known
    }

    static func interleaved(_ first: [IPAddress], _ second: [IPAddress]) -> [IPAddress] {
        var addresses: [IPAddress] = []
        for index in 0..<max(first.count, second.count) {
            for kind in [first, second] where index < kind.count && !addresses.contains(kind[index])
            {
                addresses.append(kind[index])
            }
        }
        return addresses
    }

    /// Names that are being looked up.
    var namesInHand: Set<String> { Set(inHand.map(\.name)) }

    /// Says whom to tell of changes.
    package func onChange(_ body: @escaping @Sendable () async -> Void) { changed = body }

    /// Follows these names and no others.
    package func follow(_ names: Set<String>) {
        if names.count > NameResolver.nameMax { DiscoveryLimits.names.reached() }
        let followed = names.sorted().prefix(NameResolver.nameMax)
        let wanted = Set(
            followed.flatMap { name in DNSQuestion.Kind.allCases.map { Key(name: name, kind: $0) } }
        )
        guard wanted != Set(records.keys) else { return }
        records = records.filter { wanted.contains($0.key) }
        for key in wanted where records[key] == nil { records[key] = NameRecord() }
        work()
    }

    /// Begins what is due, and comes back when the next is.
    private func work() {
        timer?.cancel()
        timer = nil
        let now = Clock.monotonicNanoseconds()
        let waiting = records.filter { !inHand.contains($0.key) }
        var due = waiting.filter { $0.value.dueNanoseconds <= now }
        let room = NameResolver.lookupMax - inHand.count
        if due.count > room {
            let first = due.sorted { $0.value.dueNanoseconds < $1.value.dueNanoseconds }
            due = Dictionary(uniqueKeysWithValues: Array(first.prefix(max(room, 0))))
        }
        for key in due.keys { begin(key) }
        // Whoever ends comes back here.
        let next = waiting.values.map(\.dueNanoseconds).filter { $0 > now }.min()
        guard let next else { return }
        timer = Task {
            try? await Task.sleep(for: .nanoseconds(Int64(next - now)))
            if !Task.isCancelled { self.work() }
        }
    }

    private func begin(_ key: Key) {
        if exchange == nil { exchange = try? ServerExchange() }
        inHand.insert(key)
        let query = exchange.map { NameQuery(exchange: $0, configuration: configuration()) }
        Task { await self.ended(key, await query?.look(up: key.name, key.kind)) }
    }

    private func ended(_ key: Key, _ found: NameQuery.Outcome?) async {
        inHand.remove(key)
        defer { work() }
        guard let before = records[key] else { return }
        records[key]?.take(found, now: Clock.monotonicNanoseconds())
        // Servers give the addresses in turn; another order is no change.
        if Set(before.addresses) != Set(records[key]?.addresses ?? []) { await changed() }
    }
}
