import ArgumentParser
import LinuxSystem
import Synchronization
import Telemetry

/// `martlet agent`.
struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Runs the node agent until SIGTERM, which drains it."
    )

    @OptionGroup var options: AgentOptions

    func run() throws {
        let configuration = try options.load()
        ProcessSignals.takeOver()
        let log = LogOutput(
            level: configuration.logLevel,
            format: configuration.logFormat,
            clock: { Clock.wallNanoseconds() },
            write: { StandardStream.error.write($0) }
        )
        let agent: Agent
        do throws(AgentRefusal) {
            agent = try Agent(configuration, log: log)
            try agent.start()
        } catch {
            throw Terminal.refusal(error.description)
        }
        AgentCommand.wait(agent)
    }

    /// Waits for the first signal, drains, and ends at once at a second one.
    private static func wait(_ agent: Agent) {
        let isStopped = SharedCounter()
        let first = ProcessSignals.wait()
        agent.logger.notice("signal \(first): draining; a second one ends at once")
        Task {
            await agent.stop()
            isStopped.add()
            ProcessSignals.wake()
        }
        _ = ProcessSignals.wait()
        if isStopped.value == 0 { agent.logger.warning("ended before the drain was over") }
    }
}

/// Where the configuration comes from.
struct AgentOptions: ParsableArguments {
    @Option(help: "The configuration file.")
    var config: String?

    @Option(help: "A kubeconfig file; overrides sources.")
    var kubeconfig: String?

    @Option(help: "A directory of manifests; overrides sources.")
    var manifests: String?

    @Option(help: "The node's name; overrides node.name.")
    var nodeName: String?

    @Option(help: "Worker threads; overrides workers.")
    var workers: Int?

    @Option(help: ArgumentHelp("Overrides status.listen.", valueName: "addr:port"))
    var statusListen: String?

    func validate() throws {
        guard config != nil || kubeconfig != nil || manifests != nil else {
            throw ValidationError("Expected --config, --manifests or --kubeconfig, found none.")
        }
    }

    /// The configuration with its overrides.
    func load() throws -> AgentConfiguration {
        let overrides = ConfigurationOverrides(
            kubeconfig: kubeconfig,
            manifests: manifests,
            nodeName: nodeName,
            workers: workers,
            statusListen: statusListen
        )
        return try ConfigurationFile.load(config, overrides: overrides)
    }
}
