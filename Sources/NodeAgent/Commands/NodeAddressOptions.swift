import Addressing
import ArgumentParser
import LinuxSystem

/// Which agent a command asks.
struct NodeAddressOptions: ParsableArguments {
    @Option(help: "The agent's socket (default: the one socket under /run/martlet).")
    var socket: String?

    @Option(help: ArgumentHelp("The agent's status address.", valueName: "addr:port"))
    var node: String?

    func validate() throws {
        if socket != nil, node != nil {
            throw ValidationError("Expected one of --socket and --node, found both.")
        }
        if let node, SocketAddress(node) == nil {
            throw ValidationError("Expected --node ADDR:PORT, found '\(node)'.")
        }
    }

    /// The agent's endpoint, found as said.
    func endpoint() throws -> StatusClient.Endpoint {
        if let socket { return .local(path: socket) }
        if let node, let address = SocketAddress(node) { return .network(address) }
        let found = NodeAddressOptions.sockets(under: "/run/martlet")
        if found.count == 1, let only = found.first { return .local(path: only) }
        if found.isEmpty {
            Terminal.error("expected an agent's socket, found none: /run/martlet/*/status.sock")
            throw ExitCode.unreachable
        }
        throw Terminal.refusal(
            "expected one agent, found \(found.count), choose by --socket: "
                + found.joined(separator: " ")
        )
    }

    /// The sockets of all agents that run here.
    static func sockets(under directory: String) -> [String] {
        let nodes = (try? FileSystem.names(in: directory)) ?? []
        return nodes.map { "\(directory)/\($0)/status.sock" }
            .filter { FileSystem.kind(of: $0) == .socket }
    }
}
