import FoundationEssentials

/// The checkout that the tests were built from.
enum Repository {
    /// Where `Package.swift` is.
    static let root: String = {
        var folders = #filePath.split(separator: "/").map(String.init)
        folders.removeLast(3)
        return "/" + folders.joined(separator: "/")
    }()

    /// Every file below `folder` whose name ends in `suffix`, sorted, as paths below the root.
    static func files(below folder: String, suffix: String) -> [String] {
        let base = "\(root)/\(folder)"
        let found = (try? FileManager.default.subpathsOfDirectory(atPath: base)) ?? []
        return found.filter { $0.hasSuffix(suffix) }.map { "\(folder)/\($0)" }.sorted()
    }

    /// - Throws: where the file cannot be read.
    static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    /// - Throws: where a file cannot be read.
    static func sources(below folder: String) throws -> [SourceText] {
        try files(below: folder, suffix: ".swift").map {
            SourceText(path: $0, text: try text($0))
        }
    }
}
