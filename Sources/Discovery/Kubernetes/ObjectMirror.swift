import LinuxSystem
import MeshModel

/// Accepted objects on disk, so that a restarted agent serves them before the API server answers. One
/// file a kind, readable by the agent's user alone. Secrets are not kept.
struct ObjectMirror: Sendable {
    /// Bytes of one kind's file; more is not read back.
    static let fileByteLimit = 268_435_456
    /// Writes are spaced so that they stay below this on average.
    static let bytesPerSecondMax = 1_048_576

    /// A file to be written.
    struct Pending: Sendable {
        fileprivate let kind: ObjectKind
        fileprivate let path: String
        fileprivate let file: MirrorFile
    }

    private let directory: String
    private let owner: String
    private var objects: [ObjectKind: [ObjectKey: [UInt8]]] = [:]
    private var changed: Set<ObjectKind> = []
    private var faultsByKind: [ObjectKind: String] = [:]

    /// Makes a mirror in a directory, which is made when it is written first.
    ///
    /// - Parameters:
    ///   - owner: the API server's URL and the node: another's mirror is not used.
    init(directory: String, owner: String) {
        self.directory = directory
        self.owner = owner
    }

    /// Why files were not used, or could not be written last; one sentence each.
    var faults: [String] {
        faultsByKind.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
    }

    /// Reads back what an earlier agent kept. A file that is not whole, or another cluster's, is left
    /// out and named among the faults.
    mutating func load() -> [(key: ObjectKey, json: [UInt8])] {
        var found: [(key: ObjectKey, json: [UInt8])] = []
        for kind in ObjectKind.allCases where kind != .secret {
            for json in load(kind) {
                guard let key = (try? ObjectEnvelope(json: json))?.key(kind) else { continue }
                objects[kind, default: [:]][key] = json
                found.append((key, json))
            }
        }
        return found
    }

    private mutating func load(_ kind: ObjectKind) -> [[UInt8]] {
        let path = path(kind)
        let bytes: [UInt8]
        do {
            bytes = try FileSystem.read(path, byteLimit: ObjectMirror.fileByteLimit)
        } catch {
            if error != .notFound { faultsByKind[kind] = "\(path): cannot be read: \(error)" }
            return []
        }
        do {
            return try MirrorFile(reading: bytes, owner: owner, kind: kind).objects
        } catch {
            faultsByKind[kind] = "\(path): the mirror is left out: \(error.reason)"
            return []
        }
    }

    /// Keeps an object.
    mutating func keep(_ key: ObjectKey, _ json: [UInt8]) {
        guard key.kind != .secret, objects[key.kind]?[key] != json else { return }
        objects[key.kind, default: [:]][key] = json
        changed.insert(key.kind)
    }

    /// Forgets an object.
    mutating func drop(_ key: ObjectKey) {
        if objects[key.kind]?.removeValue(forKey: key) != nil { changed.insert(key.kind) }
    }

    /// Whether something is not on disk yet.
    var isDirty: Bool { !changed.isEmpty }

    /// What is to be written now; it counts as written.
    mutating func takePending() -> [Pending] {
        defer { changed = [] }
        return changed.map { kind in
            let sorted = (objects[kind] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            let file = MirrorFile(owner: owner, kind: kind, objects: sorted)
            return Pending(kind: kind, path: path(kind), file: file)
        }
    }

    /// Writes files; blocks, for a `BlockingThread`.
    ///
    /// - Returns: how many bytes, and what could not be written.
    static func write(_ pending: [Pending]) -> (byteCount: Int, faults: [(ObjectKind, Errno)]) {
        var byteCount = 0
        var faults: [(ObjectKind, Errno)] = []
        for one in pending {
            let bytes = one.file.bytes
            byteCount += bytes.count
            do throws(Errno) {
                let parent = one.path.split(separator: "/").dropLast().joined(separator: "/")
                let root = one.path.hasPrefix("/") ? "/" : ""
                try FileSystem.makeDirectories(root + parent, mode: 0o700)
                try FileSystem.replace(one.path, with: bytes, mode: 0o600)
            } catch {
                faults.append((one.kind, error))
            }
        }
        return (byteCount, faults)
    }

    /// Takes note of how a write went: what could not be written is written again.
    mutating func written(_ pending: [Pending], _ faults: [(ObjectKind, Errno)]) {
        for one in pending { faultsByKind[one.kind] = nil }
        for (kind, error) in faults {
            faultsByKind[kind] = "\(path(kind)): the mirror cannot be written: \(error)"
            changed.insert(kind)
        }
    }

    private func path(_ kind: ObjectKind) -> String { "\(directory)/\(kind.rawValue).mirror" }
}
