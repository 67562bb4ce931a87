import LinuxSystem
import TestSupport
import Testing

/// A pod and a peer, each a network namespace, joined by a veth pair with both families.
final class PodFixture {
    let pod = Command.uniqueName("mp")
    let peer = Command.uniqueName("mc")
    let podAddress = "10.77.1.2"
    let peerAddress = "10.77.1.1"
    /// Where the agents of this fixture note what they did.
    let record = "/tmp/\(Command.uniqueName("captured"))"
    private var background: [Int32] = []
    private var files: [String] = []

    init() {
        for name in [pod, peer] {
            Command.run("ip netns add \(name); ip -n \(name) link set lo up")
        }
        Command.run("ip -n \(pod) link add eth0 type veth peer name eth0 netns \(peer)")
        for (name, v4, v6) in [(pod, podAddress, "fd77::2"), (peer, peerAddress, "fd77::1")] {
            Command.run("ip -n \(name) addr add \(v4)/24 dev eth0")
            Command.run("ip -n \(name) -6 addr add \(v6)/64 dev eth0 nodad")
            // No address of the link comes up by and by and changes routes when nobody expects it.
            Command.run("ip -n \(name) link set eth0 addrgenmode none up")
        }
        Command.run("ip -n \(pod) route add default via \(peerAddress)")
        Command.run("ip -n \(pod) -6 route add default via fd77::1")
    }

    deinit {
        stopAll()
        Command.run("ip netns del \(pod); ip netns del \(peer)")
        for file in files + [record] { _ = try? FileSystem.remove(file) }
    }

    /// Starts a program inside a namespace; it ends with the fixture.
    func start(in namespace: String, _ command: String) {
        let outcome = Command.run(
            "ip netns exec \(namespace) \(command) >/dev/null </dev/null & echo $!"
        )
        if let process = Int32(outcome.output.split(separator: "\n").last ?? "") {
            background.append(process)
        }
    }

    /// Ends every program that was started.
    func stopAll() {
        for process in background { Command.run("kill -9 \(process)") }
        background = []
    }

    /// Writes a program to a file that is removed with the fixture; its path.
    func script(_ text: String) -> String {
        let path = "/tmp/\(Command.uniqueName("script")).py"
        do {
            try FileSystem.replace(path, with: Array(text.utf8))
        } catch {
            Issue.record("cannot write \(path): \(error)")
        }
        files.append(path)
        return path
    }

    /// Runs a program inside a namespace.
    func run(in namespace: String, _ command: String) -> Command.Outcome {
        Command.run("ip netns exec \(namespace) \(command)")
    }

    /// A server that answers each connection with the address it sees, one line.
    func startEcho(in namespace: String, port: Int, isIPv6: Bool = false) {
        let family = isIPv6 ? "socket.AF_INET6" : "socket.AF_INET"
        let program =
            "import socket;s=socket.socket(\(family));"
            + "s.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1);s.bind(('',"
            + "\(port)));s.listen()\n"
            + "while True:\n c,a=s.accept(); c.sendall((a[0]+chr(10)).encode()); c.close()\n"
        start(in: namespace, "python3 \(script(program))")
        for _ in 0..<50 {
            let listening = run(in: namespace, "ss -ltn sport = :\(port)").output
            if listening.contains(":\(port)") { return }
            RawThread.sleep(milliseconds: 20)
        }
    }

    /// Reads a line from a server.
    func ask(in namespace: String, _ host: String, _ port: Int) -> String {
        run(in: namespace, "timeout 3 bash -c 'head -1 </dev/tcp/\(host)/\(port)'").output
    }
}
