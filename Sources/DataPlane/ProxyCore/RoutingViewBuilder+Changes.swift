import MeshModel

/// Rows of the view that only routes with filters or regular expressions have.
struct RouteTables {
    var changes: [ChangeRow] = []
    var crossOrigins: [CrossOriginRow] = []
    var origins: [OriginRow] = []
    var patterns: [PatternRow] = []
    var patternPaths: [PatternPathRow] = []
    var patternClasses: [UInt8] = []
    var patternTransitions: [UInt16] = []
    var patternAccepts: [Bool] = []
    fileprivate var patternNumbers: [Pattern: Int32] = [:]
}

extension RoutingViewBuilder {
    /// Adds a change of the target.
    ///
    /// - Parameter match: whose prefix is replaced.
    /// - Returns: the row's index; -1 for none.
    mutating func addChange(
        _ change: RouteChange?,
        _ match: HTTPMatch,
        at origin: RouteOrigin
    ) -> Int32 {
        var row: ChangeRow
        switch change {
        case nil: return -1
        case .rewrite(let rewrite): row = changeRow(rewrite.host, rewrite.path)
        case .redirect(let redirect):
            row = changeRow(redirect.host, redirect.path)
            row.status = redirect.status
            let isTLS = redirect.scheme.map { $0 == "https" } ?? origin.isTLS
            row.scheme = intern(isTLS ? "https://" : "http://")
            let own: UInt16 = isTLS ? 443 : 80
            // A scheme that is given comes with its own port, else the listener's is kept.
            let port = redirect.port ?? (redirect.scheme == nil ? origin.port : own)
            if port != own { row.port = intern(":\(port)") }
        }
        if case .prefix(let prefix) = match.path {
            row.matchedByteCount = Int32(prefix.utf8.count)
        }
        routes.changes.append(row)
        return Int32(routes.changes.count - 1)
    }

    private mutating func changeRow(_ host: String?, _ path: PathChange?) -> ChangeRow {
        var row = ChangeRow()
        if let host { row.host = intern(host) }
        switch path {
        case nil: break
        case .whole(let text):
            row.path = .whole
            row.replacement = intern(text)
        case .prefix(let text):
            row.path = .prefix
            row.endsInSlash = text.hasSuffix("/")
            row.replacement = intern(row.endsInSlash ? String(text.dropLast()) : text)
        }
        return row
    }

    /// Adds a policy of cross-origin requests.
    ///
    /// - Returns: the row's index; -1 for none.
    mutating func addCrossOrigin(_ policy: CrossOriginPolicy?) -> Int32 {
        guard let policy else { return -1 }
        let first = Int32(routes.origins.count)
        for origin in policy.origins { add(origin: origin.lowercased()) }
        var row = CrossOriginRow()
        row.origins = RowRange(first: first, count: Int32(routes.origins.count) - first)
        row.allowsCredentials = policy.allowsCredentials
        row.allowsAnyMethod = policy.methods == ["*"]
        row.allowsAnyHeader = policy.headers == ["*"]
        row.methods = intern(policy.methods.joined(separator: ", "))
        row.headers = intern(policy.headers.joined(separator: ", "))
        row.exposedHeaders = intern(policy.exposedHeaders.joined(separator: ", "))
        row.maxAge = intern(String(policy.maxAgeSeconds))
        routes.crossOrigins.append(row)
        return Int32(routes.crossOrigins.count - 1)
    }

    /// Origins are compared as browsers write them: without the scheme's own port.
    private mutating func add(origin: String) {
        var text = origin
        for (scheme, port) in [("http://", ":80"), ("https://", ":443")]
        where text.hasPrefix(scheme) && text.hasSuffix(port) {
            text = String(text.dropLast(port.utf8.count))
        }
        var row = OriginRow()
        let parts = text.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
        row.isWildcard = parts.count == 2
        row.start = intern(String(parts[0]))
        if row.isWildcard { row.end = intern(String(parts[1])) }
        routes.origins.append(row)
    }

    // MARK: Regular expressions

    /// Adds a regular expression; the same one is added once.
    ///
    /// - Returns: its number.
    mutating func addPattern(_ pattern: Pattern) -> Int32 {
        if let known = routes.patternNumbers[pattern] { return known }
        let number = Int32(routes.patterns.count)
        routes.patterns.append(
            PatternRow(
                classes: Int32(routes.patternClasses.count),
                classCount: Int32(pattern.classCount),
                transitions: Int32(routes.patternTransitions.count),
                accepts: Int32(routes.patternAccepts.count)
            )
        )
        routes.patternClasses += pattern.byteClasses
        routes.patternTransitions += pattern.transitions
        routes.patternAccepts += pattern.accepts
        routes.patternNumbers[pattern] = number
        return number
    }
}
