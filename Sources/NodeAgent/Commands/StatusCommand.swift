import ArgumentParser

/// `martlet status [-o json]`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Asks a node how it is."
    )

    @OptionGroup var address: NodeAddressOptions

    @Option(name: .short, help: "Output: table or json.")
    var output: OutputFormat = .table

    func run() throws {
        let answer = try StatusClient.ask(address.endpoint(), "GET", "/status")
        switch output {
        case .json: Terminal.output(answer)
        case .table: for line in StatusTable.lines(answer) { Terminal.output(line) }
        }
    }
}
