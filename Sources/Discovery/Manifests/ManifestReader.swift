import LinuxSystem
import MeshModel

/// A fault of a manifest file.
package struct ManifestFault: Equatable, Sendable, CustomStringConvertible {
    /// The file.
    package var path: String
    /// The line, from 1.
    package var line: Int
    /// What was expected and what came.
    package var reason: String

    /// Makes a fault.
    package init(path: String, line: Int, reason: String) {
        self.path = path
        self.line = line
        self.reason = reason
    }

    /// `path:line: reason`.
    package var description: String { "\(path):\(line): \(reason)" }
}

/// Reads manifest files into objects. Pure but for the file's bytes.
package enum ManifestReader {
    /// What a file holds.
    package struct Contents: Sendable {
        /// Valid objects with the line they begin on.
        package var objects: [(object: KubernetesObject, line: Int)] = []
        /// Refused objects whose kind and name could be read.
        package var refused:
            [(
                key: ObjectKey, meta: ObjectMeta, content: KubernetesObject.Content?,
                faults: [DocumentFault]
            )] = []
        /// Faults of the file as a whole, and of documents that could not be told apart.
        package var faults: [DocumentFault] = []
        /// Kinds that Martlet does not read, with their line.
        package var others: [(kind: String, line: Int)] = []
    }

    /// Reads a file's bytes.
    package static func read(_ bytes: [UInt8]) -> Contents {
        var contents = Contents()
        do {
            for document in try YAMLReader.read(bytes) { add(document, &contents) }
        } catch {
            contents.faults.append(error)
        }
        return contents
    }

    private static func add(_ document: DocumentNode, _ contents: inout Contents) {
        switch ObjectDecoder.decode(document) {
        case .object(let object): contents.objects.append((object, document.line))
        case .list(let items): for item in items { add(item, &contents) }
        case .other(let kind): contents.others.append((kind, document.line))
        case .refused(let key?, let meta, let content, let faults):
            contents.refused.append((key, meta, content, faults))
        case .refused(nil, _, _, let faults): contents.faults += faults
        }
    }

    /// The manifest files of a directory, sorted by name.
    package static func files(in directory: String) throws(Errno) -> [String] {
        try FileSystem.names(in: directory).filter { name in
            !name.hasPrefix(".")
                && [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
        }.sorted().map { "\(directory)/\($0)" }
    }
}
