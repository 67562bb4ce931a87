import LinuxSystem
import MeshModel

/// Accepted objects on disk, so that a restarted agent serves them before the API server answers. One
/// file a kind, one object a line, readable by the agent's user alone.
struct ObjectMirror: Sendable {
    /// Bytes of one kind's file; more is not read back.
    static let fileByteLimit = 268_435_456

    private let directory: String
    private var objects: [ObjectKind: [ObjectKey: [UInt8]]] = [:]
    private var changed: Set<ObjectKind> = []
    /// Why the mirror could not be written last; `nil` when it could.
    private(set) var fault: String?

    /// Makes a mirror in a directory, which is made when it is written first.
    init(directory: String) { self.directory = directory }

    /// Reads back what an earlier agent kept; what does not parse is left out.
    mutating func load() -> [(key: ObjectKey, json: [UInt8])] {
        var found: [(key: ObjectKey, json: [UInt8])] = []
        for kind in ObjectKind.allCases {
            guard
                let bytes = try? FileSystem.read(
                    path(kind),
                    byteLimit: ObjectMirror.fileByteLimit
                )
            else { continue }
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                let json = Array(line)
                guard let key = (try? ObjectEnvelope(json: json))?.key(kind) else { continue }
                objects[kind, default: [:]][key] = json
                found.append((key, json))
            }
        }
        return found
    }

    /// Keeps an object.
    mutating func keep(_ key: ObjectKey, _ json: [UInt8]) {
        guard !json.contains(UInt8(ascii: "\n")) else {
            keep(key, json.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") })
            return
        }
        objects[key.kind, default: [:]][key] = json
        changed.insert(key.kind)
    }

    /// Forgets an object.
    mutating func drop(_ key: ObjectKey) {
        if objects[key.kind]?.removeValue(forKey: key) != nil { changed.insert(key.kind) }
    }

    /// Whether something is not on disk yet.
    var isDirty: Bool { !changed.isEmpty }

    /// Writes the kinds that changed.
    mutating func write() {
        do {
            try FileSystem.makeDirectories(directory, mode: 0o700)
            for kind in changed {
                let lines = (objects[kind] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
                try FileSystem.replace(path(kind), with: Array(lines.joined(separator: [0x0a])))
                changed.remove(kind)
            }
            fault = nil
        } catch {
            fault = "\(directory): the mirror of accepted objects cannot be written: \(error)"
        }
    }

    private func path(_ kind: ObjectKind) -> String { "\(directory)/\(kind.rawValue).json" }
}
