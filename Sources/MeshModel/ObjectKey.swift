/// The kinds of Kubernetes objects that Martlet reads.
package enum ObjectKind: String, Hashable, Sendable, CaseIterable {
    case namespace = "Namespace"
    case node = "Node"
    case service = "Service"
    case endpointSlice = "EndpointSlice"
    case endpoints = "Endpoints"
    case pod = "Pod"
    case secret = "Secret"
    case configMap = "ConfigMap"
    case gateway = "Gateway"
    case gatewayClass = "GatewayClass"
    case httpRoute = "HTTPRoute"
    case grpcRoute = "GRPCRoute"
    case tcpRoute = "TCPRoute"
    case referenceGrant = "ReferenceGrant"
    case filterPolicy = "FilterPolicy"
    case consumer = "Consumer"
    case sourcePolicy = "SourcePolicy"
    case listenerPolicy = "ListenerPolicy"
    case backendPolicy = "BackendPolicy"
    case backendTLSPolicy = "BackendTLSPolicy"

    /// Whether objects of the kind live in no namespace.
    package var isClusterScoped: Bool {
        switch self {
        case .namespace, .node, .gatewayClass, .sourcePolicy: true
        case .service, .endpointSlice, .endpoints, .pod, .secret, .configMap, .gateway, .httpRoute,
            .grpcRoute, .tcpRoute, .referenceGrant, .filterPolicy, .consumer, .listenerPolicy,
            .backendPolicy,
            .backendTLSPolicy:
            false
        }
    }
}

/// Names one Kubernetes object.
package struct ObjectKey: Hashable, Sendable {
    /// The kind.
    package let kind: ObjectKind
    /// The namespace; empty for cluster-scoped kinds.
    package let namespace: String
    /// The name.
    package let name: String

    /// Makes a key of its parts.
    package init(_ kind: ObjectKind, namespace: String = "", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`, or the name alone for cluster-scoped kinds.
    package var path: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

extension ObjectKey: Comparable, CustomStringConvertible {
    /// Orders by kind, namespace, name.
    package static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        (left.kind.rawValue, left.namespace, left.name)
            < (right.kind.rawValue, right.namespace, right.name)
    }

    /// `Kind namespace/name`.
    package var description: String { "\(kind.rawValue) \(path)" }
}

/// Which version of an object was seen.
package struct ObjectVersion: Hashable, Sendable {
    /// The object's UID; empty in manifest mode where none is given.
    package var uid: String
    /// The opaque resource version; a content hash in manifest mode.
    package var resourceVersion: String
    /// `metadata.generation`; counted by the source in manifest mode.
    package var generation: Int64

    /// Makes a version of its parts.
    package init(uid: String, resourceVersion: String, generation: Int64) {
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.generation = generation
    }
}
