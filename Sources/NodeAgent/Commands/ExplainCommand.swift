import ArgumentParser

/// `martlet explain request …` and `martlet explain packet …`.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Says which rule, at which layer, would decide, and why.",
        subcommands: [Request.self, Packet.self]
    )

    /// `martlet explain request …`.
    struct Request: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "Method, URL and headers of the request.")
        var description: [String]

        func run() throws { try ExplainCommand.ask("request", description, address) }
    }

    /// `martlet explain packet …`.
    struct Packet: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "Source, destination and protocol of the packet.")
        var description: [String]

        func run() throws { try ExplainCommand.ask("packet", description, address) }
    }

    private static func ask(
        _ kind: String,
        _ description: [String],
        _ address: NodeAddressOptions
    ) throws {
        let query = URLText.encoded(description.joined(separator: " "))
        let answer = try StatusClient.ask(address.endpoint(), "GET", "/explain?\(kind)=\(query)")
        guard answer != "null" else {
            throw Terminal.refusal(
                "explain \(kind): expected a decision, found null: the agent keeps no decision "
                    + "traces; its rules are at /config and its blocks at /blocks"
            )
        }
        Terminal.output(answer)
    }
}
