import ArgumentParser
import LinuxSystem
import Sidecar
import XDPEngine

/// `martlet cleanup`.
struct CleanupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract: "Removes every rule, route, address and pin that Martlet left on this node."
    )

    @Option(help: "The node's name (default: every node that left something here).")
    var node: String?

    @Option(help: "Where BPF objects are pinned.")
    var pinDirectory = "/sys/fs/bpf/martlet"

    func run() throws {
        var failures = 0
        for name in nodeNames() {
            do {
                try CleanupCommand.clean(name, pinDirectory: pinDirectory)
                Terminal.output("node \(name): nothing of Martlet is left")
            } catch {
                Terminal.error("node \(name): \(error)")
                failures += 1
            }
        }
        if failures > 0 { throw ExitCode.refused }
    }

    private func nodeNames() -> [String] {
        if let node { return [node] }
        let running = (try? FileSystem.names(in: "/run/martlet")) ?? []
        let pinned = (try? FileSystem.names(in: pinDirectory)) ?? []
        return Set(running + pinned).sorted()
    }

    /// Cleans after one node, whose agent must not run: it would put everything back.
    private static func clean(_ name: String, pinDirectory: String) throws(AgentRefusal) {
        let directory = AgentConfiguration.runtimeDirectory(node: name)
        let lock = try NodeLock(directory: directory, nodeName: name)
        do {
            let record = CaptureRecord(path: AgentConfiguration.captureRecordPath(node: name))
            let outcome = try CaptureCleanup.run(record)
            guard outcome.faults.isEmpty else {
                throw AgentRefusal(outcome.faults.joined(separator: "; "))
            }
            try XDPEngine.cleanup(pinDirectory: pinDirectory, nodeName: name)
            try remove(AgentConfiguration.mirrorDirectory(node: name))
            try remove(AgentConfiguration.stateDirectory(node: name))
            try remove(directory)
        } catch let refusal as AgentRefusal {
            throw refusal
        } catch {
            throw AgentRefusal("expected to remove pins and \(directory), found \(error)")
        }
        lock.release()
    }

    /// Removes a directory with its files; one that is not there is no error.
    private static func remove(_ directory: String) throws(Errno) {
        guard FileSystem.kind(of: directory) == .directory else { return }
        for file in try FileSystem.names(in: directory) {
            try FileSystem.remove("\(directory)/\(file)")
        }
        try FileSystem.removeDirectory(directory)
    }
}
