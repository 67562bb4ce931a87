import Addressing

/// How a port's bytes are understood.
package enum AppProtocol: Hashable, Sendable {
    /// HTTP/1.1 in cleartext.
    case http
    /// HTTP/2 in cleartext by prior knowledge.
    case http2
    /// Not declared to be HTTP: relayed as TCP, never held back.
    case tcp
}

/// One Service port: the unit that traffic is balanced over. Stable across snapshots.
package struct ClusterID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The Service's namespace.
    package let namespace: String
    /// The Service's name.
    package let name: String
    /// The Service's port number.
    package let port: UInt16
    /// The Secret whose certificate is shown to endpoints on behalf of a Gateway, as
    /// `namespace/name`; empty for none. Connections under one are never used under another.
    package let identity: String

    /// Makes an identifier of its parts.
    package init(namespace: String, name: String, port: UInt16, identity: String = "") {
        self.namespace = namespace
        self.name = name
        self.port = port
        self.identity = identity
    }

    /// The Service port, under whatever identity.
    package var plain: ClusterID { ClusterID(namespace: namespace, name: name, port: port) }

    /// The Service port under an identity.
    package func presenting(_ certificate: ObjectKey) -> ClusterID {
        ClusterID(namespace: namespace, name: name, port: port, identity: certificate.path)
    }

    /// `namespace/name:port`, and ` as namespace/secret` under an identity.
    package var description: String {
        "\(namespace)/\(name):\(port)" + (identity.isEmpty ? "" : " as \(identity)")
    }

    /// Orders by namespace, name, port, identity.
    package static func < (left: ClusterID, right: ClusterID) -> Bool {
        (left.namespace, left.name, left.port, left.identity)
            < (right.namespace, right.name, right.port, right.identity)
    }
}

/// How an endpoint is chosen.
package enum BalancingAlgorithm: String, Hashable, Sendable, CaseIterable {
    /// In turn, endpoints by weight.
    case roundRobin
    /// The one with fewer requests under way of two picked at random.
    case leastRequest
    /// The one with the lower product of recent latency and load of two picked at random.
    case peakEWMA
    /// By a hash of the request on a ring of points (ketama).
    case ringHash
    /// By a hash of the request in a permutation table (Maglev, NSDI 2016).
    case maglev
    case random
}

/// An address that serves a cluster, with its EndpointSlice conditions (KEP-1672).
package struct Endpoint: Hashable, Sendable {
    /// Address and target port.
    package var address: SocketAddress
    /// Takes new connections: ready, and not terminating.
    package var isReady: Bool
    /// Can still serve, terminating or not.
    package var isServing: Bool
    /// Its pod is being deleted.
    package var isTerminating: Bool
    /// The node it runs on, if known.
    package var nodeName: String
    /// Its zone, if known.
    package var zone: String
    /// Its pod's UID, if it is a pod.
    package var podUID: String
    /// The zones that it is to serve by its EndpointSlice's hints (KEP-2433); empty without.
    package var hintZones: [String]

    /// Makes an endpoint; by default ready and of unknown place.
    package init(
        address: SocketAddress,
        isReady: Bool = true,
        isServing: Bool = true,
        isTerminating: Bool = false,
        nodeName: String = "",
        zone: String = "",
        podUID: String = "",
        hintZones: [String] = []
    ) {
        self.address = address
        self.isReady = isReady
        self.isServing = isServing
        self.isTerminating = isTerminating
        self.nodeName = nodeName
        self.zone = zone
        self.podUID = podUID
        self.hintZones = hintZones
    }
}

/// A Service port with its endpoints: ready ones, or, where none is ready, serving ones that
/// terminate (KEP-1669); what takes new connections is `usableEndpoints`.
package struct Cluster: Equatable, Sendable {
    /// The stable name.
    package let id: ClusterID
    /// What the port speaks.
    package var appProtocol: AppProtocol
    /// What its policies set.
    package var settings: BackendSettings
    /// All endpoints, sorted by address, without duplicates.
    package var endpoints: [Endpoint]
    /// Whether the endpoints are the addresses of one DNS name.
    package var isNamed: Bool

    /// Makes a cluster.
    package init(
        id: ClusterID,
        appProtocol: AppProtocol = .http,
        settings: BackendSettings = BackendSettings(),
        endpoints: [Endpoint] = [],
        isNamed: Bool = false
    ) {
        self.id = id
        self.appProtocol = appProtocol
        self.settings = settings
        self.endpoints = endpoints
        self.isNamed = isNamed
    }

    /// The same under another name.
    package func identified(as id: ClusterID) -> Cluster {
        Cluster(
            id: id,
            appProtocol: appProtocol,
            settings: settings,
            endpoints: endpoints,
            isNamed: isNamed
        )
    }

    /// The endpoints that may be chosen now.
    package var usableEndpoints: [Endpoint] {
        let ready = endpoints.filter(\.isReady)
        return ready.isEmpty ? endpoints.filter { $0.isServing && $0.isTerminating } : ready
    }
}

/// A Service, as the mesh's outbound side needs it.
package struct Service: Equatable, Sendable {
    /// One port of a Service.
    package struct Port: Equatable, Sendable {
        /// The port number.
        package var number: UInt16
        /// The port's name, may be empty.
        package var name: String
        /// The cluster of this port.
        package var cluster: ClusterID
        /// What the port speaks: appProtocol, then port name, else TCP.
        package var appProtocol: AppProtocol
        /// HTTPRoutes whose parent is this Service (port), in no order.
        package var routes: [ObjectKey]

        /// Makes a port.
        package init(
            number: UInt16,
            name: String,
            cluster: ClusterID,
            appProtocol: AppProtocol,
            routes: [ObjectKey] = []
        ) {
            self.number = number
            self.name = name
            self.cluster = cluster
            self.appProtocol = appProtocol
            self.routes = routes
        }
    }

    /// The object.
    package let key: ObjectKey
    /// ClusterIPs of both families; empty for headless and ExternalName Services.
    package var clusterIPs: [IPAddress]
    /// The TCP ports.
    package var ports: [Port]

    /// Makes a Service.
    package init(key: ObjectKey, clusterIPs: [IPAddress], ports: [Port]) {
        self.key = key
        self.clusterIPs = clusterIPs
        self.ports = ports
    }
}
