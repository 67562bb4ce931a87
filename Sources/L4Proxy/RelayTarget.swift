import Addressing
import DataPlane
import MeshModel

/// Where a relayed connection goes.
package enum RelayDestination: Sendable {
    /// One of some endpoints, by weight; the list may be empty.
    case endpoints([RelayShare])
    /// The address that was dialled, from the address of the client: captured traffic on its way to
    /// the pod's own process.
    case originalKeepingSource
    /// The address that was dialled: captured traffic to what is no Service.
    case original
}

/// A cluster's share of the connections of a TCP listener.
package struct RelayShare: Sendable {
    /// The share's weight, at least 1.
    package var weight: UInt32
    /// Its endpoints; empty refuses the share's connections.
    package var endpoints: [SocketAddress]
    /// Of the header of the PROXY protocol that they get first; 0 for none.
    package var proxyProtocolVersion: UInt8

    /// Makes a share.
    package init(weight: UInt32, endpoints: [SocketAddress], proxyProtocolVersion: UInt8 = 0) {
        self.weight = weight
        self.endpoints = endpoints
        self.proxyProtocolVersion = proxyProtocolVersion
    }
}

/// What stands behind a relay number.
package struct RelayRoute: Sendable {
    /// Where connections go.
    package var destination: RelayDestination
    /// The network namespace to connect from, a descriptor that stays open while routes name it;
    /// -1 for the node's own.
    package var namespace: Int32
    /// The packet mark of the upstream socket.
    package var mark: UInt32
    /// Whether connections begin by a header of the PROXY protocol.
    package var proxyProtocol: ProxyProtocolSettings

    /// Makes a route from the node's own namespace.
    package init(
        destination: RelayDestination,
        namespace: Int32 = -1,
        mark: UInt32 = 0,
        proxyProtocol: ProxyProtocolSettings = ProxyProtocolSettings()
    ) {
        self.proxyProtocol = proxyProtocol
        self.destination = destination
        self.namespace = namespace
        self.mark = mark
    }
}

/// The relay's bounds.
package struct RelayLimits: Sendable {
    /// Connection pairs of one worker.
    package var pairMax = 16_384
    /// Blocks of 32 KiB for bytes the slower side has not taken.
    package var bufferBlockMax = 8_192
    /// Time allowed for TCP to the endpoint.
    package var connectTimeout = Duration.seconds(5)
    /// From accepting to the end of the header of the PROXY protocol, where one is required.
    package var proxyHeaderTimeout = Duration.seconds(5)
    /// Without a byte either way, a pair is closed after this.
    package var idleTimeout = Duration.seconds(3_600)
    /// Endpoints tried for one connection.
    package var triesMax: UInt8 = 3

    /// Makes the default limits.
    package init() {}
}

/// What one worker's relay counted.
package struct RelayCounters: Sendable, BitwiseCopyable {
    /// Connections taken.
    package var connections: UInt64 = 0
    /// Bytes from clients to endpoints.
    package var bytesUp: UInt64 = 0
    /// Bytes from endpoints to clients.
    package var bytesDown: UInt64 = 0
    /// Connections closed because no endpoint could be reached.
    package var connectFailures: UInt64 = 0
    /// Connections refused by `pairMax`.
    package var pairLimitHits: UInt64 = 0
    /// Connections closed for want of a block.
    package var bufferLimitHits: UInt64 = 0
    /// Tries ended by `connectTimeout`.
    package var connectTimeouts: UInt64 = 0
    /// Pairs closed by `idleTimeout`.
    package var idleTimeouts: UInt64 = 0
    /// Connections ended by `triesMax`.
    package var triesLimitHits: UInt64 = 0

    /// Makes counters of zero.
    package init() {}

    /// Adds another worker's counts.
    package mutating func add(_ other: RelayCounters) {
        connections &+= other.connections
        bytesUp &+= other.bytesUp
        bytesDown &+= other.bytesDown
        connectFailures &+= other.connectFailures
        pairLimitHits &+= other.pairLimitHits
        bufferLimitHits &+= other.bufferLimitHits
        connectTimeouts &+= other.connectTimeouts
        idleTimeouts &+= other.idleTimeouts
        triesLimitHits &+= other.triesLimitHits
    }
}
