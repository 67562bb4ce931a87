import MeshModel

/// How the API server serves one kind.
package struct APIResource: Equatable, Sendable {
    /// The kind.
    package let kind: ObjectKind
    /// The API group; empty for the core group.
    package let group: String
    /// The version that is read.
    package let version: String
    /// Versions read the same way, asked for in this order where `version` is not served.
    package let olderVersions: [String]
    /// The resource's plural name in paths and rules.
    package let plural: String
    /// Whether only objects of this node are wanted, by field selector `spec.nodeName`.
    package let isOwnNodeOnly: Bool

    init(
        _ kind: ObjectKind,
        _ group: String,
        _ version: String,
        _ plural: String,
        older: [String] = [],
        ownNode: Bool = false
    ) {
        self.kind = kind
        self.group = group
        self.version = version
        self.plural = plural
        olderVersions = older
        isOwnNodeOnly = ownNode
    }

    /// `v1`, or `group/version`.
    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The path of the kind's objects in all namespaces.
    package var path: String {
        group.isEmpty ? "/api/\(version)/\(plural)" : "/apis/\(group)/\(version)/\(plural)"
    }

    /// The same kind in its next older version; `nil` where there is none.
    package var olderVersion: APIResource? {
        guard let next = olderVersions.first else { return nil }
        return APIResource(
            kind,
            group,
            next,
            plural,
            older: Array(olderVersions.dropFirst()),
            ownNode: isOwnNodeOnly
        )
    }

    /// How a kind is asked for first.
    package static func preferred(_ kind: ObjectKind) -> APIResource? {
        (watched + [.endpoints]).first { $0.kind == kind }
    }

    /// Kinds that are watched wherever Martlet runs. EndpointSlices stand for Endpoints, see
    /// `endpoints`. Secrets are no part of it: the node reads none in a cluster.
    package static let watched: [APIResource] = [
        APIResource(.namespace, "", "v1", "namespaces"),
        APIResource(.node, "", "v1", "nodes"),
        APIResource(.service, "", "v1", "services"),
        APIResource(.pod, "", "v1", "pods", ownNode: true),
        endpointSlices,
        APIResource(.configMap, "", "v1", "configmaps"),
        APIResource(.gatewayClass, "gateway.networking.k8s.io", "v1", "gatewayclasses"),
        APIResource(.gateway, "gateway.networking.k8s.io", "v1", "gateways"),
        APIResource(.httpRoute, "gateway.networking.k8s.io", "v1", "httproutes"),
        APIResource(.grpcRoute, "gateway.networking.k8s.io", "v1", "grpcroutes"),
        APIResource(.tcpRoute, "gateway.networking.k8s.io", "v1", "tcproutes", older: ["v1alpha2"]),
        APIResource(
            .referenceGrant,
            "gateway.networking.k8s.io",
            "v1",
            "referencegrants",
            older: ["v1beta1"]
        ),
        APIResource(
            .backendTLSPolicy,
            "gateway.networking.k8s.io",
            "v1",
            "backendtlspolicies",
            older: ["v1alpha3"]
        ),
        APIResource(.filterPolicy, "htnn.mosn.io", "v1", "filterpolicies"),
        APIResource(.consumer, "htnn.mosn.io", "v1", "consumers"),
        APIResource(.sourcePolicy, "martlet.mesh", "v1alpha1", "sourcepolicies"),
        APIResource(.listenerPolicy, "martlet.mesh", "v1alpha1", "listenerpolicies"),
        APIResource(.backendPolicy, "martlet.mesh", "v1alpha1", "backendpolicies"),
    ]

    /// Endpoints of Services, in pieces.
    package static let endpointSlices = APIResource(
        .endpointSlice,
        "discovery.k8s.io",
        "v1",
        "endpointslices"
    )

    /// Endpoints of Services where slices are not served.
    package static let endpoints = APIResource(.endpoints, "", "v1", "endpoints")
}

/// One rule of the rights that the node's service account needs (RBAC).
package struct APIAccess: Hashable, Sendable {
    /// The API group; empty for the core group.
    package let group: String
    /// The resource's plural name.
    package let resource: String
    /// The verbs used on it, sorted.
    package let verbs: [String]

    /// Everything the node reads or writes at the API server; `deploy/` grants exactly this.
    /// Which groups are served is asked at paths that every authenticated account may read.
    package static let table: [APIAccess] = (APIResource.watched + [.endpoints]).map {
        APIAccess(group: $0.group, resource: $0.plural, verbs: ["list", "watch"])
    }
}
