import Discovery
import MeshModel

/// `/status` as tables for people.
enum StatusTable {
    /// The lines of the document.
    static func lines(_ document: String) -> [String] {
        guard let status = JSONText.parse(document) else { return [document] }
        var lines = summary(status)
        lines += section(
            "settings without effect",
            status["node"]?["settingsWithoutEffect"],
            ["key", "value", "reason"]
        )
        let snapshot = status["snapshot"]
        lines += section("sources", status["sources"], ["kind", "location", "connected", "stale"])
        lines += section(
            "layers",
            snapshot?["layers"],
            ["layer", "on", "appliedVersion", "lag", "why"]
        )
        lines += section(
            "listeners",
            status["listeners"],
            ["name", "protocol", "port", "host", "routes", "state"]
        )
        lines += section(
            "captured pods",
            status["capture"]?["pods"],
            ["pod", "state", "uncapturedSeconds", "reason"]
        )
        lines += section("packet layer", status["xdp"]?["interfaces"], ["name", "mode", "state"])
        lines += counters(status["xdp"]?["counters"])
        lines += section("plugins", status["plugins"], ["name", "policy", "target", "state"])
        lines += section("certificates", status["certificates"], ["secret", "notAfter", "subject"])
        let faults = status["faults"]?.elements ?? []
        if !faults.isEmpty { lines += ["", "faults"] + faults.map { "  \($0.shown)" } }
        return lines
    }

    private static func summary(_ status: JSONValue) -> [String] {
        let isDraining = status["draining"] == .bool(true)
        let isReady = status["ready"] == .bool(true)
        let state = isDraining ? "draining" : isReady ? "ready" : "not ready"
        let uptime = DurationText.text(seconds: status["uptimeSeconds"]?.int ?? 0)
        let version = status["build"]?["martlet"]?.shown ?? "-"
        let snapshot = status["snapshot"]?["version"]?.shown ?? "-"
        let node = status["node"]?["name"]?.shown ?? "-"
        return ["node \(node): \(state), up \(uptime), martlet \(version), snapshot \(snapshot)"]
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

    private static func counters(_ counters: JSONValue?) -> [String] {
        guard case .object(let members)? = counters, !members.isEmpty else { return [] }
        var table = TextTable(["COUNTER", "PACKETS"])
        for member in members { table.add([member.name, member.value.shown]) }
        return table.lines.map { "  \($0)" }
    }
}
