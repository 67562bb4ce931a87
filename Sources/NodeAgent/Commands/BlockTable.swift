import Discovery
import MeshModel

/// `/blocks` as a table for people.
enum BlockTable {
    /// The lines of the document.
    static func lines(_ document: String) -> [String] {
        let blocks = JSONText.parse(document)?["blocks"]?.elements ?? []
        guard !blocks.isEmpty else { return ["no blocks"] }
        var table = TextTable([
            "SOURCE", "SCOPE", "OWNER", "EXPIRES", "DROPPED", "ENFORCED", "REASON",
        ])
        for block in blocks {
            let points = block["enforcedAt"]?.elements.map(\.shown).joined(separator: ",") ?? ""
            table.add([
                block["source"]?.shown ?? "-",
                block["scope"]?.shown ?? "-",
                block["owner"]?.shown ?? "-",
                block["expiry"]?.shown ?? "-",
                block["packetsDropped"]?.shown ?? "-",
                points.isEmpty ? "-" : points,
                block["reason"]?.shown ?? "-",
            ])
        }
        return table.lines
    }
}
