import Addressing
import LinuxSystem
import TestSupport

/// A program that tests speak to, in a directory of its own that goes with it.
struct PeerProcess: ~Copyable {
    let directory: String
    private var processes: [String] = []

    init(_ name: String) throws {
        directory = "/tmp/martlet-\(Command.uniqueName(name))"
        try FileSystem.makeDirectories(directory)
    }

    deinit {
        for process in processes { Command.run("kill \(process)") }
        Command.run("rm -rf \(directory)")
    }

    func write(_ name: String, _ text: String) throws {
        try FileSystem.replace("\(directory)/\(name)", with: Array(text.utf8))
    }

    /// What a file holds, empty while there is none.
    func read(_ name: String) -> String {
        let bytes = try? FileSystem.read("\(directory)/\(name)", byteLimit: 1 << 20)
        return String(decoding: bytes ?? [], as: UTF8.self)
    }

    /// Starts a command in the background; it ends with this value.
    mutating func start(_ command: String) {
        let line = "cd \(directory); \(command) >out 2>&1 </dev/null & echo $!"
        processes.append(Command.run("sh -c '\(line)'").output.filter(\.isNumber))
    }

    /// A port that nobody listens on now.
    static func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        return try Socket.localAddress(of: probe.rawValue).port
    }

    /// Waits until a port is listened on.
    ///
    /// - Returns: whether it came to be.
    static func waits(for port: UInt16) -> Bool {
        for _ in 0..<200 {
            if let socket = try? Socket.connect(to: SocketAddress(.loopbackIPv4, port)) {
                _ = Command.run("sleep 0.05")
                if Socket.pendingError(of: socket.rawValue) == nil { return true }
            }
            _ = Command.run("sleep 0.05")
        }
        return false
    }
}
