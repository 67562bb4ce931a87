import Addressing
import DataPlane
import L4Proxy
import LinuxSystem

/// Where a captured connection to some address goes.
package enum CapturedDestination: Sendable {
    /// HTTP, by an entry point.
    case http(entry: Int32)
    /// One of some endpoints; an empty list refuses.
    case endpoints([SocketAddress])
}

/// One pod as its workers know it.
package struct CapturedPod: Sendable {
    /// The pod's namespace, a descriptor that stays open.
    package var namespace: Int32
    /// The relay's number for the pod's outbound connections.
    package var outboundRoute: Int32
    /// The relay's number for the pod's inbound connections.
    package var inboundRoute: Int32
}

/// One worker's way from a redirected socket to where it was going.
package final class CaptureDispatcher {
    private let worker: Worker
    private let relay: TCPRelay
    private var destinations: [SocketAddress: CapturedDestination] = [:]
    private var outbound: [Int32: CapturedPod] = [:]
    private var inbound: [Int32: CapturedPod] = [:]
    private var turn = 0
    /// Outbound connections taken.
    package private(set) var outboundCount: UInt64 = 0
    /// Inbound connections taken.
    package private(set) var inboundCount: UInt64 = 0
    /// Connections refused: not redirected, or to the agent itself.
    package private(set) var refusedCount: UInt64 = 0

    /// Makes a dispatcher and has the worker's captured connections come to it.
    package init(worker: Worker, relay: TCPRelay) {
        self.worker = worker
        self.relay = relay
        worker.capture = { [unowned self] fd, peer, number in accept(fd, peer, number) }
    }

    /// Puts new destinations in force for connections from now on.
    package func set(destinations: [SocketAddress: CapturedDestination]) {
        self.destinations = destinations
    }

    /// Makes a pod's two listening numbers known; `nil` forgets them.
    package func set(_ pod: CapturedPod?, outboundNumber: Int32, inboundNumber: Int32) {
        outbound[outboundNumber] = pod
        inbound[inboundNumber] = pod
    }

    private func accept(_ fd: Int32, _ peer: SocketAddress, _ number: Int32) {
        let isIPv4 = peer.ip.isIPv4
        guard let destination = Socket.originalDestination(of: fd, isIPv4: isIPv4),
            destination.port != CaptureConstants.outboundPort,
            destination.port != CaptureConstants.inboundPort
        else {
            refuse(fd)
            return
        }
        if let pod = outbound[number] {
            outboundCount &+= 1
            acceptOutbound(fd, peer, destination, pod)
        } else if let pod = inbound[number] {
            inboundCount &+= 1
            relay.adopt(fd, peer: peer, route: pod.inboundRoute, destination: destination)
        } else {
            refuse(fd)
        }
    }

    private func acceptOutbound(
        _ fd: Int32,
        _ peer: SocketAddress,
        _ destination: SocketAddress,
        _ pod: CapturedPod
    ) {
        switch destinations[destination] {
        case .http(let entry):
            let configuration = PortConfiguration(entry: entry, origin: pod.namespace)
            worker.proxy.adopt(fd, peer: peer, local: destination, configuration)
        case .endpoints(let endpoints):
            guard !endpoints.isEmpty else {
                refuse(fd)
                return
            }
            turn &+= 1
            relay.adopt(
                fd,
                peer: peer,
                route: pod.outboundRoute,
                destination: destination,
                override: endpoints[turn % endpoints.count]
            )
        case nil:
            relay.adopt(fd, peer: peer, route: pod.outboundRoute, destination: destination)
        }
    }

    private func refuse(_ fd: Int32) {
        refusedCount &+= 1
        worker.loop.network.resetOnClose(fd)
        worker.loop.network.close(fd)
    }
}
