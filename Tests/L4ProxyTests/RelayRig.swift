import Addressing
import DataPlane
import L4Proxy
import MeshModel

/// One worker's relay between clients and endpoints whose bytes the test itself reads and writes, on
/// a simulated network.
final class RelayRig {
    static let entrance = SocketAddress(.loopbackIPv4, 70)
    /// Where the test's endpoints listen.
    static let endpoints = [
        SocketAddress(.loopbackIPv4, 9_000), SocketAddress(.loopbackIPv4, 9_001),
        SocketAddress(.loopbackIPv4, 9_002),
    ]

    let network = SimulatedNetwork(seed: 1)
    let loop: EventLoop
    let relay: TCPRelay
    private let acceptor: Acceptor
    private let sink: Sink
    private var listeners: [Int32] = []
    /// Connections to each endpoint, oldest first.
    private(set) var upstreams: [[Int32]] = [[], [], []]
    private var waiting: [Int32: [UInt8]] = [:]
    private var received: [Int32: [UInt8]] = [:]
    /// Peers that are not read for now.
    var unread: Set<Int32> = []
    /// Peers whose other side has ended its direction.
    private(set) var ended: Set<Int32> = []

    private final class Sink: ConnectionSink {
        let relay: TCPRelay

        init(relay: TCPRelay) { self.relay = relay }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            relay.adopt(fd, peer: peer, route: 1, destination: RelayRig.entrance)
        }
    }

    /// A loop and its handlers hold each other.
    deinit { loop.dispose() }

    /// - Parameter listens: which of the endpoints are there.
    init(
        _ shares: [RelayShare],
        limits: RelayLimits = RelayLimits(),
        listens: [Int] = [0, 1, 2],
        proxyProtocol: ProxyProtocolSettings = ProxyProtocolSettings()
    ) throws {
        loop = try EventLoop(network: Network(simulation: network))
        relay = TCPRelay(loop: loop, limits: limits, gate: nil)
        relay.set(
            1,
            RelayRoute(destination: .endpoints(shares), proxyProtocol: proxyProtocol)
        )
        acceptor = Acceptor(loop: loop)
        sink = Sink(relay: relay)
        for (index, address) in RelayRig.endpoints.enumerated() {
            listeners.append(listens.contains(index) ? network.listen(on: address) : -1)
        }
        _ = try acceptor.add(
            .init(owning: network.listen(on: RelayRig.entrance)),
            port: 0,
            isShared: false,
            sink: sink
        )
    }

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

    /// Opens a client's connection.
    func connect() -> Int32 {
        let fd = network.connect(to: RelayRig.entrance)
        received[fd] = []
        settle()
        return fd
    }

    /// Sends from a test's peer; what does not fit now goes on as there is room.
    func send(_ fd: Int32, _ bytes: [UInt8], turns: Int = 40) {
        waiting[fd, default: []] += bytes
        settle(turns)
    }

    /// Sends text from a test's peer.
    func send(_ fd: Int32, _ text: String) { send(fd, Array(text.utf8)) }

    /// Ends a test's peer's own direction.
    func end(_ fd: Int32) {
        network.endSending(fd)
        settle()
    }

    /// Bytes of a test's peer that did not fit yet.
    func waitingByteCount(_ fd: Int32) -> Int { waiting[fd]?.count ?? 0 }

    /// How much a test's peer has received.
    func byteCount(_ fd: Int32) -> Int { received[fd]?.count ?? 0 }

    /// What a test's peer has received, as bytes.
    func bytes(_ fd: Int32) -> [UInt8] { received[fd] ?? [] }

    /// What a test's peer has received.
    func text(_ fd: Int32) -> String { String(decoding: received[fd] ?? [], as: UTF8.self) }
}
