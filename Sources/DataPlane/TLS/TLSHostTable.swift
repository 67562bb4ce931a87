import MeshModel

/// What a server name gets: a context, and the listener whose policy it is of.
package struct TLSHost: Sendable {
    /// What the handshake is made by.
    package let context: TLSContext
    /// The listener's slot; -1 where requests of every listener may come by it.
    package let listener: Int32

    /// Makes an entry of its parts.
    package init(_ context: TLSContext, listener: Int32 = -1) {
        self.context = context
        self.listener = listener
    }
}

/// Which host a server name gets: exact names first, then wildcards, then the default.
/// Immutable; a new table holds for new handshakes.
///
/// It is asked with the ClientHello in hand, before a session is made. OpenSSL could also call back
/// from within a session and change its context (`SSL_CTX_set_client_hello_cb`,
/// `SSL_set_SSL_CTX`), but then what was copied into the session when it was made stays that of the
/// first context: versions, groups, what is asked of clients' certificates, and above all the keys
/// that tickets are opened by, which is how a ticket of one host came to open another
/// (CVE-2025-23419). A session made of the right context has none of this to undo, and a connection
/// that sends nothing holds no session at all.
package final class TLSHostTable: Sendable {
    private struct Policy: Hashable {
        let policy: TLSClientPolicy
        let listener: Int32

        init(_ policy: TLSClientPolicy, _ listener: Int32) {
            self.policy = policy
            self.listener = listener
        }
    }

    private let exact: [String: TLSHost]
    private let wildcards: [String: TLSHost]
    /// The host without or with an unknown name; `nil` refuses such handshakes.
    package let fallback: TLSHost?
    /// For a handshake from accepting to its end; `nil` for the node's own limit.
    let handshakeTimeoutNanoseconds: UInt64?
    /// Handshakes at a time on one worker; 0 for the node's own limit.
    let handshakeMax: UInt32
    private let policies: Set<Policy>
    /// Listeners of which names have different certificates.
    private let splitListeners: Set<Int32>

    /// Makes a table.
    ///
    /// - Parameters:
    ///   - hosts: the first of a pattern wins; the first for any host is the default.
    ///   - handshakeTimeout: for a handshake; `nil` for the node's own limit.
    ///   - handshakeMax: handshakes at a time; 0 for the node's own limit.
    package init(
        _ hosts: [(pattern: HostPattern, host: TLSHost)],
        handshakeTimeout: Duration? = nil,
        handshakeMax: UInt32 = 0
    ) {
        var exact: [String: TLSHost] = [:]
        var wildcards: [String: TLSHost] = [:]
        var fallback: TLSHost?
        var first: [Int32: TLSContext] = [:]
        var split: Set<Int32> = []
        for (pattern, host) in hosts {
            if let known = first[host.listener], known !== host.context {
                split.insert(host.listener)
            }
            first[host.listener] = host.context
            switch pattern {
            case .any: if fallback == nil { fallback = host }
            case .exact(let name): if exact[name] == nil { exact[name] = host }
            case .wildcard(let suffix): if wildcards[suffix] == nil { wildcards[suffix] = host }
            }
        }
        self.exact = exact
        self.wildcards = wildcards
        self.fallback = fallback
        self.handshakeMax = handshakeMax
        handshakeTimeoutNanoseconds = handshakeTimeout?.wholeNanoseconds
        policies = Set(
            hosts.compactMap { _, host in
                host.context.sessionScope.map { Policy($0.policy, host.listener) }
            }
        )
        splitListeners = split.subtracting([-1])
    }

    /// Makes a table of contexts that requests of every listener may come by.
    package convenience init(_ hosts: [(pattern: HostPattern, context: TLSContext)]) {
        self.init(hosts.map { (pattern: $0.pattern, host: TLSHost($0.context)) })
    }

    /// The host for a server name.
    func host(for name: String?) -> TLSHost? {
        guard let name else { return fallback }
        var lowered = name.lowercased()
        if lowered.hasSuffix(".") { lowered.removeLast() }
        if let host = exact[lowered] { return host }
        var rest = lowered[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if let host = wildcards[String(rest)] { return host }
        }
        return fallback
    }

    /// Whether names of a listener have different certificates, so that a request's name must be
    /// looked at.
    func isSplit(_ listener: Int32) -> Bool { splitListeners.contains(listener) }

    /// Whether connections of a host may go on under this table: it has the same listener with the
    /// same demands on clients' certificates.
    func keeps(_ context: TLSContext, listener: Int32) -> Bool {
        context.sessionScope.map { policies.contains(Policy($0.policy, listener)) } ?? false
    }

    /// Whether every connection of another table may go on under this one.
    func keepsAll(of other: TLSHostTable) -> Bool { other.policies.isSubset(of: policies) }

    /// What is to be done about the first bytes of a connection.
    enum Choice {
        /// More of them are needed.
        case needMore
        /// A session of this host is made.
        case host(TLSHost)
        /// The connection ends, after an alert of this number where that makes sense.
        case refused(TLSError, alert: UInt8?)
    }

    /// Chooses by the first bytes of a connection.
    func choose(_ bytes: RawSpan) -> Choice {
        switch ClientHello.peek(bytes) {
        case .needMore: return .needMore
        case .notTLS:
            return .refused(TLSError("expected a ClientHello, found something else"), alert: nil)
        case .malformed:
            return .refused(TLSError("expected a ClientHello, found a broken one"), alert: 50)
        case .hello(let name, _):
            guard let host = host(for: name) else {
                return .refused(TLSError("no host answers the name that was sent"), alert: 112)
            }
            if let server = host.context.server, server.requiresStaple,
                server.staple?.isGood != true
            {
                let reason = "no OCSP response says that the certificate is good"
                return .refused(TLSError(reason), alert: 80)
            }
            return .host(host)
        }
    }
}
