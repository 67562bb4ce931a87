import MeshModel
import Testing

@testable import Discovery

/// The certificate that a Gateway shows to endpoints, as its manifest names it.
@Suite struct EndpointCertificateTests {
    private static let edge = ObjectKey(.gateway, namespace: "shop", name: "edge")

    private func gateway(_ reference: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: edge, namespace: shop }
        spec:
          gatewayClassName: martlet
          tls: { backend: { clientCertificateRef: \(reference) } }
          listeners: [{ name: web, port: 80, protocol: HTTP }]
        ---

        """
    }

    private func secret(_ namespace: String, _ data: String = "tls.crt: YQ==, tls.key: Yg==")
        -> String
    {
        """
        apiVersion: v1
        kind: Secret
        metadata: { name: own, namespace: \(namespace) }
        data: { \(data) }
        ---

        """
    }

    private let grant = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: ReferenceGrant
        metadata: { name: g, namespace: keys }
        spec:
          from: [{ group: gateway.networking.k8s.io, kind: Gateway, namespace: shop }]
          to: [{ group: "", kind: Secret }]
        ---

        """

    /// What the listener shows, and the Gateway's `ResolvedRefs`.
    private func outcome(_ manifests: String) -> (shown: ObjectKey?, reason: String?) {
        let snapshot = ManifestFixture.snapshot(manifests)
        let conditions = snapshot.objects[Self.edge]?.conditions ?? []
        let resolved = conditions.first { $0.type == "ResolvedRefs" && $0.subject.isEmpty }
        return (snapshot.listeners.first?.endpointCertificate, resolved?.reason)
    }

    @Test func aSecretOfTheOwnNamespaceIsShown() {
        let found = outcome(secret("shop") + gateway("{ name: own }"))
        #expect(found.shown == ObjectKey(.secret, namespace: "shop", name: "own"))
        #expect(found.reason == "ResolvedRefs")
    }

    @Test(arguments: [
        "{ name: gone }", "{ kind: ConfigMap, name: own }", "{ name: own, namespace: keys }",
    ])
    func aReferenceThatLeadsNowhereIsTold(reference: String) {
        let manifests = secret("shop") + secret("keys", "tls.crt: YQ==") + grant
        let found = outcome(manifests + gateway(reference))
        #expect(found.shown == nil)
        #expect(found.reason == "InvalidClientCertificateRef")
    }

    @Test func aSecretOfAnotherNamespaceNeedsAGrant() {
        let manifests = secret("keys") + gateway("{ name: own, namespace: keys }")
        let without = outcome(manifests)
        #expect(without.shown == nil && without.reason == "RefNotPermitted")
        let with = outcome(manifests + grant)
        #expect(with.shown == ObjectKey(.secret, namespace: "keys", name: "own"))
        #expect(with.reason == "ResolvedRefs")
    }
}
