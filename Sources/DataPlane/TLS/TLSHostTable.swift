import MeshModel

/// Which context a server name gets: exact names first, then wildcards, then the default.
/// Immutable; a new table holds for new handshakes.
package final class TLSHostTable: Sendable {
    private let exact: [String: TLSContext]
    private let wildcards: [String: TLSContext]
    /// The context without or with an unknown name; `nil` refuses such handshakes.
    package let fallback: TLSContext?

    /// Makes a table.
    ///
    /// - Parameter hosts: the first context of a pattern wins; the first for any host is the
    ///   default.
    package init(_ hosts: [(pattern: HostPattern, context: TLSContext)]) {
        var exact: [String: TLSContext] = [:]
        var wildcards: [String: TLSContext] = [:]
        var fallback: TLSContext?
        for (pattern, context) in hosts {
            switch pattern {
            case .any: if fallback == nil { fallback = context }
            case .exact(let name): if exact[name] == nil { exact[name] = context }
            case .wildcard(let suffix):
                if wildcards[suffix] == nil { wildcards[suffix] = context }
            }
        }
        self.exact = exact
        self.wildcards = wildcards
        self.fallback = fallback
    }

    /// The context for a server name.
    func context(for name: String) -> TLSContext? {
        let lowered = name.lowercased()
        if let context = exact[lowered] { return context }
        var rest = lowered[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if let context = wildcards[String(rest)] { return context }
        }
        return fallback
    }

    /// The context that a session begins with, before its server name is known.
    var any: TLSContext? { fallback ?? exact.values.first ?? wildcards.values.first }
}
