import MeshModel

/// What a policy is attached to (GEP-713): an object of its own namespace, or a section of it.
struct PolicyTarget: Hashable, Sendable {
    /// Targets one policy may have (GEP-2648).
    static let countMax = 16

    /// The object.
    var key: ObjectKey
    /// A listener of a Gateway, the name of a port of a Service; `nil` for the whole.
    var section: String?

    /// How conditions name it.
    var subject: String {
        let whole = "ancestor \(key.kind.rawValue) \(key.path)"
        return section.map { "\(whole)/\($0)" } ?? whole
    }

    /// Reads `targetRefs`, all of one kind.
    static func targets(
        of kind: ObjectKind,
        _ policy: ObjectKey,
        _ spec: inout FieldReader
    ) -> [PolicyTarget] {
        var found: [PolicyTarget] = []
        for reader in spec.readers("targetRefs") {
            var reader = reader
            defer { reader.refuseUnknown() }
            let group = reader.string("group") ?? kind.group
            let name = reader.string("kind") ?? kind.rawValue
            let target = PolicyTarget(
                key: ObjectKey(
                    kind,
                    namespace: policy.namespace,
                    name: reader.requiredString("name")
                ),
                section: reader.string("sectionName")
            )
            guard group == kind.group, name == kind.rawValue else {
                let wanted = kind.group.isEmpty ? kind.rawValue : "\(kind.group) \(kind.rawValue)"
                reader.refuse("kind", "expected a \(wanted), found \(group) \(name)")
                continue
            }
            if found.contains(target) {
                reader.refuse("name", "expected each target once, found \(target.subject) twice")
            }
            found.append(target)
        }
        if found.isEmpty { spec.refuse("targetRefs", "expected a target, found nothing") }
        if found.count > countMax {
            spec.refuse("targetRefs", "expected at most \(countMax), found \(found.count)")
        }
        return found
    }
}

extension ObjectKind {
    /// The API group; empty for the core group.
    var group: String {
        switch self {
        case .namespace, .node, .service, .endpoints, .pod, .secret, .configMap: ""
        case .endpointSlice: "discovery.k8s.io"
        case .gateway, .gatewayClass, .httpRoute, .grpcRoute, .tcpRoute, .referenceGrant,
            .backendTLSPolicy:
            "gateway.networking.k8s.io"
        case .filterPolicy, .consumer: "htnn.mosn.io"
        case .sourcePolicy, .listenerPolicy, .backendPolicy: "martlet.mesh"
        }
    }
}
