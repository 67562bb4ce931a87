import Addressing
import DataPlane
import MeshModel

/// One worker's proxy with filters on its one route, between clients and an endpoint whose bytes
/// the test itself reads and writes, on a simulated network.
final class ProxyRig {
    static let entrance = SocketAddress(.loopbackIPv4, 80)
    private static let endpoint = SocketAddress(.loopbackIPv4, 9_000)

    let network: SimulatedNetwork
    let loop: EventLoop
    let proxy: HTTPProxy
    private let acceptor: Acceptor
    private let sink: Sink
    private let backend: Int32
    /// The endpoint's connections, oldest first, and what each has received.
    private(set) var upstreams: [Int32] = []
    private var upstreamBytes: [Int32: [UInt8]] = [:]
    private var clientBytes: [Int32: [UInt8]] = [:]
    private var waiting: [Int32: [UInt8]] = [:]
    /// Connections whose peer, the proxy, has ended them.
    private(set) var ended: Set<Int32> = []

    private final class Sink: ConnectionSink {
        let proxy: HTTPProxy

        init(proxy: HTTPProxy) { self.proxy = proxy }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            proxy.adopt(fd, peer: peer, local: ProxyRig.entrance, PortConfiguration(entry: 0))
        }
    }

    /// A loop and its handlers hold each other.
    deinit { loop.dispose() }

    init(
        _ filters: [Filter] = [],
        limits: EngineLimits = EngineLimits(),
        seed: UInt64 = 1,
        log: LogRing? = nil,
        logFormat: LogFormat? = nil,
        tracing: TraceConfiguration? = nil
    ) throws {
        network = SimulatedNetwork(seed: seed)
        loop = try EventLoop(network: Network(simulation: network))
        proxy = HTTPProxy(
            loop: loop,
            limits: limits,
            seed: seed,
            log: log,
            logFormat: logFormat,
            tracing: tracing
        )
        acceptor = Acceptor(loop: loop)
        sink = Sink(proxy: proxy)
        backend = network.listen(on: ProxyRig.endpoint)
        _ = try acceptor.add(
            .init(owning: network.listen(on: ProxyRig.entrance)),
            port: 0,
            isShared: false,
            sink: sink
        )
        install(filters)
    }

    private func install(_ filters: [Filter]) {
        var slots = EngineSlots()
        slots.begin()
        let id = ClusterID(namespace: "ns", name: "peer", port: 80)
        guard let cluster = slots.cluster(id), let slot = slots.endpoint(id, ProxyRig.endpoint)
        else { return }
        slots.sweep()
        var configuration = EngineConfiguration()
        configuration.clusters[cluster] = EngineCluster(
            name: id.description,
            endpoints: [slot]
        )
        var action = EngineAction(
            routeName: "ns/route/0",
            backends: [EngineBackend(cluster: cluster)]
        )
        if !filters.isEmpty { action.chain = 0 }
        let rule = EngineRule(match: HTTPMatch(path: .prefix("")), action: action)
        configuration.entries[0] = EngineEntry(
            isEdge: true,
            hosts: [EngineHost(pattern: .any, listener: 0, rules: [rule])],
            listener: 0
        )
        configuration.listenerNames[0] = "ns/gateway/http"
        let chains = filters.isEmpty ? [] : [FilterChain(filters)]
        proxy.install(RoutingView(version: 1, configuration), chains: chains)
    }

    // MARK: Driving

    /// Lets everything that is under way arrive.
    func settle(_ turns: Int = 40) {
        for _ in 0..<turns {
            for (fd, bytes) in waiting where !bytes.isEmpty {
                waiting[fd] = Array(bytes.dropFirst(network.write(fd, bytes[...])))
            }
            loop.turn(waitingUpTo: min(max(loop.waitMilliseconds(), 0), 1))
            while let (fd, _) = network.accept(backend) { upstreams.append(fd) }
            for fd in upstreams where !ended.contains(fd) { read(fd, into: &upstreamBytes) }
            for fd in clientBytes.keys where !ended.contains(fd) { read(fd, into: &clientBytes) }
        }
    }

    private func read(_ fd: Int32, into store: inout [Int32: [UInt8]]) {
        guard let bytes = network.read(fd) else {
            ended.insert(fd)
            return
        }
        store[fd, default: []] += bytes
    }

    /// Opens a client's connection.
    func connect() -> Int32 {
        let fd = network.connect(to: ProxyRig.entrance)
        clientBytes[fd] = []
        return fd
    }

    /// Opens a connection and sends text on it.
    func connect(sending text: String) -> Int32 {
        let fd = connect()
        send(fd, text)
        return fd
    }

    /// Sends bytes from a test's peer; what does not fit now goes on as there is room.
    func send(_ fd: Int32, _ bytes: [UInt8], turns: Int = 40) {
        waiting[fd, default: []] += bytes
        settle(turns)
    }

    /// Sends text from a test's peer.
    func send(_ fd: Int32, _ text: String, turns: Int = 40) {
        send(fd, Array(text.utf8), turns: turns)
    }

    /// Answers on the newest connection to the endpoint.
    func answer(_ text: String) {
        if let fd = upstreams.last { send(fd, text) }
    }

    /// The endpoint closes its newest connection.
    func closeUpstream() {
        if let fd = upstreams.last {
            network.close(fd)
            ended.insert(fd)
        }
        settle()
    }

    /// Bytes of a test's peer that did not fit yet.
    func waitingByteCount(_ fd: Int32) -> Int { waiting[fd]?.count ?? 0 }

    /// What a client has received.
    func received(_ fd: Int32) -> [UInt8] { clientBytes[fd] ?? [] }

    /// What a client has received, as text.
    func text(_ fd: Int32) -> String { String(decoding: received(fd), as: UTF8.self) }

    /// The status line's code.
    func status(_ fd: Int32) -> String { String(text(fd).dropFirst(9).prefix(3)) }

    /// What the newest connection to the endpoint has received.
    var forwarded: String {
        String(decoding: upstreams.last.flatMap { upstreamBytes[$0] } ?? [], as: UTF8.self)
    }
}
