import Addressing
import DataPlane
import MeshModel

/// One worker's proxy with a configuration of the test's own, between clients and several endpoints
/// whose bytes the test itself reads and writes, on a simulated network.
final class EngineRig {
    static let entrance = SocketAddress(.loopbackIPv4, 80)
    /// Where endpoint N listens.
    static func address(_ index: Int) -> SocketAddress {
        SocketAddress(.loopbackIPv4, 9_000 + UInt16(index))
    }

    private func address(_ index: Int) -> SocketAddress {
        let address = EngineRig.address(index)
        return ipv6.contains(index) ? SocketAddress(.loopbackIPv6, address.port) : address
    }

    private let ipv6: Set<Int>
    let network: SimulatedNetwork
    let loop: EventLoop
    let proxy: HTTPProxy
    private let acceptor: Acceptor
    private let sink: Sink
    private var listeners: [Int32] = []
    private var slots = EngineSlots()
    private var transports = UpstreamTransportCompiler()
    private var version: UInt64 = 0
    /// Connections to each endpoint, oldest first.
    private(set) var upstreams: [[Int32]]
    private var received: [Int32: [UInt8]] = [:]
    private var waiting: [Int32: [UInt8]] = [:]
    /// Peers that are not read for now.
    var unread: Set<Int32> = []
    /// Peers whose connection the proxy has ended.
    private(set) var ended: Set<Int32> = []

    private final class Sink: ConnectionSink {
        let proxy: HTTPProxy
        var origin: Int32 = -1

