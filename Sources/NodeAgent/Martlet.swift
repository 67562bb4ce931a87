import ArgumentParser

/// The command line: one binary for the agent, the controller role and everything an operator asks.
@main
struct Martlet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A Kubernetes node agent: gateway, mesh and packet shield in one process.",
        version: BuildInformation.version,
        subcommands: [
            AgentCommand.self, ControllerCommand.self, CheckCommand.self, StatusCommand.self,
            ExplainCommand.self, BlockCommand.self, CleanupCommand.self, CNICommand.self,
            VersionCommand.self,
        ]
    )
}
