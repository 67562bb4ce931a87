import LinuxSystem
import MeshModel

/// Keeps an object store in step with a directory of manifests. A value: the caller says when to
/// look again.
package struct ManifestDirectory: Sendable {
    /// The directory.
    package let path: String
    private var files: [String: Set<ObjectKey>] = [:]
    private var generations: [ObjectKey: (content: KubernetesObject.Content, number: Int64)] = [:]
    /// Faults of files as a whole; objects' own faults are in the store.
    package private(set) var faults: [ManifestFault] = []

    /// Makes a directory that has not been looked at yet.
    package init(path: String) {
        self.path = path
    }

    /// Looks at all files and takes what changed into the store. A file that does not parse keeps
    /// the objects it had; an object given in two files is taken from the first.
    package mutating func refresh(_ store: inout ObjectStore) throws(Errno) {
        faults = []
        var seen: Set<ObjectKey> = []
        let paths = try ManifestReader.files(in: path)
        for path in paths { refresh(path, &store, &seen) }
        for (path, _) in files where !paths.contains(path) { files[path] = nil }
        for key in store.keys where !seen.contains(key) {
            store.remove(key)
            generations[key] = nil
        }
    }

    private mutating func refresh(
        _ path: String,
        _ store: inout ObjectStore,
        _ seen: inout Set<ObjectKey>
    ) {
        let bytes: [UInt8]
        do {
            bytes = try FileSystem.read(path, byteLimit: YAMLReader.byteLimit)
        } catch {
            if error == .tooLarge { DiscoveryLimits.documentBytes.reached() }
            faults.append(ManifestFault(path: path, line: 1, reason: "cannot be read: \(error)"))
            seen.formUnion(files[path] ?? [])
            return
        }
        let contents = ManifestReader.read(bytes)
        faults += contents.faults.map {
            ManifestFault(path: path, line: $0.line, reason: $0.reason)
        }
        let fingerprint = String(Self.fingerprint(bytes), radix: 16)
        var keys: Set<ObjectKey> = []
        for (object, line) in contents.objects where isFirst(object.key, path, line, seen) {
            keys.insert(object.key)
            seen.insert(object.key)
            store.accept(numbered(object, fingerprint), location: "\(path):\(line)")
        }
        for (key, meta, content, faults) in contents.refused where !seen.contains(key) {
            keys.insert(key)
            seen.insert(key)
            let reason = faults.map { "\(path):\($0.line): \($0.reason)" }.joined(separator: "; ")
            let location = "\(path):\(faults.first?.line ?? 1)"
            store.refuse(key, meta, content, reason: reason, location: location)
        }
        if !contents.faults.isEmpty {
            // What could not be read may be objects this file had: they stay.
            let kept = (files[path] ?? []).subtracting(keys)
            keys.formUnion(kept)
            seen.formUnion(kept)
        }
        files[path] = keys
    }

    private mutating func isFirst(
        _ key: ObjectKey,
        _ path: String,
        _ line: Int,
        _ seen: Set<ObjectKey>
    ) -> Bool {
        guard seen.contains(key) else { return true }
        let reason = "\(key) is given twice; the first one counts"
        faults.append(ManifestFault(path: path, line: line, reason: reason))
        return false
    }

    /// Counts the generation as an API server does, and takes the hash of the file's content as the
    /// version where there is none.
    private mutating func numbered(
        _ object: KubernetesObject,
        _ fingerprint: String
    ) -> KubernetesObject {
        var object = object
        if object.meta.generation == 0 {
            let known = generations[object.key]
            let number = known.map { $0.content == object.content ? $0.number : $0.number + 1 } ?? 1
            generations[object.key] = (object.content, number)
            object.meta.generation = number
        }
        if object.meta.resourceVersion.isEmpty {
            object.meta.resourceVersion = fingerprint
        }
        return object
    }

    /// FNV-1a of 64 bits.
    private static func fingerprint(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
