import LinuxSystem
import MeshModel

/// One listener's wish for TLS towards clients.
package struct TLSListener: Sendable {
    /// Names it for tickets and faults; stable across snapshots.
    package var name: String
    /// Its slot in the engine.
    package var slot: Int32
    /// The names it answers.
    package var host: HostPattern
    /// Its certificates, the first being the default.
    package var certificates: [Certificate]
    /// What its policies set.
    package var settings: ListenerSettings

    /// Makes a wish of its parts.
    package init(
        name: String,
        slot: Int32,
        host: HostPattern,
        certificates: [Certificate],
        settings: ListenerSettings = ListenerSettings()
    ) {
        self.name = name
        self.slot = slot
        self.host = host
        self.certificates = certificates
        self.settings = settings
    }
}

/// Makes host tables of listeners' wishes, for whichever part of the node has listeners: what has
/// not changed keeps its context, what is refused keeps its last good one.
package struct TLSHostCompiler: Sendable {
    /// What came of a compilation.
    package struct Outcome: Sendable {
        /// A table for each port that has a usable certificate.
        package var tables: [Int32: TLSHostTable] = [:]
        /// Why a certificate as it is now is not in use.
        package var certificateFaults: [ObjectKey: String] = [:]
        /// Why a listener's settings as they are now are not in use, by its name.
        package var listenerFaults: [String: String] = [:]
        /// Secrets of which a certificate is in use.
        package var usable: Set<ObjectKey> = []
    }

    private struct Place: Hashable {
        var listener: String
        var label: String
    }

    private struct RingKey: Hashable {
        var scope: TLSSessionScope
        var lifetime: Duration
    }

    private struct Usable {
        var certificate: Certificate
        var facts: TLSMaterialFacts
    }

    private var facts: [Certificate: TLSMaterialFacts] = [:]
    private var lastGood: [ObjectKey: Certificate] = [:]
    private var contexts: [Place: (configuration: TLSServerConfiguration, context: TLSContext)] =
        [:]
    private var rings: [RingKey: TLSTicketKeys] = [:]
    private var used: Set<Place> = []
    private var usedRings: Set<RingKey> = []

    /// What time alone has made stale of what is in use; it goes on being used.
    package struct Overdue: Equatable, Sendable {
        /// Certificates that have expired, by Secret.
        package var certificates: [ObjectKey: String] = [:]
        /// Responses of OCSP that may not be shown any more, by listener.
        package var listeners: [String: String] = [:]
    }

    /// Makes a compiler that knows nothing yet.
    package init() {}

    /// Compiles the listeners of all ports; what none of them uses is forgotten.
    ///
    /// - Parameter ports: by the number of the port's table.
    package mutating func compile(_ ports: [Int32: [TLSListener]]) -> Outcome {
        var outcome = Outcome()
        used = []
        usedRings = []
        var named: Set<ObjectKey> = []
        for (number, listeners) in ports.sorted(by: { $0.key < $1.key }) {
            for listener in listeners { named.formUnion(listener.certificates.map(\.key)) }
            outcome.tables[number] = table(listeners, &outcome)
        }
        lastGood = lastGood.filter { named.contains($0.key) }
        let alive = Set(lastGood.values)
        facts = facts.filter { alive.contains($0.key) }
        contexts = contexts.filter { used.contains($0.key) }
        rings = rings.filter { usedRings.contains($0.key) }
        return outcome
    }

    // MARK: Time

    /// When the certificates in use end: the wall clock's nanoseconds by Secret.
    package var certificateEnds: [ObjectKey: UInt64] {
        lastGood.compactMapValues { facts[$0]?.endNanoseconds }
    }

    /// What has become stale by a time of the wall clock, nanoseconds.
    package func overdue(at now: UInt64 = Clock.wallNanoseconds()) -> Overdue {
        var overdue = Overdue()
        for (key, end) in certificateEnds where end <= now {
            overdue.certificates[key] = "the certificate has expired, and is still served"
        }
        for (place, made) in contexts {
            guard let staple = made.context.server?.staple, staple.endNanoseconds <= now,
                staple.verdict == .good
            else { continue }
            overdue.listeners[place.listener] = "OCSP response: its time has passed"
        }
        return overdue
    }

    /// How long until something in use becomes stale, an hour at most, lest a clock that is set
    /// goes unnoticed; `nil` where nothing will.
    package func nextEnd(from now: UInt64 = Clock.wallNanoseconds()) -> Duration? {
        let staples = contexts.values.compactMap { $0.context.server?.staple?.endNanoseconds }
        let next = (certificateEnds.values + staples).filter { $0 > now }.min()
        return next.map { min(.nanoseconds(Int64(clamping: $0 - now)), .seconds(3_600)) }
    }

    private mutating func table(
        _ listeners: [TLSListener],
        _ outcome: inout Outcome
    ) -> TLSHostTable? {
        let ordered = listeners.sorted { HostPattern.isMoreSpecific($0.host, $1.host) }
        var hosts: [(pattern: HostPattern, host: TLSHost)] = []
        for listener in ordered {
            for (pattern, host) in self.hosts(of: listener, &outcome) {
                // Of two listeners for a name the more specific has it.
                let owner = ordered.first { $0.host.covers(pattern) }
                if owner?.name == listener.name { hosts.append((pattern, host)) }
            }
        }
        guard let first = listeners.first, !hosts.isEmpty else { return nil }
        let fallback = listeners.lazy.compactMap { listener in
            hosts.last { $0.host.listener == listener.slot }
        }
        if let host = fallback.first?.host { hosts.append((.any, host)) }
        return TLSHostTable(
            hosts,
            handshakeTimeout: first.settings.timeouts.handshake,
            handshakeMax: first.settings.tls.handshakeMax
        )
    }

    /// The contexts of a listener: one for each set of certificates that some of its names have,
    /// the last for all of its other names.
    private mutating func hosts(
        of listener: TLSListener,
        _ outcome: inout Outcome
    ) -> [(HostPattern, TLSHost)] {
        let usable = listener.certificates.compactMap { self.usable($0, &outcome) }
        guard let first = usable.first else { return [] }
        var patterns: [HostPattern] = []
        if usable.count > 1 {
            for name in usable.flatMap(\.facts.names) where listener.host.covers(name) {
                if !patterns.contains(name) && name != .any { patterns.append(name) }
            }
        }
        var hosts: [(HostPattern, TLSHost)] = []
        for pattern in patterns {
            let group = TLSHostCompiler.group(usable, for: pattern)
            if let host = host(listener, group, &outcome) { hosts.append((pattern, host)) }
        }
        let covering = TLSHostCompiler.group(usable, for: listener.host)
        let others = covering.isEmpty ? TLSHostCompiler.alike(usable, first) : covering
        if let host = host(listener, others, &outcome) { hosts.append((listener.host, host)) }
        return hosts
    }

    /// The first certificate of each kind of key that is for a name.
    private static func group(_ usable: [Usable], for pattern: HostPattern) -> [Usable] {
        var kinds: Set<Int32> = []
        return usable.filter { one in
            one.facts.names.contains { $0.covers(pattern) }
                && kinds.insert(one.facts.keyKind).inserted
        }
    }

    /// A certificate with those of other kinds of keys for the same names.
    private static func alike(_ usable: [Usable], _ first: Usable) -> [Usable] {
        var kinds: Set<Int32> = []
        return usable.filter { one in
            Set(one.facts.names) == Set(first.facts.names)
                && kinds.insert(one.facts.keyKind).inserted
        }
    }

    /// A certificate, or the last good one in its place.
    private mutating func usable(_ certificate: Certificate, _ outcome: inout Outcome) -> Usable? {
        let key = certificate.key
        if facts[certificate] == nil {
            do {
                facts[certificate] = try TLSMaterialFacts(certificate.material)
            } catch {
                outcome.certificateFaults[key] = error.description
            }
        }
        if facts[certificate] != nil { lastGood[key] = certificate }
        guard let good = lastGood[key], let known = facts[good] else { return nil }
        outcome.usable.insert(key)
        return Usable(certificate: good, facts: known)
    }

    private mutating func host(
        _ listener: TLSListener,
        _ group: [Usable],
        _ outcome: inout Outcome
    ) -> TLSHost? {
        let label = group.map(\.certificate.key.description).joined(separator: " ")
        let place = Place(listener: listener.name, label: label)
        used.insert(place)
        let configuration = TLSServerConfiguration(
            materials: group.map(\.certificate.material),
            settings: listener.settings.tls,
            versions: listener.settings.versions,
            scope: listener.name,
            label: label
        )
        let ringKey = RingKey(
            scope: configuration.sessionScope,
            lifetime: configuration.settings.ticketKeyLifetime
        )
        usedRings.insert(ringKey)
        if let known = contexts[place], known.configuration == configuration {
            noteStaple(known.context, listener, &outcome)
            return TLSHost(known.context, listener: listener.slot)
        }
        let ring = rings[ringKey] ?? TLSTicketKeys(lifetime: ringKey.lifetime)
        rings[ringKey] = ring
        do {
            let context = try TLSContext.server(configuration, keys: ring)
            contexts[place] = (configuration, context)
            noteStaple(context, listener, &outcome)
            return TLSHost(context, listener: listener.slot)
        } catch {
            outcome.listenerFaults[listener.name] = error.description
            return contexts[place].map { TLSHost($0.context, listener: listener.slot) }
        }
    }

    /// A response that is not stapled is told of, whether or not it is required.
    private func noteStaple(
        _ context: TLSContext,
        _ listener: TLSListener,
        _ outcome: inout Outcome
    ) {
        guard let server = context.server else { return }
        if let fault = server.staple?.fault {
            outcome.listenerFaults[listener.name] = fault
        } else if server.staple == nil && server.hasStapleDemand {
            outcome.listenerFaults[listener.name] =
                "OCSP response: expected one, since the certificate must be stapled (RFC 7633)"
        }
    }
}

extension Certificate {
    fileprivate var material: TLSMaterial { TLSMaterial(chainPEM: chainPEM, keyPEM: keyPEM) }
}

/// What is known of a certificate that can serve.
struct TLSMaterialFacts: Sendable {
    /// The host names it is for.
    let names: [HostPattern]
    /// The kind of its key, OpenSSL's number.
    let keyKind: Int32
    /// When it ends, the wall clock's nanoseconds.
    let endNanoseconds: UInt64

    /// Reads and checks material.
    init(_ material: TLSMaterial) throws(TLSError) {
        let loaded = try LoadedMaterial(material)
        names = loaded.names
        keyKind = loaded.keyKind
        endNanoseconds = loaded.endNanoseconds
    }
}
