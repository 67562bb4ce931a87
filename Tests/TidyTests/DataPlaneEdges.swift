/// The edges between DataPlane's folders: one module to the compiler, four to its readers.
struct DataPlaneEdges {
    /// What a folder may name of the others.
    static let allowed: [String: Set<String>] = [
        "NetIO": [],
        "TLS": ["NetIO"],
        "HTTPEngine": ["NetIO"],
        "ProxyCore": ["NetIO", "TLS", "HTTPEngine"],
    ]

    /// - Parameter sources: files of DataPlane.
    /// - Returns: a finding for each type named against the drawn direction. A name that two
    ///   folders declare tells nothing and is passed over.
    static func findings(in sources: [SourceText]) -> [Finding] {
        var owners: [String: Set<String>] = [:]
        for source in sources {
            guard let folder = source.dataPlaneFolder else { continue }
            for type in source.declaredTypes where type.depth == 0 {
                owners[type.name, default: []].insert(folder)
            }
        }
        return sources.flatMap { source -> [Finding] in
            guard let folder = source.dataPlaneFolder else { return [] }
            guard let mayName = allowed[folder] else {
                return [source.finding(0, "DataPlane has no folder \(folder)")]
            }
            return Token.tokens(of: source.code).compactMap { token in
                guard let owner = owners[token.text], owner.count == 1, let named = owner.first,
                    named != folder, !mayName.contains(named)
                else { return nil }
                return source.finding(
                    token.line,
                    "\(folder) names \(token.text) of \(named), an edge the design does not draw"
                )
            }
        }
    }
}
