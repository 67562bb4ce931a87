import LinuxSystem
import MeshModel

/// Validates a directory of manifests as the agent would take it, and starts nothing.
package enum ManifestCheck {
    /// Finds every fault: of files, of objects, and of references between them.
    package static func check(
        directory: String,
        _ settings: ReduceSettings
    ) throws(Errno) -> [ManifestFault] {
        var store = ObjectStore(validate: settings.rejection)
        var faults: [ManifestFault] = []
        var locations: [ObjectKey: (path: String, line: Int)] = [:]
        for path in try ManifestReader.files(in: directory) {
            let bytes = try FileSystem.read(path, byteLimit: YAMLReader.byteLimit)
            let contents = ManifestReader.read(bytes)
            for fault in contents.faults + contents.refused.flatMap(\.faults) {
                faults.append(ManifestFault(path: path, line: fault.line, reason: fault.reason))
            }
            for (key, meta, content, faults) in contents.refused {
                let reason = faults.map(\.reason).joined(separator: "; ")
                store.refuse(key, meta, content, reason: reason, location: path)
            }
            for (object, line) in contents.objects {
                if let first = locations[object.key] {
                    let reason = "\(object.key) is given at \(first.path):\(first.line) already"
                    faults.append(ManifestFault(path: path, line: line, reason: reason))
                    continue
                }
                locations[object.key] = (path, line)
                store.accept(object, location: "\(path):\(line)")
            }
            for (kind, line) in contents.others {
                faults.append(
                    ManifestFault(
                        path: path,
                        line: line,
                        reason: "\(kind) is not a kind Martlet reads"
                    )
                )
            }
        }
        let snapshot = SnapshotReducer.reduce(store, settings)
        for (key, record) in snapshot.objects {
            guard let (path, line) = locations[key] else { continue }
            for reason in reasons(record) {
                faults.append(ManifestFault(path: path, line: line, reason: "\(key): \(reason)"))
            }
        }
        return faults.sorted { ($0.path, $0.line, $0.reason) < ($1.path, $1.line, $1.reason) }
    }

    private static func reasons(_ record: ObjectRecord) -> [String] {
        var reasons: [String] = []
        if case .refused(let reason, _) = record.acceptance { reasons.append(reason) }
        for condition in record.conditions {
            let isFault =
                condition.type == "Conflicted"
                ? condition.status == .yes
                : condition.status != .yes && condition.type != "Programmed"
            // Of listeners that are not valid their own conditions tell.
            guard isFault, condition.reason != "ListenersNotValid", !condition.message.isEmpty,
                !reasons.contains(condition.message)
            else { continue }
            let subject = condition.subject.isEmpty ? "" : "\(condition.subject): "
            reasons.append("\(subject)\(condition.message)")
        }
        return reasons
    }
}
