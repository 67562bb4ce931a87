import Addressing
import MeshModel

/// An object with the fields Martlet uses.
package struct KubernetesObject: Equatable, Sendable {
    /// What it is.
    package var key: ObjectKey
    /// Its metadata.
    package var meta: ObjectMeta
    /// Its content.
    package var content: Content

    /// The kinds' contents.
    package enum Content: Equatable, Sendable {
        case namespace
        case node(addresses: [IPAddress])
        case service(ServiceContent)
        case endpointSlice(EndpointSliceContent)
        case endpoints([EndpointSliceContent])
        case pod(PodContent)
        case secret(type: String, values: [String: [UInt8]])
        case gateway(GatewayContent)
        case gatewayClass(controllerName: String)
        case httpRoute(HTTPRouteContent)
        /// As the HTTPRoute that it stands for.
        case grpcRoute(HTTPRouteContent)
        case tcpRoute(TCPRouteContent)
        case referenceGrant(ReferenceGrantContent)
        case filterPolicy(FilterPolicyContent)
        case consumer(ConsumerContent)
        case sourcePolicy(SourcePolicy)
        /// Values of the keys that are read of a ConfigMap.
        case configMap([String: [UInt8]])
        case listenerPolicy(SettingsPolicyContent)
        case backendPolicy(SettingsPolicyContent)
        case backendTLSPolicy(BackendTLSPolicyContent)
    }
}

extension KubernetesObject.Content {
    /// The HTTPRoute that it is or stands for.
    var httpRoute: HTTPRouteContent? {
        switch self {
        case .httpRoute(let content), .grpcRoute(let content): content
        default: nil
        }
    }
}

/// A Service.
package struct ServiceContent: Equatable, Sendable {
    /// One port.
    package struct Port: Equatable, Sendable {
        var number: UInt16
        var name: String
        var appProtocol: String
        var isTCP: Bool
    }

    var clusterIPs: [IPAddress] = []
    var type = "ClusterIP"
    var ports: [Port] = []
    var publishesNotReady = false
    /// Of type ExternalName: the DNS name that stands for its endpoints, lower case; else empty.
    var externalName = ""
}

/// An EndpointSlice, or one subset of Endpoints.
package struct EndpointSliceContent: Equatable, Sendable {
    /// One endpoint, possibly of several addresses.
    package struct Endpoint: Equatable, Sendable {
        var addresses: [IPAddress]
        var isReady: Bool
        var isServing: Bool
        var isTerminating: Bool
        var nodeName: String
        var zone: String
        var podUID: String
        var hintZones: [String] = []
    }

    /// One port.
    package struct Port: Equatable, Sendable {
        var name: String
        var number: UInt16?
    }

    var serviceName = ""
    var endpoints: [Endpoint] = []
    var ports: [Port] = []
}

/// A Pod.
package struct PodContent: Equatable, Sendable {
    var nodeName = ""
    var serviceAccount = "default"
    var isHostNetwork = false
    var addresses: [IPAddress] = []
    var httpPorts: [UInt16] = []
    var isEnded = false
}

/// A Gateway.
package struct GatewayContent: Equatable, Sendable {
    /// One listener.
    package struct Listener: Equatable, Sendable {
        var name: String
        var port: UInt16
        var listenerProtocol: ListenerProtocol?
        var protocolName: String
        var hostname: String
        var certificates: [ObjectReference]
        var allowedNamespaces: AllowedNamespaces
        var allowedKinds: [String]
    }

    /// From which namespaces routes may attach.
    package enum AllowedNamespaces: Equatable, Sendable {
        case same
        case all
        case selector([String: String])
    }

    /// How clients' certificates are verified (`spec.tls.frontend`, GEP-91).
    package struct ClientValidation: Equatable, Sendable {
        var authorities: [ObjectReference]
        var allowsInsecureFallback: Bool
    }

    var className = ""
    var listeners: [Listener] = []
    /// For listeners of ports that `clientValidationByPort` does not name.
    var clientValidation: ClientValidation?
    /// `nil` values turn validation off for the port.
    var clientValidationByPort: [UInt16: ClientValidation?] = [:]
    /// The Secret with what is shown to endpoints (`spec.tls.backend.clientCertificateRef`).
    var endpointCertificate: ObjectReference?
    var addresses: [IPAddress] = []
}

/// A reference to another object.
package struct ObjectReference: Hashable, Sendable {
    var group: String
    var kind: String
    var name: String
    var namespace: String?
    var port: UInt16?
    var sectionName: String?
}

/// An HTTPRoute.
package struct HTTPRouteContent: Equatable, Sendable {
    /// One rule.
    package struct Rule: Equatable, Sendable {
        var matches: [HTTPMatch]
        var requestHeaders: HeaderModifier
        var responseHeaders: HeaderModifier
        var backends: [Backend]
        var requestTimeout: Duration?
        var backendRequestTimeout: Duration?
        var retries: RetrySettings?
        var mirrors: [Mirror] = []
        var change: RouteChange?
        var crossOrigin: CrossOriginPolicy?
        var persistence: SessionAffinity?
    }

    /// One `RequestMirror` filter.
    package struct Mirror: Equatable, Sendable {
        var reference: ObjectReference
        var numerator: UInt32
        var denominator: UInt32
    }

    /// One backend reference.
    package struct Backend: Equatable, Sendable {
        var reference: ObjectReference
        var weight: Int
        var requestHeaders: HeaderModifier
        var responseHeaders: HeaderModifier
        var change: RouteChange?
    }

    var parents: [ObjectReference] = []
    var hostnames: [String] = []
    var rules: [Rule] = []
}

/// A TCPRoute.
package struct TCPRouteContent: Equatable, Sendable {
    var parents: [ObjectReference] = []
    var backends: [HTTPRouteContent.Backend] = []
}

/// A ReferenceGrant.
package struct ReferenceGrantContent: Equatable, Sendable {
    /// Who may refer.
    package struct From: Hashable, Sendable {
        var group: String
        var kind: String
        var namespace: String
    }

    /// To what.
    package struct To: Hashable, Sendable {
        var group: String
        var kind: String
        var name: String?
    }

    var from: [From] = []
    var to: [To] = []
}

/// A FilterPolicy (`htnn.mosn.io/v1`).
package struct FilterPolicyContent: Equatable, Sendable {
    var target: ObjectReference?
    var filters: [PluginBinding] = []
    var subPolicies: [(sectionName: String, filters: [PluginBinding])] = []

    /// Compares targets and filters.
    package static func == (left: FilterPolicyContent, right: FilterPolicyContent) -> Bool {
        left.target == right.target && left.filters == right.filters
            && left.subPolicies.elementsEqual(right.subPolicies) {
                $0.sectionName == $1.sectionName && $0.filters == $1.filters
            }
    }
}

/// A Consumer (`htnn.mosn.io/v1`).
package struct ConsumerContent: Equatable, Sendable {
    var name = ""
    var auth: [PluginBinding] = []
    var filters: [PluginBinding] = []
}