        init(proxy: HTTPProxy) { self.proxy = proxy }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            proxy.adopt(
                fd,
                peer: peer,
                local: EngineRig.entrance,
                PortConfiguration(entry: 0, origin: origin)
            )
        }
    }

    /// A loop and its handlers hold each other.
    deinit { loop.dispose() }

    /// - Parameters:
    ///   - dead: endpoints that refuse connections.
    ///   - silent: endpoints that answer none.
    ///   - ipv6: endpoints whose address is of IPv6.
    init(
        endpointCount: Int = 1,
        dead: [Int] = [],
        silent: [Int] = [],
        ipv6: Set<Int> = [],
        limits: EngineLimits = EngineLimits(),
        seed: UInt64 = 1,
        log: LogRing? = nil
    ) throws {
        network = SimulatedNetwork(seed: seed)
        self.ipv6 = ipv6
        loop = try EventLoop(network: Network(simulation: network))
        proxy = HTTPProxy(loop: loop, limits: limits, seed: seed, log: log)
        acceptor = Acceptor(loop: loop)
        sink = Sink(proxy: proxy)
        upstreams = Array(repeating: [], count: endpointCount)
        for index in 0..<endpointCount {
            let isDead = dead.contains(index)
            listeners.append(isDead ? -1 : network.listen(on: address(index)))
            if silent.contains(index) { network.silentAddresses.insert(address(index)) }
        }
        _ = try acceptor.add(
            .init(owning: network.listen(on: EngineRig.entrance)),
            port: 0,
            isShared: false,
            sink: sink
        )
        install(clusters: [Array(0..<endpointCount)])
    }

    /// Puts a view in force: one rule for every request, with a backend for each cluster.
    ///
    /// - Parameters:
    ///   - clusters: each one's endpoints; an empty list has none, `nil` is an invalid reference.
    ///   - places: by endpoint.
    ///   - change: what else the rule is to do.
    func install(
        clusters: [[Int]?],
        weights: [UInt32] = [],
        settings: BackendSettings = BackendSettings(),
        listenerSettings: ListenerSettings = ListenerSettings(),
        match: HTTPMatch = HTTPMatch(),
        host: HostPattern = .any,
        places: [EndpointPlace] = [],
        locality: EngineLocality = EngineLocality(),
        isNamed: Bool = false,
        change: (inout EngineAction) -> Void = { _ in }
    ) {
        var configuration = EngineConfiguration()
        var backends: [EngineBackend] = []
        slots.begin()
        transports.begin()
        for (number, endpoints) in clusters.enumerated() {
            let id = ClusterID(namespace: "ns", name: "c\(number)", port: 80)
            let weight = weights.isEmpty ? 1 : weights[number]
            guard let endpoints, let slot = slots.cluster(id) else {
                backends.append(EngineBackend(cluster: -1, weight: weight))
                continue
            }
            configuration.clusters[slot] = EngineCluster(
                name: id.description,
                settings: settings,
                endpoints: endpoints.compactMap { slots.endpoint(id, address($0)) },
                places: places.isEmpty ? [] : endpoints.map { places[$0] },
                locality: locality,
                isNamed: isNamed
            )
            configuration.clusters[slot]?.transport = transports.transport(settings, .http, [:])
            backends.append(EngineBackend(cluster: slot, weight: weight))
        }
        slots.sweep()
        transports.sweep()
        var action = EngineAction(routeName: "ns/route/0", backends: backends)
        change(&action)
        configuration.entries[0] = EngineEntry(
            isEdge: true,
            hosts: [
                EngineHost(
                    pattern: host,
                    listener: 0,
                    rules: [EngineRule(match: match, action: action)],
                    settings: listenerSettings
                )
            ],
            listener: 0,
            settings: listenerSettings
        )
        configuration.listenerNames[0] = "ns/gateway/http"
        version += 1
        proxy.install(
            RoutingView(version: version, configuration),
            transports: configuration.clusters.values.compactMap(\.transport)
        )
    }

    /// The number that an endpoint of the first cluster has now.
    func endpoint(_ index: Int) -> EngineEndpoint? {
        slots.present(ClusterID(namespace: "ns", name: "c0", port: 80), address(index))
    }

    // MARK: Driving

    /// Lets everything that is under way arrive.
    func settle(_ turns: Int = 40) {
        for _ in 0..<turns {
            for (fd, bytes) in waiting where !bytes.isEmpty {
                waiting[fd] = Array(bytes.dropFirst(network.write(fd, bytes[...])))
            }
            loop.turn(waitingUpTo: min(max(loop.waitMilliseconds(), 0), 1))
            for (index, listener) in listeners.enumerated() {
                while let (fd, _) = network.accept(listener) {
                    upstreams[index].append(fd)
                    received[fd] = []
                }
            }
            for fd in received.keys where !ended.contains(fd) && !unread.contains(fd) {
                if let bytes = network.read(fd) {
                    received[fd, default: []] += bytes
                } else {
                    ended.insert(fd)
                }
            }
        }
    }

    /// Lets time pass, then what follows from it.
    func pass(seconds: UInt64) {
        network.advance(nanoseconds: seconds * 1_000_000_000)
        settle()
    }

    /// The namespace that clients accepted from now on are taken to live in.
    var origin: Int32 {
        get { sink.origin }
        set { sink.origin = newValue }
    }

    /// Opens a client's connection.
    func connect(sending text: String = "") -> Int32 {
        let fd = network.connect(to: EngineRig.entrance)
        received[fd] = []
        send(fd, text)
        return fd
    }

    /// Sends from a test's peer; what does not fit now goes on as there is room.
    func send(_ fd: Int32, _ bytes: [UInt8], turns: Int = 40) {
        waiting[fd, default: []] += bytes
        settle(turns)
    }

    /// Sends text from a test's peer.
    func send(_ fd: Int32, _ text: String) { send(fd, Array(text.utf8)) }

    /// Answers on an endpoint's newest connection.
    func answer(
        _ text: String = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        by index: Int = 0
    ) {
        if let fd = upstreams[index].last { send(fd, text) }
    }

    /// Bytes of a test's peer that did not fit yet.
    func waitingByteCount(_ fd: Int32) -> Int { waiting[fd]?.count ?? 0 }

    /// How much a test's peer has received.
    func byteCount(_ fd: Int32) -> Int { received[fd]?.count ?? 0 }

    /// What a test's peer has received, as bytes.
    func bytes(_ fd: Int32) -> [UInt8] { received[fd] ?? [] }

    /// What a test's peer has received.
    func text(_ fd: Int32) -> String { String(decoding: received[fd] ?? [], as: UTF8.self) }

    /// The status line's code.
    func status(_ fd: Int32) -> String { String(text(fd).dropFirst(9).prefix(3)) }

    /// What all connections of an endpoint have received.
    func forwarded(to index: Int = 0) -> String { upstreams[index].map(text).joined() }

    /// How many requests an endpoint has received.
    func requestCount(_ index: Int) -> Int {
        forwarded(to: index).split(separator: "\r\n").count { $0.hasSuffix(" HTTP/1.1") }
    }

    /// Makes a request on a new connection and has the endpoint that gets it answer.
    ///
    /// - Parameter answer: the answer by endpoint; `nil` for none.
    /// - Returns: the endpoint, -1 for none, and the client's connection.
    func ask(
        _ request: String = EngineRig.get,
        _ answer: (Int) -> String? = { _ in EngineRig.ok }
    ) -> (endpoint: Int, client: Int32) {
        let before = upstreams.indices.map(requestCount)
        let client = connect(sending: request)
        for index in upstreams.indices where requestCount(index) > before[index] {
            if let text = answer(index) { self.answer(text, by: index) }
            return (index, client)
        }
        return (-1, client)
    }

    /// A good answer.
    static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    /// An answer of a status.
    static func status(_ status: Int) -> String {
        "HTTP/1.1 \(status) Status\r\ncontent-length: 0\r\n\r\n"
    }
    /// A request without a body, with more lines.
    static func get(_ path: String = "/", _ lines: String...) -> String {
        "GET \(path) HTTP/1.1\r\nhost: h.example\r\n" + lines.map { $0 + "\r\n" }.joined()
            + "\r\n"
    }
    /// A request without a body.
    static let get = "GET / HTTP/1.1\r\nhost: h.example\r\n\r\n"
}
