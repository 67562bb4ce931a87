import Discovery
import LinuxSystem
import TestSupport
import Testing

/// The examples of the documentation are valid.
@Suite struct DocumentationTests {
    /// The `yaml` blocks of a page, in order.
    private static func examples(_ page: String) throws -> [String] {
        let text = try FileSystem.readText("\(DeployedFiles.folder)/../docs/\(page)")
        return text.split(separator: "```yaml\n").dropFirst().compactMap {
            $0.split(separator: "\n```").first.map(String.init)
        }
    }

    private static func faults(_ documents: [String]) throws -> [String] {
        let directory = "/tmp/\(Command.uniqueName("martlet-documents-"))"
        try FileSystem.makeDirectories(directory)
        defer { Command.run("rm -r '\(directory)'") }
        for (index, document) in documents.enumerated() {
            try FileSystem.replace("\(directory)/\(index).yaml", with: Array("\(document)\n".utf8))
        }
        let settings = ReduceSettings(nodeName: "n1", isManifestMode: true)
        return try ManifestCheck.check(directory: directory, settings).map(\.description)
    }

    @Test func everyExampleOfThePoliciesPagePassesTheCheck() throws {
        let examples = try Self.examples("policies.md")
        #expect(examples.count > 9)
        let objects = try #require(examples.first)
        for example in examples.dropFirst() {
            let faults = try Self.faults([objects, example])
            #expect(faults.isEmpty, "\(faults)\n\(example)")
        }
    }

    @Test func anExampleThatIsWrongIsFound() throws {
        let examples = try Self.examples("policies.md")
        let wrong = examples[1].replacing("mergeSlashes", with: "joinSlashes")
        #expect(try Self.faults([examples[0], wrong]).count == 1)
    }
}
