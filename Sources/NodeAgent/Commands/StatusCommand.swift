import ArgumentParser

/// `martlet status [-o json] [--ready]`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Asks a node how it is."
    )

    @OptionGroup var address: NodeAddressOptions

    @Option(name: .short, help: "Output: table or json.")
    var output: OutputFormat = .table

    @Flag(
        help: "Print nothing and exit with 0 when the node is ready, with 1 and the reasons if not."
    )
    var ready = false

    func run() throws {
        if ready {
            _ = try StatusClient.ask(address.endpoint(), "GET", "/readyz")
            return
        }
        let answer = try StatusClient.ask(address.endpoint(), "GET", "/status")
        switch output {
        case .json: Terminal.output(answer)
        case .table: for line in StatusTable.lines(answer) { Terminal.output(line) }
        }
    }
}
