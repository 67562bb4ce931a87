import Addressing
import ArgumentParser
import MeshModel
import Telemetry

/// `martlet block add|list|remove`.
struct BlockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "block",
        abstract: "Operator's source blocks at the packet layer.",
        subcommands: [Add.self, List.self, Remove.self]
    )

    /// `martlet block add ADDRESS-OR-PREFIX --ttl 30s --reason TEXT`.
    struct Add: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "An address or prefix.")
        var source: String

        @Option(help: "How long: 30s, 5m, 1h.")
        var ttl: String = "60s"

        @Option(help: "Why, for those who look later.")
        var reason: String = "no reason given"

        func validate() throws {
            try BlockCommand.validate(source)
            guard let ttl = DurationText.parse(ttl), ttl >= .seconds(1) else {
                throw ValidationError("Expected --ttl such as 30s, 5m or 1h, found '\(self.ttl)'.")
            }
        }

        func run() throws {
            let seconds = DurationText.parse(ttl)?.components.seconds ?? 0
            var json = JSONWriter()
            json.object { json in
                json.string("source", source)
                json.integer("ttlSeconds", seconds)
                json.string("reason", reason)
            }
            let endpoint = try address.endpoint()
            let answer = try StatusClient.ask(endpoint, "POST", "/blocks", body: json.text)
            Terminal.output(answer)
        }
    }

    /// `martlet block list`.
    struct List: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Option(name: .short, help: "Output: table or json.")
        var output: OutputFormat = .table

        func run() throws {
            let answer = try StatusClient.ask(address.endpoint(), "GET", "/blocks")
            switch output {
            case .json: Terminal.output(answer)
            case .table: for line in BlockTable.lines(answer) { Terminal.output(line) }
            }
        }
    }

    /// `martlet block remove ADDRESS-OR-PREFIX`.
    struct Remove: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "The address or prefix as it was added.")
        var source: String

        func validate() throws { try BlockCommand.validate(source) }

        func run() throws {
            let query = URLText.encoded(source)
            let endpoint = try address.endpoint()
            let answer = try StatusClient.ask(endpoint, "DELETE", "/blocks?source=\(query)")
            Terminal.output(answer)
        }
    }

    private static func validate(_ source: String) throws {
        guard IPPrefix(source) != nil else {
            throw ValidationError("Expected an address or prefix, found '\(source)'.")
        }
    }
}

/// How a command prints what it was told.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table
    case json
}
