import Discovery
import LinuxSystem
import MeshModel
import TestSupport

@testable import NodeAgent

/// A directory of its own, and the built binary beside the test bundle.
struct AgentProcess {
    /// The node's name, unique.
    let node = Command.uniqueName("agt")
    /// Where configuration, manifests and output lie.
    let directory: String

    init() throws {
        directory = "/tmp/martlet-\(node)"
        try FileSystem.makeDirectories("\(directory)/manifests")
    }

    static var binary: String {
        let bundle = ThisProcess.executablePath
        let folder = bundle.split(separator: "/").dropLast().joined(separator: "/")
        return "/\(folder)/martlet"
    }

    var socket: String { "/run/martlet/\(node)/status.sock" }

    func write(_ name: String, _ text: String) throws {
        try FileSystem.replace("\(directory)/\(name)", with: Array(text.utf8))
    }

    /// Runs a command of the binary, for a minute at most.
    func martlet(_ arguments: String) -> Command.Outcome {
        Command.run("timeout 60 \(AgentProcess.binary) \(arguments)")
    }

    /// Asks the socket; the first line is the status code, the rest the body.
    func ask(_ target: String, _ options: String = "") -> String {
        let url = "'http://localhost\(target)'"
        return Command.run(
            "curl -s -m 5 -w '\\n%{http_code}' --unix-socket \(socket) \(options) \(url)"
        ).output
    }

    /// Starts an agent and waits until it is ready.
    ///
    /// - Parameter launcher: what the binary is started by, such as `setpriv` with options.
    func start(_ configuration: String, launcher: String = "") throws -> Int32? {
        try write("agent.yaml", configuration)
        let command =
            "sh -c '\(launcher) \(AgentProcess.binary) agent --config \(directory)/agent.yaml "
            + ">\(directory)/out 2>\(directory)/err & echo $!'"
        let pid = Int32(Command.run(command).output.filter(\.isNumber))
        for _ in 0..<100 {
            if ask("/readyz").hasSuffix("200") { return pid }
            _ = Command.run("sleep 0.1")
        }
        return pid
    }

    /// Ends an agent by SIGTERM and waits until it is gone.
    func stop(_ pid: Int32) -> Bool {
        _ = Command.run("kill \(pid)")
        for _ in 0..<100 {
            if FileSystem.kind(of: "/proc/\(pid)") == nil { return true }
            _ = Command.run("sleep 0.1")
        }
        _ = Command.run("kill -9 \(pid)")
        return false
    }

    /// Asks every 50 ms, for up to ten seconds.
    func waits(until isSo: () -> Bool) -> Bool {
        for _ in 0..<200 {
            if isSo() { return true }
            _ = Command.run("sleep 0.05")
        }
        return false
    }

    /// An object's row at `/objects`.
    ///
    /// - Parameter name: such as `Gateway shop/edge`.
    func object(_ name: String) -> JSONValue? {
        let text = ask("/objects").split(separator: "\n").first.map(String.init) ?? ""
        return JSONText.parse(text)?["objects"]?.elements.first { $0["object"]?.text == name }
    }

    /// An object's conditions: `SUBJECT TYPE` to `STATUS/REASON`.
    func conditions(_ name: String) -> [String: String] {
        var found: [String: String] = [:]
        for condition in object(name)?["conditions"]?.elements ?? [] {
            let subject = condition["subject"]?.text.map { "\($0) " } ?? ""
            let (type, status) = (condition["type"]?.text ?? "", condition["status"]?.text ?? "")
            found["\(subject)\(type)"] = "\(status)/\(condition["reason"]?.text ?? "")"
        }
        return found
    }

    func remove() {
        _ = Command.run("rm -rf \(directory) /run/martlet/\(node) /var/lib/martlet/\(node)")
    }

    var errors: String { (try? FileSystem.readText("\(directory)/err")) ?? "" }
}
