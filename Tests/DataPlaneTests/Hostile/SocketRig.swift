import Addressing
import LinuxSystem
import MeshModel
import Synchronization
import TestSupport

@testable import DataPlane

/// One worker's proxy on the kernel's own loopback, between raw peers of the test: everything is
/// turned by the test's thread, so that no step waits for another thread.
final class SocketRig {
    let loop: EventLoop
    let proxy: HTTPProxy
    let front: SocketAddress
    private let acceptor: Acceptor
    private let sink: Sink
    private let backend: OwnedFD
    private let scratch = ScratchBuffer(capacity: 65_536)
    private var inputs: [Int32: [UInt8]] = [:]
    private var outputs: [Int32: [UInt8]] = [:]
    /// Connections to the endpoint, oldest first.
    private(set) var upstreams: [Int32] = []
    /// Peers that are not read for now.
    var unread: Set<Int32> = []
    /// Whether the endpoint goes on reading a connection, by what it has received.
    var readsUpstream: ((String) -> Bool)?
    /// Peers whose connection the proxy has ended or reset.
    private(set) var ended: Set<Int32> = []
    /// What the endpoint answers to a request's head; nothing until it is set.
    var answer: ((String) -> String?) = { _ in "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" }

    private final class Sink: ConnectionSink {
        let proxy: HTTPProxy
        let isTLS: Bool

