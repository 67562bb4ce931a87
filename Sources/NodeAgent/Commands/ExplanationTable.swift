import Discovery
import MeshModel

/// `/explain?request=` as text for people.
enum ExplanationTable {
    private static let fields = [
        ("answer", "answer"), ("why", "why"), ("listener", "listener"), ("host", "host"),
        ("path", "path"), ("route", "route"), ("match", "match"),
    ]

    /// The lines of the document.
    static func lines(_ document: String) -> [String] {
        guard let explanation = JSONText.parse(document) else { return [document] }
        let request = explanation["request"]?.shown ?? "-"
        var lines = ["\(request)\(explanation["target"]?.shown ?? "")"]
        for (key, title) in fields {
            guard let value = explanation[key] else { continue }
            let pad = String(repeating: " ", count: 10 - title.count)
            lines.append("  \(title)\(pad)\(value.shown)")
        }
        lines += section("plugins", explanation["plugins"], ["name", "policy"])
        lines += section(
            "backends",
            explanation["backends"],
            ["cluster", "share", "algorithm", "usable", "fault"]
        )
        lines += section("other rules", explanation["others"], ["route", "match", "why"])
        return lines
    }

    private static func section(
        _ title: String,
        _ rows: JSONValue?,
        _ columns: [String]
    ) -> [String] {
        let rows = rows?.elements ?? []
        guard !rows.isEmpty else { return [] }
        var table = TextTable(columns.map { $0.uppercased() })
        for row in rows { table.add(columns.map { row[$0]?.shown ?? "-" }) }
        return ["", title] + table.lines.map { "  \($0)" }
    }
}
