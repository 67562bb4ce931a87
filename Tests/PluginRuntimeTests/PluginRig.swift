import Addressing
import DataPlane
import MeshModel

@testable import PluginRuntime

/// One worker's proxy with plugins on its one route, between a client and an endpoint on a
/// simulated network. The endpoint answers 200 with the head it was sent.
final class PluginRig {
    let network: SimulatedNetwork
    let loop: EventLoop
    let proxy: HTTPProxy
    let runtime: PluginRuntime
    private(set) var blocks: [BlockRequest] = []
    /// What the endpoint answers to a request's text, where it does not echo.
    var reply: [UInt8]?
    /// What the endpoint received last.
    private(set) var forwarded = ""
    /// What becomes of blocks that are asked for.
    var verdict = BlockVerdict.granted
    private let acceptor: Acceptor
    private let sink: Sink
    private let backend: Int32
    private var backendConnections: [Int32: [UInt8]] = [:]
    /// What did not fit yet of the endpoint's answers.
    private var backendOutputs: [Int32: [UInt8]] = [:]
    /// The endpoint's connection that was answered last.
    fileprivate var answered: Int32 = -1
    private var slots = EngineSlots()
    private var version: UInt64 = 0

    static let entrance = SocketAddress(.loopbackIPv4, 80)
    private static let endpoint = SocketAddress(.loopbackIPv4, 9_000)

    final class Sink: ConnectionSink {
        let proxy: HTTPProxy

        init(proxy: HTTPProxy) { self.proxy = proxy }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            proxy.adopt(fd, peer: peer, local: PluginRig.entrance, PortConfiguration(entry: 0))
        }
    }

    /// A loop and its handlers hold each other.
    deinit { loop.dispose() }

    init(_ registry: PluginRegistry = .shipped) throws {
        network = SimulatedNetwork(seed: 1)
        network.advance(nanoseconds: 1_000_000_000)
        loop = try EventLoop(network: Network(simulation: network))
        proxy = HTTPProxy(loop: loop, seed: 1)
        runtime = PluginRuntime(registry: registry)
        acceptor = Acceptor(loop: loop)
        sink = Sink(proxy: proxy)
        backend = network.listen(on: PluginRig.endpoint)
        _ = try acceptor.add(
            .init(owning: network.listen(on: PluginRig.entrance)),
            port: 0,
            isShared: false,
            sink: sink
        )
        proxy.blockSink = { [weak self] in
            self?.blocks.append($0)
            return self?.verdict ?? .granted
        }
    }

    /// Installs one route for each list: `/` for the first, `/1` for the second and so on.
    func install(_ lists: [[PluginBinding]], consumers: [Consumer] = []) {
        runtime.set(consumers: consumers)
        slots.begin()
        let id = ClusterID(namespace: "ns", name: "echo", port: 80)
        var configuration = EngineConfiguration()
        guard let cluster = slots.cluster(id),
            let endpoint = slots.endpoint(id, PluginRig.endpoint)
        else { return }
        configuration.clusters[cluster] = EngineCluster(
            name: id.description,
            endpoints: [endpoint]
        )
        slots.sweep()
        let rules = lists.indices.map { index in
            EngineRule(
                match: HTTPMatch(path: .prefix(index == 0 ? "" : "/\(index)")),
                action: EngineAction(
                    routeName: "ns/route/\(index)",
                    backends: [EngineBackend(cluster: cluster)],
                    chain: Int32(index)
                )
            )
        }
        configuration.entries[0] = EngineEntry(
            isEdge: true,
            hosts: [EngineHost(pattern: .any, listener: 0, rules: rules)],
            listener: 0,
            abuseChain: 0
        )
        configuration.listenerNames[0] = "ns/gateway/http"
        version += 1
        let chains = runtime.chains(for: lists, worker: 0, store: proxy.filterStore)
        proxy.install(RoutingView(version: version, configuration), chains: chains)
    }

    /// Sends a request on a connection of its own and returns the answer's text, or nothing when
    /// none came.
    func ask(_ text: String) -> String {
        String(decoding: ask(bytes: Array(text.utf8)), as: UTF8.self)
    }

    /// Sends a request's bytes on a connection of its own and returns those of the answer.
    func ask(bytes: [UInt8]) -> [UInt8] {
        let client = network.connect(to: PluginRig.entrance)
        var rest = bytes[...]
        var answer: [UInt8] = []
        for _ in 0..<200 {
            rest = rest.dropFirst(network.write(client, rest))
            loop.turn(waitingUpTo: loop.waitMilliseconds())
            stepBackend()
            guard let received = network.read(client) else { break }
            answer += received
            if isWhole(answer) { break }
        }
        network.close(client)
        for _ in 0..<5 { loop.turn(waitingUpTo: loop.waitMilliseconds()) }
        return answer
    }

    /// Begins an exchange whose answer goes on in pieces.
    func begin(_ text: String, answer: String) -> PluginStream {
        reply = Array(answer.utf8)
        let stream = PluginStream(self)
        stream.send(Array(text.utf8))
        return stream
    }

    /// Lets everything that is under way arrive.
    func settle() {
        for _ in 0..<40 {
            loop.turn(waitingUpTo: min(max(loop.waitMilliseconds(), 0), 1))
            stepBackend()
        }
    }

    /// A GET with header lines.
    func get(_ path: String, _ lines: [String] = []) -> String {
        ask((["GET \(path) HTTP/1.1", "Host: h"] + lines + ["", ""]).joined(separator: "\r\n"))
    }

    /// The status of a GET's answer.
    func status(_ path: String, _ lines: [String] = []) -> String {
        String(get(path, lines).dropFirst("HTTP/1.1 ".count).prefix(3))
    }

    private func isWhole(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        if text.hasSuffix("0\r\n\r\n") && text.contains("transfer-encoding: chunked") {
            return true
        }
        guard let end = text.firstRange(of: "\r\n\r\n"),
            let line = text.lowercased().split(separator: "\r\n").first(where: {
                $0.hasPrefix("content-length: ")
            }), let length = Int(line.dropFirst("content-length: ".count))
        else { return false }
        return text[end.upperBound...].utf8.count >= length
    }

    private func stepBackend() {
        while let (fd, _) = network.accept(backend) { backendConnections[fd] = [] }
        for (fd, bytes) in backendOutputs where !bytes.isEmpty {
            backendOutputs[fd] = Array(bytes.dropFirst(network.write(fd, bytes[...])))
        }
        for (fd, input) in backendConnections {
            guard let bytes = network.read(fd) else {
                network.close(fd)
                backendConnections[fd] = nil
                continue
            }
            let text = String(decoding: input + bytes, as: UTF8.self)
            guard text.hasSuffix("\r\n\r\n") else {
                backendConnections[fd] = input + bytes
                continue
            }
            backendConnections[fd] = []
            forwarded = text
            answered = fd
            if let reply {
                backendOutputs[fd] = Array(reply.dropFirst(network.write(fd, reply[...])))
                continue
            }
            let reply = "HTTP/1.1 200 OK\r\ncontent-length: \(text.utf8.count)\r\n\r\n\(text)"
            _ = network.write(fd, Array(reply.utf8)[...])
        }
    }
}