        init(proxy: HTTPProxy, isTLS: Bool) {
            self.proxy = proxy
            self.isTLS = isTLS
        }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            proxy.adopt(
                fd,
                peer: peer,
                local: SocketAddress(.loopbackIPv4, 80),
                PortConfiguration(entry: 0, isTLS: isTLS)
            )
        }
    }

    /// - Parameters:
    ///   - endpoint: where requests go to; `nil` for the rig's own endpoint.
    ///   - backend: how the endpoint is spoken to.
    ///   - certificates: own ones, which `backend` may name.
    ///   - abuse: hears of protocol abuse.
    init(
        limits: EngineLimits = EngineLimits(),
        tls: TLSHostTable? = nil,
        hosts: [(pattern: HostPattern, listener: Int32)] = [(.any, 0)],
        endpoint: SocketAddress? = nil,
        settings: ListenerSettings = ListenerSettings(),
        backend backendSettings: BackendSettings = BackendSettings(),
        certificates: [ObjectKey: Certificate] = [:],
        listener abuse: Filter? = nil
    ) throws {
        loop = try EventLoop()
        proxy = HTTPProxy(loop: loop, limits: limits, seed: 1)
        proxy.setTLSHosts(ofEntry: 0, tls)
        acceptor = Acceptor(loop: loop)
        sink = Sink(proxy: proxy, isTLS: tls != nil)
        backend = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let listener = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        front = try Socket.localAddress(of: listener.rawValue)
        _ = try acceptor.add(listener, port: 0, isShared: false, sink: sink)
        var transports = UpstreamTransportCompiler()
        try install(
            hosts,
            endpoint,
            settings,
            backendSettings,
            transports.transport(backendSettings, .http, certificates),
            abuse
        )
    }

    deinit {
        for fd in inputs.keys where !ended.contains(fd) { Network.kernel.close(fd) }
        for fd in ended { Network.kernel.close(fd) }
        for _ in 0..<10 { loop.turn(waitingUpTo: 1) }
        proxy.drain()
    }

    private func install(
        _ hosts: [(pattern: HostPattern, listener: Int32)],
        _ given: SocketAddress?,
        _ settings: ListenerSettings,
        _ backendSettings: BackendSettings,
        _ transport: UpstreamTransport?,
        _ abuse: Filter?
    ) throws {
        var slots = EngineSlots()
        slots.begin()
        let id = ClusterID(namespace: "ns", name: "peer", port: 80)
        let address = try given ?? Socket.localAddress(of: backend.rawValue)
        guard let cluster = slots.cluster(id), let endpoint = slots.endpoint(id, address) else {
            return
        }
        slots.sweep()
        var configuration = EngineConfiguration()
        configuration.clusters[cluster] = EngineCluster(
            name: id.description,
            settings: backendSettings,
            endpoints: [endpoint]
        )
        configuration.clusters[cluster]?.transport = transport
        let rule = EngineRule(
            match: HTTPMatch(path: .prefix("")),
            action: EngineAction(routeName: "r", backends: [EngineBackend(cluster: cluster)])
        )
        configuration.entries[0] = EngineEntry(
            isEdge: true,
            hosts: hosts.map {
                EngineHost(
                    pattern: $0.pattern,
                    listener: $0.listener,
                    rules: [rule],
                    settings: settings
                )
            },
            listener: 0,
            abuseChain: abuse == nil ? -1 : 0,
            settings: settings
        )
        configuration.listenerNames[0] = "ns/gateway/http"
        let chains = abuse.map { [FilterChain([$0])] } ?? []
        proxy.install(
            RoutingView(version: 1, configuration),
            chains: chains,
            transports: [transport].compactMap(\.self)
        )
    }

    // MARK: Driving

    /// Turns everything until a condition holds, or for so long at most.
    ///
    /// - Returns: whether it came to hold.
    @discardableResult
    func run(seconds: UInt64 = 2, until condition: () -> Bool) -> Bool {
        let end = Clock.monotonicNanoseconds() + seconds * 1_000_000_000
        while !condition() {
            guard Clock.monotonicNanoseconds() < end else { return false }
            turn()
        }
        return true
    }

    /// Runs a shell command beside, and turns everything until it has ended.
    func serve(_ command: String) -> Command.Outcome {
        let outcome = OutcomeBox()
        let limited = "timeout 20 sh -c '\(command)'"
        Task.detached {
            let result = await BlockingThread.run(name: "peer") { Command.run(limited) }
            outcome.value.withLock { $0 = result ?? Command.Outcome.none }
        }
        while true {
            if let result = outcome.value.withLock({ $0 }) { return result }
            settle()
        }
    }

    private final class OutcomeBox: Sendable {
        let value = Mutex<Command.Outcome?>(nil)
    }

    /// Turns everything often enough for what is under way to arrive.
    func settle() { for _ in 0..<20 { turn() } }

    private func turn() {
        for (fd, bytes) in outputs where !bytes.isEmpty && !ended.contains(fd) {
            let count = bytes.withRawSpan { Network.kernel.send(fd, $0).byteCount }
            outputs[fd] = Array(bytes.dropFirst(count))
        }
        loop.turn(waitingUpTo: 1)
        while let (fd, _) = try? Network.kernel.accept(backend.rawValue) {
            upstreams.append(fd)
            inputs[fd] = []
        }
        for fd in inputs.keys where !ended.contains(fd) && !unread.contains(fd) {
            if let readsUpstream, upstreams.contains(fd), !readsUpstream(text(fd)) { continue }
            receive(fd)
        }
        for fd in upstreams where !ended.contains(fd) { serve(fd) }
    }

    private func receive(_ fd: Int32) {
        switch Network.kernel.receive(fd, into: scratch, at: 0, byteLimit: scratch.capacity) {
        case .received(let count): inputs[fd, default: []] += scratch.array(0, count)
        case .blocked: break
        case .ended, .failed: ended.insert(fd)
        }
    }

    /// Answers the head that a connection to the endpoint holds.
    private func serve(_ fd: Int32) {
        let text = String(decoding: inputs[fd] ?? [], as: UTF8.self)
        guard text.contains("\r\n\r\n"), let reply = answer(text) else { return }
        heads.append(text)
        inputs[fd] = []
        outputs[fd, default: []] += Array(reply.utf8)
        if closesAfterAnswer {
            let bytes = outputs.removeValue(forKey: fd) ?? []
            _ = bytes.withRawSpan { Network.kernel.send(fd, $0) }
            Network.kernel.close(fd)
            inputs[fd] = nil
            upstreams.removeAll { $0 == fd }
        }
    }

    /// Requests that have reached the endpoint.
    private(set) var heads: [String] = []
    /// The endpoint closes each connection after its answer.
    var closesAfterAnswer = false

    /// Opens a client's connection and sends bytes on it.
    func connect(sending bytes: [UInt8]) throws -> Int32 {
        let fd = try Socket.connect(to: front).release()
        inputs[fd] = []
        outputs[fd] = bytes
        settle()
        return fd
    }

    /// Opens a client's connection and sends text on it.
    func connect(sending text: String) throws -> Int32 { try connect(sending: Array(text.utf8)) }

    /// Sends more.
    func send(_ fd: Int32, _ bytes: [UInt8]) {
        outputs[fd, default: []] += bytes
        settle()
    }

    /// Closes a client's connection.
    func hangUp(_ fd: Int32) {
        Network.kernel.close(fd)
        inputs[fd] = nil
        outputs[fd] = nil
        settle()
    }

    /// What a client has received.
    func text(_ fd: Int32) -> String { String(decoding: inputs[fd] ?? [], as: UTF8.self) }

    /// What a client has received, which is then forgotten.
    func take(_ fd: Int32) -> [UInt8] {
        defer { inputs[fd] = [] }
        return inputs[fd] ?? []
    }

    /// The status line's code.
    func status(_ fd: Int32) -> String { String(text(fd).dropFirst(9).prefix(3)) }
}
