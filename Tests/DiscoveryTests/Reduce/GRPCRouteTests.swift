import MeshModel
import Testing

@testable import Discovery

/// GRPCRoutes as the HTTPRoutes that they stand for.
@Suite struct GRPCRouteTests {
    private static let key = ObjectKey(.grpcRoute, namespace: "shop", name: "r")

    private func snapshot(_ rule: String, port: String = "port: 50051") -> MeshSnapshot {
        ManifestFixture.snapshot(
            """
            apiVersion: v1
            kind: Service
            metadata: { name: orders, namespace: shop }
            spec: { clusterIP: 10.96.0.20, ports: [{ \(port) }] }
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: GRPCRoute
            metadata: { name: r, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              hostnames: [grpc.example.com]
              rules:
              - \(rule)
            """
        )
    }

    private func path(_ method: String) throws -> PathMatch? {
        let snapshot = snapshot("matches: [{ method: { \(method) } }]")
        #expect(snapshot.objects[Self.key]?.acceptance == .accepted)
        return snapshot.httpRoutes[Self.key]?.rules.first?.matches.first?.path
    }

    @Test func aServiceWithAMethodIsAPath() throws {
        #expect(try path("service: a.B, method: C") == .exact("/a.B/C"))
        #expect(try path("") == .prefix(""))
    }

    @Test(arguments: [
        ("service: a.B", ["/a.B/C", "/a.B/D"], ["/aXB/C", "/a.B/", "/a.B/C/D", "/x.a.B/C"]),
        ("method: C", ["/a.B/C", "/x/C"], ["/C", "/a.B/D", "/a/b/C"]),
        (
            "type: RegularExpression, service: \"a|b\", method: \"Get.*\"",
            ["/a/Get", "/b/GetAll"], ["/ab/Get", "/a/Set"]
        ),
        ("type: RegularExpression, method: \"C?\"", ["/any/C", "/any/"], ["/C"]),
    ])
    func aPartOfAMethodIsAnExpression(method: String, taken: [String], left: [String]) throws {
        guard case .pattern(let pattern) = try path(method) else {
            Issue.record("expected an expression for \(method)")
            return
        }
        for text in taken { #expect(pattern.matches(text), "\(text)") }
        for text in left { #expect(!pattern.matches(text), "\(text)") }
    }

    @Test func aServiceAloneComesBeforeAMethodAlone() throws {
        guard case .pattern(let service) = try path("service: a"),
            case .pattern(let method) = try path("method: AVeryLongMethodName")
        else {
            Issue.record("expected expressions")
            return
        }
        #expect(service.weight > method.weight)
    }

    @Test func headersFiltersBackendsAndMirrorsAreRead() throws {
        let snapshot = snapshot(
            """
            { matches: [{ headers: [{ name: X-A, value: b }] }],
                filters: [{ type: RequestHeaderModifier, requestHeaderModifier:
                  { set: [{ name: x-set, value: y }] } },
                  { type: RequestMirror, requestMirror: { backendRef: { name: orders, port: 50051 } } }],
                backendRefs: [{ name: orders, port: 50051, weight: 3 }] }
            """
        )
        let rule = try #require(snapshot.httpRoutes[Self.key]?.rules.first)
        #expect(rule.matches.first?.headers == [NamedValue("x-a", "b")])
        #expect(rule.requestHeaders.set == [NamedValue("x-set", "y")])
        #expect(rule.backends.first?.weight == 3 && rule.mirrors.count == 1)
        let attached = snapshot.listeners.first?.attachments.first { $0.route == Self.key }
        #expect(attached?.hosts == [.exact("grpc.example.com")])
        let conditions = snapshot.objects[Self.key]?.conditions ?? []
        #expect(conditions.map(\.type) == ["Accepted", "ResolvedRefs"])
        #expect(conditions.allSatisfy { $0.status == .yes })
    }

    @Test(arguments: [
        ("port: 50051", AppProtocol.http2), ("port: 50051, appProtocol: http", .http),
        ("port: 50051, appProtocol: kubernetes.io/h2c", .http2),
    ])
    func backendsSpeakHTTP2UnlessTheirServiceSaysOtherwise(port: String, spoken: AppProtocol) {
        let snapshot = snapshot("backendRefs: [{ name: orders, port: 50051 }]", port: port)
        let id = ClusterID(namespace: "shop", name: "orders", port: 50051)
        #expect(snapshot.clusters[id]?.appProtocol == spoken)
    }

    @Test(arguments: [
        ("matches: [{ method: { service: a/b } }]", "expected a name of gRPC"),
        ("matches: [{ method: { type: Other } }]", "expected Exact or RegularExpression"),
        (
            "matches: [{ method: { type: RegularExpression, service: \"(\" } }]",
            "expected ) at the group's end"
        ),
        (
            "filters: [{ type: RequestRedirect, requestRedirect: { port: 1 } }]",
            "expected RequestHeaderModifier, ResponseHeaderModifier or RequestMirror"
        ),
        ("timeouts: { request: 1s }", "unknown key"),
    ])
    func whatAGRPCRouteHasNoMeaningForIsRefused(rule: String, reason: String) {
        let snapshot = snapshot(rule)
        guard case .refused(let text, _) = snapshot.objects[Self.key]?.acceptance else {
            Issue.record("expected a refusal of \(rule)")
            return
        }
        #expect(text.contains(reason), "\(text)")
    }

    @Test func aPluginMayBeBoundToAGRPCRoute() throws {
        let snapshot = ManifestFixture.snapshot(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: GRPCRoute
            metadata: { name: r, namespace: shop }
            spec: { parentRefs: [{ name: edge }], rules: [{}] }
            ---
            apiVersion: htnn.mosn.io/v1
            kind: FilterPolicy
            metadata: { name: p, namespace: shop }
            spec:
              targetRef: { group: gateway.networking.k8s.io, kind: GRPCRoute, name: r }
              filters: { keyAuth: { config: {} } }
            """
        )
        #expect(snapshot.httpRoutes[Self.key]?.plugins.map(\.name) == ["keyAuth"])
    }
}
