import Addressing
import DataPlane
import MeshModel

/// A worker's proxy between simulated clients and endpoints, all on one seed.
///
/// Every request names itself in a header and in its path; every endpoint answers with its own name
/// and the request's. A response that names anything else is a mix-up, the fault this looks for.
final class ProxySimulation {
    struct Outcome: Equatable {
        var completed = 0
        var failed = 0
        var cut = 0
        var mixUps: [String] = []
    }

    let network: SimulatedNetwork
    let loop: EventLoop
    let proxy: HTTPProxy
    private let acceptor: Acceptor
    private let port = SocketAddress(.loopbackIPv4, 80)
    private var backends: [SimulatedBackend] = []
    private var clients: [SimulatedClient] = []
    private var slots = EngineSlots()
    private(set) var outcome = Outcome()
    private var nextRequest = 0

    /// A loop and its handlers hold each other.
    deinit { loop.dispose() }

    init(seed: UInt64, limits: EngineLimits = EngineLimits()) throws {
        network = SimulatedNetwork(seed: seed)
        loop = try EventLoop(network: Network(simulation: network))
        proxy = HTTPProxy(loop: loop, limits: limits, seed: seed)
        acceptor = Acceptor(loop: loop)
        let sink = Sink(proxy: proxy, network: network)
        _ = try acceptor.add(
            .init(owning: network.listen(on: port)),
            port: 0,
            isShared: false,
            sink: sink
        )
        self.sink = sink
    }

    private let sink: Sink

    final class Sink: ConnectionSink {
        let proxy: HTTPProxy
        let network: SimulatedNetwork

        init(proxy: HTTPProxy, network: SimulatedNetwork) {
            self.proxy = proxy
            self.network = network
        }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            let local = SocketAddress(.loopbackIPv4, 80)
            proxy.adopt(fd, peer: peer, local: local, PortConfiguration(entry: 0))
        }
    }

    /// Starts an endpoint of a cluster.
    ///
    /// - Parameter failurePercent: answers that are of status 503.
    func addBackend(
        cluster: Int,
        port: UInt16,
        closesIdle: Bool = true,
        failurePercent: Int = 0
    ) {
        let address = SocketAddress(.loopbackIPv4, port)
        let backend = SimulatedBackend(network: network, address: address, cluster: cluster)
        backend.closesIdle = closesIdle
        backend.failurePercent = failurePercent
        backends.append(backend)
    }

    /// Kills an endpoint: its listener and every connection.
    func killBackend(_ index: Int) { backends[index].kill() }

    /// Starts it again.
    func reviveBackend(_ index: Int) { backends[index].revive() }

    var backendCount: Int { backends.count }

    /// Routes `/cluster/N/` to the cluster N with the endpoints that are alive or not.
    ///
    /// - Parameter leaving: endpoints that terminate: they are in no cluster.
    func install(clusterCount: Int, leaving: Set<Int> = []) {
        var configuration = EngineConfiguration()
        var rules: [EngineRule] = []
        slots.begin()
        for number in 0..<clusterCount {
            let id = ClusterID(namespace: "sim", name: "c\(number)", port: 80)
            guard let slot = slots.cluster(id) else { continue }
            let served = backends.indices.filter {
                backends[$0].cluster == number && !leaving.contains($0)
            }
            configuration.clusters[slot] = EngineCluster(
                name: id.description,
                settings: settings(number),
                endpoints: served.compactMap { slots.endpoint(id, backends[$0].address) },
                places: served.map { EndpointPlace(zone: "z\($0 % 2)", node: "n\($0)") },
                locality: EngineLocality(zone: "z0", nodeCounts: ["z0": 1, "z1": 1])
            )
            rules.append(
                EngineRule(
                    match: HTTPMatch(path: .prefix("/cluster/\(number)")),
                    action: EngineAction(
                        routeName: "sim/\(number)",
                        backends: [EngineBackend(cluster: slot)],
                        chain: filters.isEmpty ? -1 : 0
                    )
                )
            )
        }
        slots.sweep()
        configuration.entries[0] = EngineEntry(
            isEdge: true,
            hosts: [EngineHost(pattern: .any, listener: 0, rules: rules)]
        )
        configuration.listenerNames[0] = "sim"
        version += 1
        let chains = filters.isEmpty ? [] : [FilterChain(filters)]
        proxy.install(RoutingView(version: version, configuration), chains: chains)
    }

    private var version: UInt64 = 0

    /// The settings of a cluster in what is installed from here on.
    var settings: (Int) -> BackendSettings = { number in
        var settings = BackendSettings()
        settings.balancing.algorithm = number % 2 == 0 ? .roundRobin : .leastRequest
        return settings
    }

    /// Says what a health check found of an endpoint, if it is in a cluster.
    func setHealth(_ index: Int, isHealthy: Bool) {
        let id = ClusterID(namespace: "sim", name: "c\(backends[index].cluster)", port: 80)
        guard let endpoint = slots.present(id, backends[index].address) else { return }
        proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: isHealthy)
    }

    /// The filters of every route installed from here on.
    var filters: [Filter] = []

    /// Opens a client that makes `requestCount` requests to random clusters.
    func addClient(requestCount: Int, clusterCount: Int, pipelines: Bool) {
        let client = SimulatedClient(network: network, address: port)
        client.plan(requestCount, pipelines: pipelines) {
            nextRequest += 1
            let cluster = network.choose(clusterCount)
            let bodyByteCount = network.choose(4) == 0 ? network.choose(60_000) : 0
            return .init(number: nextRequest, cluster: cluster, bodyByteCount: bodyByteCount)
        }
        clients.append(client)
    }

    /// Turns everything once.
    func step() {
        loop.turn(waitingUpTo: loop.waitMilliseconds())
        for backend in backends { backend.step() }
        for client in clients where !client.isDone {
            client.step()
        }
    }

    /// Whether all clients have ended.
    var isDone: Bool { clients.allSatisfy(\.isDone) }

    /// Closes everything and reads the clients' notes.
    func conclude() {
        for client in clients {
            outcome.completed += client.completed
            outcome.failed += client.failed
            outcome.cut += client.cut
            outcome.mixUps += client.mixUps
            client.close()
        }
        for _ in 0..<50 { step() }
    }
}
