import ArgumentParser
import LinuxSystem
import Telemetry

/// `martlet cni`.
struct CNICommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cni",
        abstract: "The chained CNI plugin."
    )

    /// Refuses in the form that a container runtime reads (CNI specification 1.0.0, section 5) and
    /// on standard error.
    func run() throws {
        let reason =
            "cni: expected an agent that takes part in the plugin chain, found one that captures "
            + "pods after they started: take martlet out of the network configuration list"
        var json = JSONWriter()
        json.object { json in
            json.string("cniVersion", "1.0.0")
            json.integer("code", 100)
            json.string("msg", reason)
        }
        Terminal.output(json.text)
        throw Terminal.refusal(reason)
    }
}
