import Discovery
import LinuxSystem

/// The files below `deploy/`, read with the agent's own reader.
enum DeployedFiles {
    /// The repository's `deploy` folder.
    static let folder: String = {
        var parts = #filePath.split(separator: "/").map(String.init)
        parts.removeLast(3)
        return "/" + parts.joined(separator: "/") + "/deploy"
    }()

    /// - Parameter path: below `deploy/`.
    static func documents(_ path: String) throws -> [DocumentNode] {
        try YAMLReader.read(FileSystem.read("\(folder)/\(path)", byteLimit: YAMLReader.byteLimit))
    }

    /// The lines of a text file.
    ///
    /// - Parameter path: below `deploy/`.
    static func lines(_ path: String) throws -> [String] {
        try FileSystem.readText("\(folder)/\(path)").split(separator: "\n").map(String.init)
    }

    /// The stages of a Dockerfile, each as its instructions with continued lines joined.
    static func stages(_ path: String) throws -> [[String]] {
        let text = try FileSystem.readText("\(folder)/\(path)").replacing("\\\n", with: " ")
        var stages: [[String]] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            if line.hasPrefix("FROM ") { stages.append([]) }
            guard !stages.isEmpty else { continue }
            stages[stages.count - 1].append(String(line))
        }
        return stages
    }

    /// The only document of a kind in a file.
    static func document(_ path: String, kind: String) throws -> DocumentNode? {
        let found = try documents(path).filter { $0["kind"]?.string == kind }
        return found.count == 1 ? found[0] : nil
    }

    /// The YAML files of a folder below `deploy/` but its kustomization, sorted.
    static func manifests(_ folder: String) throws -> [String] {
        try FileSystem.names(in: "\(DeployedFiles.folder)/\(folder)")
            .filter { $0.hasSuffix(".yaml") && $0 != "kustomization.yaml" }
            .sorted()
    }
}

extension DocumentNode {
    /// The items of a list; empty for anything else.
    var items: [DocumentNode] {
        guard case .sequence(let items, _) = self else { return [] }
        return items
    }

    /// The strings of a list.
    var strings: [String] { items.compactMap(\.string) }

    /// The value below several keys.
    func at(_ keys: String...) -> DocumentNode? {
        keys.reduce(Optional(self)) { $0?[$1] }
    }

    /// Every key at any depth.
    var allKeys: [String] {
        switch self {
        case .scalar: []
        case .sequence(let items, _): items.flatMap(\.allKeys)
        case .mapping(let entries, _): entries.flatMap { [$0.key] + $0.value.allKeys }
        }
    }
}
