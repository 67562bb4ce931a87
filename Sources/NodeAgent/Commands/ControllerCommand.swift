import ArgumentParser

/// `martlet controller`.
struct ControllerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controller",
        abstract: "The cluster's single writer of status, addresses and certificates."
    )

    @Option(help: "The configuration file.")
    var config: String

    /// Checks the file and refuses: in manifest mode the work is done inside the agent; with an API
    /// server, this build computes conditions on every node and writes none.
    func run() throws {
        let configuration = try ConfigurationFile.load(config, overrides: ConfigurationOverrides())
        switch configuration.source {
        case .manifests(let directory):
            throw Terminal.refusal(
                "controller: expected sources.kubernetes, found the manifest directory "
                    + "\(directory), whose conditions and addresses the agent itself computes: "
                    + "\(config)"
            )
        case .kubeconfig, .inCluster:
            throw Terminal.refusal(
                "controller: expected a binary that writes object status, found one whose agents "
                    + "compute conditions and show them at /objects: \(config)"
            )
        }
    }
}
