import ArgumentParser
import Discovery
import MeshModel

/// `martlet explain request …` and `martlet explain packet …`.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Says which rule, at which layer, would decide, and why.",
        subcommands: [Request.self, Packet.self]
    )

    /// `martlet explain request …`.
    struct Request: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says which listener, rule and backend would take a request, and why."
        )

        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "The method.")
        var method: String

        @Argument(help: "The URL, such as http://shop.example.com:8080/cart.")
        var url: String

        @Option(
            name: [.customShort("H"), .long],
            help: "A header, such as \"x-user: 1\"; may be repeated."
        )
        var header: [String] = []

        @Option(help: "The address it is sent to: a Gateway's or a ClusterIP; else the URL's host.")
        var at: String?

        @Option(name: .short, help: "Output: table or json.")
        var output: OutputFormat = .table

        func run() throws {
            let question = (["\(method) \(url)"] + header).joined(separator: "\n")
            var target = "/explain?request=\(URLText.encoded(question))"
            if let at { target += "&at=\(URLText.encoded(at))" }
            let answer = try StatusClient.ask(address.endpoint(), "GET", target)
            switch output {
            case .json: Terminal.output(answer)
            case .table: for line in ExplanationTable.lines(answer) { Terminal.output(line) }
            }
        }
    }

    /// `martlet explain packet …`.
    struct Packet: ParsableCommand {
        @OptionGroup var address: NodeAddressOptions

        @Argument(help: "Source, destination and protocol of the packet.")
        var description: [String]

        func run() throws {
            let query = URLText.encoded(description.joined(separator: " "))
            let answer = try StatusClient.ask(address.endpoint(), "GET", "/explain?packet=\(query)")
            guard answer != "null" else {
                throw Terminal.refusal(
                    "explain packet: expected a decision, found null: the agent keeps no decision "
                        + "traces; its blocks are at /blocks"
                )
            }
            Terminal.output(answer)
        }
    }
}
