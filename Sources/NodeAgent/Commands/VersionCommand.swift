import ArgumentParser

/// `martlet version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Prints the versions of Martlet and of what it is built with."
    )

    func run() {
        for part in BuildInformation.parts { Terminal.output("\(part.name) \(part.version)") }
    }
}
