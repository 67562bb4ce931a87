import Addressing
import DataPlane
import Discovery
import LinuxSystem
import MeshModel
import PluginRuntime
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import NodeAgent

/// An agent in this process with bounds of its own, its manifests and its peers. Used on a thread
/// of its own: the agent needs the threads of the concurrency runtime.
final class LimitRig {
    /// Ports and names of one rig.
    struct Places: Sendable {
        /// The Gateway's HTTP and TCP ports.
        let web: UInt16
        let raw: UInt16
        /// Where the endpoint listens.
        let endpoint: UInt16
        /// Where nothing listens.
        let closed: UInt16
        /// Where a connection is neither taken nor refused.
        let silent: UInt16
        /// A namespace and an interface that the rig may make.
        let name: String
    }

    let places: Places
    let peers: LimitPeers
    let agent: Agent
    let process: AgentProcess
    /// Descriptors that stay open as long as the rig.
    var held: [Held] = []
    private let blackHole: BlackHole
    private var isStarted = false

    /// A descriptor.
    final class Held {
        let fd: OwnedFD
        init(_ fd: consuming OwnedFD) { self.fd = fd }
    }

    init(_ row: LimitCase) throws {
        let peers = try LimitPeers()
        self.peers = peers
        blackHole = try BlackHole()
        process = try AgentProcess()
        let places = Places(
            web: try LimitRig.freePort(),
            raw: try LimitRig.freePort(),
            endpoint: peers.port,
            closed: try LimitRig.freePort(),
            silent: blackHole.port,
            name: Command.uniqueName("lim")
        )
        self.places = places
        if let prepared = try row.prepare?(places) { held.append(prepared) }
        try process.write("manifests/class.yaml", LimitManifests.gatewayClass)
        for (name, text) in row.manifests(places) {
            try process.write("manifests/\(name).yaml", text)
        }
        var configuration = AgentConfiguration(
            nodeName: process.node,
            source: .manifests(directory: "\(process.directory)/manifests"),
            workerCount: 1
        )
        configuration.nodeAddresses = [.loopbackIPv4]
        configuration.captureIsEnabled = false
        configuration.accessLog = .file(path: "\(process.directory)/access.log")
        configuration.statusAddress = SocketAddress(.loopbackIPv4, try LimitRig.freePort())
        configuration.pinDirectory = "\(process.directory)/bpf"
        row.configure(&configuration, places)
        var limits = AgentLimits()
        limits.drainGrace = .zero
        row.tighten(&limits)
        let log = LogOutput(
            level: .warning,
            format: .text,
            clock: { Clock.wallNanoseconds() },
            write: { _ in }
        )
        agent = try Agent(configuration, log: log, limits: limits, registry: row.registry)
    }

    /// Starts the agent and waits until it is ready.
    func start() throws {
        try agent.start()
        isStarted = true
        for _ in 0..<100 where !process.ask("/readyz").hasSuffix("200") {
            RawThread.sleep(milliseconds: 50)
        }
        try #require(process.ask("/readyz").hasSuffix("200"), "\(process.ask("/readyz"))")
    }

    /// Ends the agent as SIGTERM does.
    func end() {
        guard isStarted else { return }
        isStarted = false
        let agent = self.agent
        waitFor { await agent.stop() }
    }

    func stop() {
        end()
        Command.run("ip link del \(places.name) 2>&1; ip netns del \(places.name) 2>&1")
        if FileSystem.kind(of: "\(process.directory)/bpf") != nil {
            try? agent.engine.cleanup()
            Command.run("umount \(process.directory)/bpf")
        }
        process.remove()
    }

    // MARK: Asking

    /// Limits by name with their counts, as the agent tells them outside.
    func shown() -> [String: (count: Int64, counter: String)] {
        let answer = process.ask("/config").split(separator: "\n").first.map(String.init) ?? ""
        let rows = JSONText.parse(answer)?["limits"]?.elements ?? []
        return Dictionary(
            rows.map {
                let count = $0["reached"]?.int ?? -1
                return ($0["name"]?.text ?? "", (count, $0["counter"]?.text ?? ""))
            }
        ) { first, _ in first }
    }

    /// The same, told by the registry itself: before the start, and after the end.
    func counted(_ name: String) -> UInt64? {
        agent.limits.rows().first { $0.limit.name == name }?.reachedCount
    }

    /// Waits for what is asynchronous.
    @discardableResult
    func waitFor<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) -> Value? {
        let box = Mutex<Value?>(nil)
        let done = Box(box)
        guard let wakeup = try? Signal() else { return nil }
        Task {
            let value = await body()
            done.set(value)
            wakeup.wakeup.signal()
        }
        wakeup.wakeup.wait()
        return done.value
    }

    private final class Signal: Sendable {
        let wakeup: Wakeup
        init() throws { wakeup = try Wakeup(blocks: true) }
    }

    private final class Box<Value: Sendable>: Sendable {
        private let content: Mutex<Value?>
        init(_ content: consuming sending Mutex<Value?>) { self.content = content }
        var value: Value? { content.withLock(\.self) }
        func set(_ value: Value) { content.withLock { $0 = value } }
    }

    /// A port that was free a moment ago.
    static func freePort() throws -> UInt16 {
        let socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        return try Socket.localAddress(of: socket.rawValue).port
    }

    /// A listening socket whose queue is full, so that the kernel answers no more.
    private final class BlackHole {
        let port: UInt16
        private let socket: OwnedFD
        private let fillers: [Held]

        init() throws {
            var configuration = SocketConfiguration()
            configuration.backlog = 0
            socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0), configuration)
            let address = try Socket.localAddress(of: socket.rawValue)
            port = address.port
            fillers = try (0..<4).map { _ in Held(try Socket.connect(to: address)) }
        }
    }
}