/// One client's connection to a rig, with what came on it so far.
final class PluginStream {
    private let rig: PluginRig
    private let client: Int32
    private var received: [UInt8] = []
    /// Whether the proxy has ended it.
    private(set) var hasEnded = false
    /// Whether the client reads what comes.
    var reads = true

    init(_ rig: PluginRig) {
        self.rig = rig
        client = rig.network.connect(to: PluginRig.entrance)
    }

    /// Sends bytes of the client.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        for _ in 0..<20 {
            rest = rest.dropFirst(rig.network.write(client, rest))
            turn()
            if rest.isEmpty { return }
        }
    }

    /// Sends more of the endpoint's answer.
    func answer(_ bytes: [UInt8]) {
        _ = rig.network.write(rig.answered, bytes[...])
        turn()
    }

    /// Sends more of the endpoint's answer.
    func answer(_ text: String) { answer(Array(text.utf8)) }

    /// Sends a chunk of the endpoint's answer.
    func answer(chunk bytes: [UInt8]) {
        answer(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10])
    }

    /// Lets time pass.
    func pass(seconds: UInt64) {
        rig.network.advance(nanoseconds: seconds * 1_000_000_000)
        turn()
    }

    private func turn() {
        rig.settle()
        while reads && !hasEnded {
            guard let bytes = rig.network.read(client) else {
                hasEnded = true
                return
            }
            guard !bytes.isEmpty else { return }
            received += bytes
            rig.settle()
        }
    }

    /// All that came.
    var text: String { String(decoding: received, as: UTF8.self) }
    /// The body so far, the chunks put together.
    var body: [UInt8] { CompressorTests.split(received).body }
}

/// Short ways to say what tests are about.
enum Sample {
    static let policy = ObjectKey(.filterPolicy, namespace: "ns", name: "policy")

    static func object(_ members: [String: JSONValue]) -> JSONValue {
        .object(members.sorted { $0.key < $1.key }.map { .init($0.key, $0.value) })
    }

    static func binding(
        _ name: String,
        _ members: [String: JSONValue] = [:],
        policy: ObjectKey = Sample.policy
    ) -> PluginBinding {
        PluginBinding(name: name, configuration: object(members), policy: policy)
    }

    static func keyAuth(_ keys: [(name: String, source: String)]) -> PluginBinding {
        binding(
            "keyAuth",
            [
                "keys": .array(
                    keys.map { object(["name": .string($0.name), "source": .string($0.source)]) }
                )
            ]
        )
    }

    static func consumer(
        _ name: String,
        key: String,
        namespace: String = "ns",
        filters: [PluginBinding] = []
    ) -> Consumer {
        let object = ObjectKey(.consumer, namespace: namespace, name: name)
        let credential = binding("keyAuth", ["key": .string(key)], policy: object)
        return Consumer(key: object, name: name, auth: [credential], filters: filters)
    }
}
