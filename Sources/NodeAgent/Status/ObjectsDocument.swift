import MeshModel
import Sidecar
import Telemetry

/// The document of `/objects`.
enum ObjectsDocument {
    /// Writes every object in use or refused.
    ///
    /// - Parameter capture: of every pod that is or was to be captured.
    static func text(
        _ snapshot: MeshSnapshot,
        _ progress: LayerProgress,
        capture: [CaptureStatus]
    ) -> String {
        let captured = Dictionary(capture.map { ($0.pod, $0) }, uniquingKeysWith: { $1 })
        var json = JSONWriter()
        json.object { json in
            json.integer("snapshotVersion", snapshot.version)
            json.array("objects") { json in
                for (key, record) in snapshot.objects.sorted(by: { $0.key < $1.key }) {
                    write(key, record, progress, captured[key], &json)
                }
            }
        }
        return json.text
    }

    private static func write(
        _ key: ObjectKey,
        _ record: ObjectRecord,
        _ progress: LayerProgress,
        _ capture: CaptureStatus?,
        _ json: inout JSONWriter
    ) {
        json.object { json in
            json.string("object", key.description)
            json.string("kind", key.kind.rawValue)
            json.string("namespace", key.namespace.isEmpty ? nil : key.namespace)
            json.string("name", key.name)
            json.string("uid", record.version.uid.isEmpty ? nil : record.version.uid)
            json.string("resourceVersion", record.version.resourceVersion)
            json.integer("generation", record.version.generation)
            json.string("location", record.location.isEmpty ? nil : record.location)
            json.bool("stale", record.isStale)
            switch record.acceptance {
            case .accepted:
                json.bool("accepted", true)
                json.null("reason")
            case .refused(let reason, let servesEarlier):
                json.bool("accepted", false)
                json.string("reason", reason)
                json.bool("servesEarlierVersion", servesEarlier)
            }
            json.array("conditions") { json in
                let layered = progress.conditions(key, record.version)
                for condition in Condition.merging(record.conditions, with: layered) {
                    write(condition, &json)
                }
                if let capture { write(condition(capture), &json) }
            }
            json.object("applied") { json in
                for applied in progress.appliedTimes(key, record.version) {
                    json.string(applied.layer.rawValue, Timestamp.text(nanoseconds: applied.at))
                }
            }
        }
    }

    /// What capture says of a pod: it is asked for at the pod, and answered there.
    private static func condition(_ status: CaptureStatus) -> Condition {
        let state = status.state.rawValue
        return Condition(
            type: "Captured",
            status: status.state == .captured ? .yes : .no,
            reason: state.prefix(1).uppercased() + state.dropFirst(),
            message: status.reason
        )
    }

    private static func write(_ condition: Condition, _ json: inout JSONWriter) {
        json.object { json in
            json.string("subject", condition.subject.isEmpty ? nil : condition.subject)
            json.string("type", condition.type)
            json.string("status", condition.status.rawValue)
            json.string("reason", condition.reason)
            json.string("message", condition.message)
        }
    }
}
