/// The module table of ARCHITECTURE.md: every module and what it may import of the others.
struct ModuleTable: Equatable {
    /// Module name to the names it may import; Telemetry and Addressing are in the row as well.
    var edges: [String: Set<String>]

    /// Reads the rows between the two markers.
    ///
    /// A row is `| Name | what it owns | A, B, C |`; a dash stands for none.
    init(markdown: String) {
        edges = [:]
        var isInside = false
        for line in markdown.split(separator: "\n") {
            if line.contains("module-table:begin") { isInside = true }
            if line.contains("module-table:end") { isInside = false }
            guard isInside, line.hasPrefix("|") else { continue }
            let cells = line.split(separator: "|").map { String($0).trimmed }
            guard cells.count == 3, cells[0] != "module", !cells[0].hasPrefix("-") else { continue }
            let imports = cells[2].split(separator: ",").map { String($0).trimmed }
            edges[cells[0]] = Set(imports.filter { $0 != "–" && !$0.isEmpty })
        }
    }

    /// Reads the module targets of a manifest: names in `module(…)` and of the executable, with
    /// every dependency that is one of them. Targets with a path of their own are no modules.
    init(manifest: String) {
        edges = [:]
        let source = SourceText(path: "Package.swift", text: manifest)
        var current: String?
        var depth = 0
        for (code, raw) in zip(source.code, source.raw) {
            let text = code.trimmed
            if text.hasPrefix("module(") || text.hasPrefix(".executableTarget(") {
                current = ""
                depth = 0
            }
            if let module = current, text.hasPrefix("path:") {
                edges[module] = nil
                current = nil
            }
            if current != nil {
                for name in raw.quotedWords {
                    if current == "" {
                        current = name
                        edges[name] = []
                    } else if let module = current {
                        edges[module]?.insert(name)
                    }
                }
                depth += text.count { $0 == "(" } - text.count { $0 == ")" }
                if depth <= 0 { current = nil }
            }
        }
        let modules = Set(edges.keys)
        edges = edges.mapValues { $0.intersection(modules) }
    }
}

extension String {
    /// What stands between pairs of quotation marks.
    fileprivate var quotedWords: [String] {
        split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }
            .map { String($0.element) }
    }
}
