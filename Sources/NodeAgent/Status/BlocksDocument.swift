import MeshModel
import Telemetry

/// The document of `/blocks`.
enum BlocksDocument {
    /// Writes every block in force.
    static func text(_ blocks: [Block]) -> String {
        var json = JSONWriter()
        json.object { json in
            json.array("blocks") { json in
                for block in blocks { write(block, &json) }
            }
        }
        return json.text
    }

    private static func write(_ block: Block, _ json: inout JSONWriter) {
        json.object { json in
            json.string("source", block.source.description)
            json.string("scope", block.scope.name)
            switch block.scope {
            case .listener(let id): json.string("target", id.description)
            case .gateway(let key): json.string("target", key.path)
            case .node: json.null("target")
            }
            json.strings("destination", block.destinations.map(\.description))
            json.string("reason", block.reason)
            json.string("owner", block.owner.description)
            json.string("since", Timestamp.text(nanoseconds: block.sinceNanoseconds))
            json.string("expiry", Timestamp.text(nanoseconds: block.expiryNanoseconds))
            json.strings("enforcedAt", block.enforcedAt.map(\.rawValue))
            json.bool("dryRun", block.dryRun)
            json.integer("packetsDropped", block.packetCount)
        }
    }
}
