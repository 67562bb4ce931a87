import Addressing
import LinuxSystem

/// What becomes of the connections of one listening socket.
package enum PortTarget: Sendable {
    /// HTTP, routed by an entry point.
    case http(PortConfiguration)
    /// Bytes, handed to the relay with its own number for the port.
    case relay(Int32)
    /// Redirected connections of a pod: where they go is asked of each.
    case capture(Int32)
}

/// What a worker knows of one listening socket.
package struct PortBinding: Sendable {
    /// Where its connections go.
    package var target: PortTarget
    /// The address it is bound to.
    package var local: SocketAddress
    /// The listener's slot, for blocks; -1 for captured ports.
    package var listener: Int32

    /// Makes a binding.
    package init(target: PortTarget, local: SocketAddress, listener: Int32 = -1) {
        self.target = target
        self.local = local
        self.listener = listener
    }
}

/// What is decided about a connection before its first byte.
package enum AdmissionDecision: Sendable {
    case admit
    /// Its source is blocked.
    case refuse
    /// Its source is blocked in dry run: counted, let in.
    case countAndAdmit
}

/// One worker: its loop and everything that lives on it.
package final class Worker: ConnectionSink {
    /// The worker's number, from 0.
    package let number: Int
    /// Its loop.
    package let loop: EventLoop
    /// Its listening sockets.
    package let acceptor: Acceptor
    /// Its HTTP proxy.
    package let proxy: HTTPProxy
    /// Takes connections whose target is the relay: descriptor, peer, binding, relay number.
    package var relay: ((Int32, SocketAddress, PortBinding, Int32) -> Void)?
    /// Takes captured connections: descriptor, peer, capture number.
    package var capture: ((Int32, SocketAddress, Int32) -> Void)?
    /// User-space enforcement of blocks, where the packet layer does not run: source, listener.
    package var admission: ((IPAddress, Int32, SocketAddress) -> AdmissionDecision)?
    private var ports: [Int32: PortBinding] = [:]

    /// Makes a worker.
    package init(
        number: Int,
        network: Network = .kernel,
        limits: EngineLimits,
        seed: UInt64,
        log: LogRing?,
        logFormat: LogFormat? = nil,
        tracing: TraceConfiguration? = nil
    ) throws(Errno) {
        self.number = number
        loop = try EventLoop(network: network)
        acceptor = Acceptor(loop: loop, listenerMax: limits.listenerMax)
        proxy = HTTPProxy(
            loop: loop,
            limits: limits,
            seed: seed,
            log: log,
            logFormat: logFormat,
            tracing: tracing
        )
    }

    /// Says what a port number stands for; `nil` forgets it.
    package func bind(port: Int32, _ binding: PortBinding?) { ports[port] = binding }

    /// Takes an accepted connection to where its port leads.
    package func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
        guard let binding = ports[port] else {
            loop.network.close(fd)
            return
        }
        if let admission {
            switch admission(peer.ip, binding.listener, binding.local) {
            case .admit: break
            case .countAndAdmit: proxy.counters.count(.dryRunBlockedConnections)
            case .refuse:
                proxy.counters.count(.blockedConnections)
                loop.network.resetOnClose(fd)
                loop.network.close(fd)
                return
            }
        }
        switch binding.target {
        case .http(let configuration):
            let local =
                binding.local.ip.isUnspecified ? loop.network.localAddress(fd) : binding.local
            proxy.adopt(fd, peer: peer, local: local, configuration)
        case .relay(let number):
            guard let relay else {
                loop.network.close(fd)
                return
            }
            relay(fd, peer, binding, number)
        case .capture(let number):
            guard let capture else {
                loop.network.close(fd)
                return
            }
            capture(fd, peer, number)
        }
    }
}
