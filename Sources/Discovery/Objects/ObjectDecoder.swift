import Addressing
import MeshModel

/// Makes objects of documents. Kinds of the core API are read for the fields used; kinds of the
/// Gateway API, of HTNN and of Martlet are read strictly: an unknown key or a field of a feature
/// that is not here is a fault, never ignored.
package enum ObjectDecoder {
    /// What a document is.
    package enum Outcome: Sendable {
        case object(KubernetesObject)
        /// A `List`: its items.
        case list([DocumentNode])
        /// A kind that Martlet does not read.
        case other(kind: String)
        /// The object is refused. The key is there where kind and name could be read, the content
        /// as far as it could be.
        case refused(ObjectKey?, ObjectMeta, KubernetesObject.Content?, [DocumentFault])
    }

    private static let kinds: [String: ObjectKind] = [
        "v1/Namespace": .namespace, "v1/Node": .node, "v1/Service": .service,
        "v1/Endpoints": .endpoints, "v1/Pod": .pod, "v1/Secret": .secret,
        "v1/ConfigMap": .configMap,
        "discovery.k8s.io/v1/EndpointSlice": .endpointSlice,
        "gateway.networking.k8s.io/v1/GatewayClass": .gatewayClass,
        "gateway.networking.k8s.io/v1/Gateway": .gateway,
        "gateway.networking.k8s.io/v1/HTTPRoute": .httpRoute,
        "gateway.networking.k8s.io/v1/GRPCRoute": .grpcRoute,
        "gateway.networking.k8s.io/v1/ReferenceGrant": .referenceGrant,
        "gateway.networking.k8s.io/v1/TCPRoute": .tcpRoute,
        "gateway.networking.k8s.io/v1beta1/GatewayClass": .gatewayClass,
        "gateway.networking.k8s.io/v1beta1/Gateway": .gateway,
        "gateway.networking.k8s.io/v1beta1/HTTPRoute": .httpRoute,
        "gateway.networking.k8s.io/v1beta1/ReferenceGrant": .referenceGrant,
        "gateway.networking.k8s.io/v1alpha2/TCPRoute": .tcpRoute,
        "htnn.mosn.io/v1/FilterPolicy": .filterPolicy,
        "htnn.mosn.io/v1/Consumer": .consumer,
        "gateway.networking.k8s.io/v1/BackendTLSPolicy": .backendTLSPolicy,
        "gateway.networking.k8s.io/v1alpha3/BackendTLSPolicy": .backendTLSPolicy,
        "martlet.mesh/v1alpha1/SourcePolicy": .sourcePolicy,
        "martlet.mesh/v1alpha1/ListenerPolicy": .listenerPolicy,
        "martlet.mesh/v1alpha1/BackendPolicy": .backendPolicy,
    ]

    /// Decodes one document.
    ///
    /// - Parameter faults: where faults go, and the keys asked for if it notes them.
    package static func decode(
        _ document: DocumentNode,
        _ faults: FieldReader.Faults = FieldReader.Faults()
    ) -> Outcome {
        var reader = FieldReader(document, path: "", faults)
        let version = reader.requiredString("apiVersion")
        let kindName = reader.requiredString("kind")
        guard faults.found.isEmpty else { return .refused(nil, ObjectMeta(), nil, faults.found) }
        if version == "v1" && kindName == "List" { return .list(reader.list("items")) }
        guard let kind = kinds["\(version)/\(kindName)"] else {
            return .other(kind: "\(version)/\(kindName)")
        }
        var metadata = reader.reader("metadata")
        let meta = ObjectMeta(&metadata, isClusterScoped: kind.isClusterScoped)
        guard !meta.name.isEmpty else { return .refused(nil, meta, nil, faults.found) }
        let key = ObjectKey(kind, namespace: meta.namespace, name: meta.name)
        if kind == .gateway { refuseControllerAnnotations(meta, metadata) }
        let content = content(kind, key, &reader)
        guard faults.found.isEmpty, let content else {
            return .refused(key, meta, content, faults.found)
        }
        return .object(KubernetesObject(key: key, meta: meta, content: content))
    }

    /// Annotations that ask something of the controller, which makes the Services of Gateways.
    private static func refuseControllerAnnotations(_ meta: ObjectMeta, _ reader: FieldReader) {
        for name in ["martlet.mesh/service-type", "martlet.mesh/node-ports"]
        where meta.annotations[name] != nil {
            reader.refuse("annotations", "\(name) asks for a Service, which no controller makes")
        }
    }

    private static func content(
        _ kind: ObjectKind,
        _ key: ObjectKey,
        _ reader: inout FieldReader
    ) -> KubernetesObject.Content? {
        reader.ignore("status")
        switch kind {
        case .namespace: return .namespace
        case .node: return CoreDecoder.node(&reader)
        case .service: return CoreDecoder.service(&reader)
        case .endpointSlice: return CoreDecoder.endpointSlice(&reader)
        case .endpoints: return CoreDecoder.endpoints(key, &reader)
        case .pod: return CoreDecoder.pod(&reader)
        case .secret: return CoreDecoder.secret(&reader)
        case .configMap: return CoreDecoder.configMap(&reader)
        case .gatewayClass, .gateway, .httpRoute, .grpcRoute, .tcpRoute, .referenceGrant:
            var spec = reader.reader("spec")
            reader.refuseUnknown()
            return GatewayDecoder.content(kind, &spec)
        case .filterPolicy, .consumer, .sourcePolicy:
            var spec = reader.reader("spec")
            reader.refuseUnknown()
            return PolicyDecoder.content(key, &spec)
        case .listenerPolicy, .backendPolicy, .backendTLSPolicy:
            return SettingsDecoder.content(key, &reader)
        }
    }
}

extension FieldReader {
    /// Reads an IP address of a list item.
    static func address(_ text: String, _ name: String, _ line: Int, _ faults: Faults) -> IPAddress?
    {
        if let address = IPAddress(text) { return address }
        faults.add(line, "\(name): expected an IP address, found \"\(text)\"")
        return nil
    }
}
