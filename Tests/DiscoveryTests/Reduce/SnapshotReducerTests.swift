import Addressing
import MeshModel
import Testing

@testable import Discovery

@Suite struct SnapshotReducerTests {
    private let cart = ObjectKey(.httpRoute, namespace: "shop", name: "cart")

    private func gateway(_ name: String, created: String, _ listeners: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: \(name), namespace: shop, creationTimestamp: "\(created)" }
        spec: { gatewayClassName: martlet, listeners: [\(listeners)] }

        """
    }

    private func policy(_ name: String, _ day: Int, _ target: String, _ filters: String) -> String {
        """
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: \(name), namespace: shop, creationTimestamp: "2026-01-0\(day)T00:00:00Z" }
        spec:
          targetRef: { group: gateway.networking.k8s.io, \(target) }
          filters: \(filters)
        ---

        """
    }

    private func conditions(
        _ snapshot: MeshSnapshot,
        _ key: ObjectKey,
        _ type: String
    ) -> [Condition] {
        (snapshot.objects[key]?.conditions ?? []).filter { $0.type == type }
    }

    @Test func aRouteLeadsToTheEndpointsOfItsService() {
        let snapshot = ManifestFixture.snapshot("")
        let id = ClusterID(namespace: "shop", name: "cart", port: 80)
        #expect(snapshot.listeners.first?.attachments.first?.hosts == [.exact("cart.example.com")])
        #expect(snapshot.httpRoutes[cart]?.rules.first?.backends.first?.target == .cluster(id))
        #expect(snapshot.httpRoutes[cart]?.rules.first?.matches.first?.path == .prefix("/cart"))
        let endpoints = snapshot.clusters[id]?.endpoints ?? []
        #expect(endpoints.map(\.isReady) == [true, false])
        #expect(endpoints.map(\.isTerminating) == [false, true])
        #expect(snapshot.clusters[id]?.usableEndpoints.count == 1)
    }

    @Test func theNodesZoneIsThatOfItsLabel() {
        let snapshot = ManifestFixture.snapshot(
            """
            ---
            apiVersion: v1
            kind: Node
            metadata: { name: n1, labels: { topology.kubernetes.io/zone: north } }
            status: { addresses: [{ type: InternalIP, address: 10.1.0.1 }] }
            ---
            apiVersion: v1
            kind: Node
            metadata: { name: n2 }
            status: { addresses: [{ type: InternalIP, address: 10.1.0.2 }] }
            """
        )
        #expect(snapshot.nodes.map(\.zone) == ["north", ""])
        #expect(snapshot.nodeName == ManifestFixture.settings.nodeName)
    }

    @Test func withinOneGatewayNoConflictingListenerWins() {
        let listeners = ["a", "b", "c"].map {
            "{ name: \($0), port: 90, protocol: HTTP, hostname: a.example.com }"
        }
        let text = gateway(
            "three",
            created: "2026-01-01T00:00:00Z",
            listeners.joined(separator: ", ")
        )
        let snapshot = ManifestFixture.snapshot(text)
        let key = ObjectKey(.gateway, namespace: "shop", name: "three")
        #expect(snapshot.listeners.map(\.id.gateway) == ["edge"])
        #expect(conditions(snapshot, key, "Conflicted").count == 3)
    }

    @Test(arguments: [("2026-01-01T00:00:00Z", "other"), ("2026-01-03T00:00:00Z", "edge")])
    func acrossGatewaysTheOlderWins(created: String, winner: String) {
        let text = gateway(
            "other",
            created: created,
            "{ name: web, port: 8080, protocol: HTTP, hostname: \"*.example.com\" }"
        )
        #expect(ManifestFixture.snapshot(text).listeners.map(\.id.gateway) == [winner])
    }

    @Test func crossingANamespaceNeedsAGrant() {
        let route = """
            apiVersion: v1
            kind: Service
            metadata: { name: far, namespace: bank }
            spec: { ports: [{ port: 80 }] }
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: far, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              rules: [{ backendRefs: [{ name: far, namespace: bank, port: 80 }] }]

            """
        let grant = """
            ---
            apiVersion: gateway.networking.k8s.io/v1beta1
            kind: ReferenceGrant
            metadata: { name: g, namespace: bank }
            spec:
              from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }]
              to: [{ group: "", kind: Service }]
            """
        let key = ObjectKey(.httpRoute, namespace: "shop", name: "far")
        let without = ManifestFixture.snapshot(route)
        #expect(conditions(without, key, "ResolvedRefs").map(\.reason) == ["RefNotPermitted"])
        let with = ManifestFixture.snapshot(route + grant)
        #expect(conditions(with, key, "ResolvedRefs").map(\.reason) == ["ResolvedRefs"])
    }

    @Test func aServiceOfAnotherNamespaceTakesNoRoute() {
        let text = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: thief, namespace: other }
            spec:
              parentRefs: [{ group: "", kind: Service, name: cart, namespace: shop, port: 80 }]
              rules: [{ backendRefs: [] }]
            """
        let snapshot = ManifestFixture.snapshot(text)
        let service = snapshot.services[ObjectKey(.service, namespace: "shop", name: "cart")]
        #expect(service?.ports.first?.routes == [])
    }

    @Test func aRouteThatNeverWasValidAnswersForItsOwnRequestsOnly() {
        let text = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: bad, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              hostnames: [bad.example.com]
              rules:
              - matches: [{ path: { value: /x } }]
                filters: [{ type: URLRewrite }]
              - matches: [{ path: { type: RegularExpression, value: "(" } }]
            """
        let snapshot = ManifestFixture.snapshot(text)
        let bad = snapshot.httpRoutes[ObjectKey(.httpRoute, namespace: "shop", name: "bad")]
        #expect(bad?.rules.count == 1)
        #expect(bad?.rules.first?.fault?.contains("URLRewrite") == true)
        #expect(bad?.rules.first?.matches.first?.path == .prefix("/x"))
        #expect(snapshot.httpRoutes[cart]?.rules.first?.fault == nil)
        #expect(snapshot.listeners.first?.attachments.count == 2)
    }

    @Test func theLastGoodVersionGoesOnServing() {
        var store = ManifestFixture.store(ManifestFixture.base)
        let before = SnapshotReducer.reduce(store, ManifestFixture.settings)
        ManifestFixture.add(ManifestFixture.base + "  unknown: 1\n", to: &store)
        let after = SnapshotReducer.reduce(store, ManifestFixture.settings)
        #expect(after.httpRoutes[cart] == before.httpRoutes[cart])
        guard case .refused(_, let servesEarlier)? = after.objects[cart]?.acceptance else {
            Issue.record("the invalid version is accepted")
            return
        }
        #expect(servesEarlier)
    }

    @Test func aPolicyThatNeverWasValidFailsItsTarget() {
        let text = policy("p", 1, "kind: HTTPRoute, name: cart", "{ nonsense: { config: {} } }")
        let snapshot = ManifestFixture.snapshot(text)
        #expect(snapshot.httpRoutes[cart]?.plugins.isEmpty == true)
        #expect(snapshot.httpRoutes[cart]?.rules.first?.fault?.contains("nonsense") == true)
        let key = ObjectKey(.filterPolicy, namespace: "shop", name: "p")
        #expect(conditions(snapshot, key, "Accepted").map(\.reason) == ["Invalid"])
    }

    @Test func policiesMergeByPluginName() {
        let text = [
            ("young", 3, "kind: Gateway, name: edge, sectionName: web"),
            ("old", 2, "kind: Gateway, name: edge, sectionName: web"),
            ("wide", 1, "kind: Gateway, name: edge"),
            ("route", 4, "kind: HTTPRoute, name: cart"),
        ].map { policy($0, $1, $2, "{ keyAuth: { config: { by: \($0) } } }") }.joined()
        let snapshot = ManifestFixture.snapshot(text)
        #expect(snapshot.listeners.first?.plugins.map(\.policy.name) == ["old"])
        #expect(snapshot.httpRoutes[cart]?.plugins.map(\.policy.name) == ["route"])
    }

    @Test(arguments: [
        ("", "hostNetwork: true", "node's network"),
        ("sidecar.istio.io/status: x,", "nodeName: n1", "another mesh"),
        ("linkerd.io/proxy-version: x,", "nodeName: n1", "another mesh"),
        ("martlet.mesh/capture-dns: \"true\",", "nodeName: n1", "DNS"),
        ("martlet.mesh/exclude-inbound-ports: \"9-1\",", "nodeName: n1", "expected ports"),
    ])
    func aPodThatCannotBeCapturedIsRefusedByReason(
        annotation: String,
        spec: String,
        reason: String
    ) {
        let text = """
            apiVersion: v1
            kind: Pod
            metadata:
              name: p
              annotations: { \(annotation) martlet.mesh/capture: enabled }
            spec: { \(spec) }
            """
        let key = ObjectKey(.pod, namespace: "default", name: "p")
        let snapshot = ManifestFixture.snapshot(text)
        guard case .refused(let found)? = snapshot.workloads[key]?.capture else {
            Issue.record("the pod is not refused")
            return
        }
        #expect(found.contains(reason))
    }
}
