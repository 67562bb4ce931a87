import MeshModel
import Testing

@testable import Discovery

/// Which routes hang on which listeners, and what leaves its namespace.
@Suite struct RouteAttachmentTests {
    private func snapshot(
        namespace: String = "shop",
        parent: String = "name: own, namespace: shop",
        admits: String = "",
        grantFrom: String? = nil
    ) -> MeshSnapshot {
        var text = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: { name: own, namespace: shop }
            spec:
              gatewayClassName: martlet
              listeners:
              - { name: one, port: 8081, protocol: HTTP\(admits) }
              - { name: two, port: 8082, protocol: HTTP\(admits) }
            ---
            apiVersion: v1
            kind: Service
            metadata: { name: far, namespace: bank }
            spec: { ports: [{ port: 80 }] }
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: r, namespace: \(namespace) }
            spec:
              parentRefs: [{ \(parent) }]
              rules: [{ backendRefs: [{ name: far, namespace: bank, port: 80, weight: 7 }] }]

            """
        if let grantFrom {
            text += """
                ---
                apiVersion: gateway.networking.k8s.io/v1beta1
                kind: ReferenceGrant
                metadata: { name: g, namespace: bank }
                spec:
                  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: \(grantFrom) }]
                  to: [{ group: "", kind: Service }]
                """
        }
        return ManifestFixture.snapshot(text)
    }

    /// The listeners of the Gateway that carry the route.
    private func carriers(_ snapshot: MeshSnapshot) -> [String] {
        snapshot.listeners.filter { $0.id.gateway == "own" }
            .filter { $0.attachments.contains { $0.route.name == "r" } }
            .map(\.id.name).sorted()
    }

    @Test func aRouteHangsOnTheListenersOfItsNamespaceAlone() {
        #expect(carriers(snapshot()) == ["one", "two"])
        #expect(carriers(snapshot(namespace: "other")) == [])
        let all = ", allowedRoutes: { namespaces: { from: All } }"
        #expect(carriers(snapshot(namespace: "other", admits: all)) == ["one", "two"])
    }

    @Test func aSectionNameChoosesTheListener() {
        let parent = "name: own, namespace: shop, sectionName: two"
        #expect(carriers(snapshot(parent: parent)) == ["two"])
        #expect(carriers(snapshot(parent: "name: own, namespace: shop, sectionName: none")) == [])
    }

    @Test func aGrantHoldsForTheNamespaceItNamesAndABackendWithoutOneKeepsItsShare() {
        let key = ObjectKey(.httpRoute, namespace: "shop", name: "r")
        let backend = { (grantFrom: String?) in
            self.snapshot(grantFrom: grantFrom).httpRoutes[key]?.rules.first?.backends.first
        }
        let far = ClusterID(namespace: "bank", name: "far", port: 80)
        #expect(backend("shop")?.target == .cluster(far))
        for grantFrom in [nil, "other"] {
            guard case .invalid = backend(grantFrom)?.target else {
                Issue.record("granted from \(grantFrom ?? "nobody")")
                continue
            }
            #expect(backend(grantFrom)?.weight == 7)
        }
    }
}
