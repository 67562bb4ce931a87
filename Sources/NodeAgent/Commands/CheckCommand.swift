import ArgumentParser
import Discovery
import LinuxSystem

/// `martlet check`.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validates everything and starts nothing; every fault is path:line: reason."
    )

    @Option(help: "A configuration file; its manifest directory is checked as well.")
    var config: String?

    @Option(help: "A directory of manifests.")
    var manifests: String?

    func validate() throws {
        guard config != nil || manifests != nil else {
            throw ValidationError("Expected --config or --manifests, found neither.")
        }
    }

    func run() throws {
        var nodeName = ThisProcess.hostName
        var directory = manifests
        if let config {
            let overrides = ConfigurationOverrides(manifests: manifests)
            let configuration = try ConfigurationFile.load(config, overrides: overrides)
            nodeName = configuration.nodeName
            if case .manifests(let path) = configuration.source { directory = path }
        }
        guard let directory else { return }
        let settings = ReduceSettings.registered(nodeName: nodeName, isManifestMode: true)
        let faults: [ManifestFault]
        do throws(Errno) {
            faults = try ManifestCheck.check(directory: directory, settings)
        } catch {
            throw Terminal.refusal("expected a readable directory, found \(error): \(directory)")
        }
        for fault in faults { Terminal.error(fault.description) }
        if !faults.isEmpty { throw ExitCode.refused }
    }
}
