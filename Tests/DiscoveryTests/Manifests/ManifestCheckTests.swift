import MeshModel
import Testing

@testable import Discovery

@Suite struct ManifestCheckTests {
    private func faults(_ text: String) async throws -> [String] {
        try await ManifestFixture.withDirectory { directory in
            try ManifestFixture.write(ManifestFixture.base, to: "\(directory)/base.yaml")
            try ManifestFixture.write(text, to: "\(directory)/f.yaml")
            return try ManifestCheck.check(directory: directory, ManifestFixture.settings).map {
                String($0.description.dropFirst(directory.count + 1))
            }
        }
    }

    @Test func manifestsThatHoldTogetherHaveNoFault() async throws {
        let found = try await faults("")
        #expect(found.isEmpty, "\(found)")
    }

    private static func route(_ rule: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: r, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          rules:
          - \(rule)
        """
    }

    @Test(arguments: [
        (
            "matches: [{ path: { type: Regex, value: /x } }]",
            "spec.rules[0].matches[0].path.type: expected Exact, PathPrefix or RegularExpression, "
                + "found \"Regex\""
        ),
        (
            "matches: [{ headers: [{ type: RegularExpression, name: a, value: \"(\" }] }]",
            "spec.rules[0].matches[0].headers[0].value: expected ) at the group's end at character "
                + "1 of the expression \"(\""
        ),
        (
            "filters: [{ type: Unknown }]",
            "spec.rules[0].filters[0].type: expected RequestHeaderModifier, "
                + "ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite or CORS, "
                + "found \"Unknown\""
        ),
        (
            "filters: [{ type: RequestRedirect, requestRedirect: { scheme: ftp } }]",
            "spec.rules[0].filters[0].requestRedirect.scheme: expected one of http, https, "
                + "found \"ftp\""
        ),
        (
            "filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 304 } }]",
            "spec.rules[0].filters[0].requestRedirect.statusCode: expected one of 301, 302, 303, "
                + "307, 308, found \"304\""
        ),
        (
            "filters: [{ type: URLRewrite, urlRewrite: { hostname: \"*.a.example\" } }]",
            "spec.rules[0].filters[0].urlRewrite.hostname: expected a DNS name, "
                + "found \"*.a.example\""
        ),
        (
            "filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, "
                + "replaceFullPath: \"/a?b\" } } }]",
            "spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: expected a path that begins "
                + "with / and has no query, found \"/a?b\""
        ),
        (
            "{ matches: [{ path: { type: Exact, value: /a } }], filters: [{ type: URLRewrite, "
                + "urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /b } } }] }",
            "spec.rules[0].filters: expected matches of PathPrefix with ReplacePrefixMatch"
        ),
        (
            "{ filters: [{ type: RequestRedirect, requestRedirect: { port: 1 } }], "
                + "backendRefs: [{ name: cart, port: 80 }] }",
            "spec.rules[0].backendRefs: expected none beside RequestRedirect"
        ),
        (
            "filters: [{ type: CORS, cors: { allowOrigins: [\"https://a.*.b\"] } }]",
            "spec.rules[0].filters[0].cors.allowOrigins: expected an origin such as "
                + "https://*.example.com, found \"https://a.*.b\""
        ),
        (
            "filters: [{ type: CORS, cors: { allowMethods: [GET, \"*\"] } }]",
            "spec.rules[0].filters[0].cors.allowMethods: expected * alone"
        ),
        (
            "backendRefs: [{ name: cart, port: 70000 }]",
            "spec.rules[0].backendRefs[0].port: expected an integer of 1...65535, found \"70000\""
        ),
        (
            "timeouts: { request: 5 minutes }",
            "spec.rules[0].timeouts.request: expected a duration such as 500ms, "
                + "found \"5 minutes\""
        ),
        ("backendRef: [{ name: cart }]", "spec.rules[0].backendRef: unknown key"),
    ])
    func aRoutesFaultIsToldWithPathAndLine(rule: String, reason: String) async throws {
        let found = try await faults(Self.route(rule))
        #expect(found.contains("f.yaml:7: \(reason)"), "\(found)")
    }

    @Test func annotationsOfTheControllerAreRefused() async throws {
        let text = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata:
              name: other
              annotations: { martlet.mesh/service-type: LoadBalancer }
            spec:
              gatewayClassName: martlet
              listeners: [{ name: web, port: 81, protocol: HTTP }]
            """
        let found = try await faults(text)
        let reason = "martlet.mesh/service-type asks for a Service, which no controller makes"
        #expect(found == ["f.yaml:5: metadata.annotations: \(reason)"])
    }

    @Test(arguments: [
        (route("backendRefs: [{ name: gone, port: 80 }]"), "Service shop/gone is not there"),
        (
            route("backendRefs: [{ name: cart, port: 81 }]"),
            "Service shop/cart has no TCP port 81"
        ),
        (
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: { name: other, namespace: shop }
            spec: { gatewayClassName: gone, listeners: [{ name: w, port: 9, protocol: HTTP }] }
            """, "GatewayClass gone is not there"
        ),
        (
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: TCPRoute
            metadata: { name: t, namespace: shop }
            spec: { parentRefs: [{ name: gone }], rules: [{ backendRefs: [] }] }
            """, "Gateway shop/gone is not there"
        ),
        (
            """
            apiVersion: htnn.mosn.io/v1
            kind: FilterPolicy
            metadata: { name: p, namespace: shop }
            spec:
              targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: gone }
              filters: { keyAuth: { config: {} } }
            """, "HTTPRoute gone is not there"
        ),
        (
            """
            apiVersion: htnn.mosn.io/v1
            kind: FilterPolicy
            metadata: { name: p, namespace: shop }
            spec:
              targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart }
              filters: { oidc: { config: {} } }
            """, "oidc: there is no such plugin"
        ),
        ("apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }", "is not a kind"),
    ])
    func aReferenceThatLeadsNowhereIsTold(text: String, reason: String) async throws {
        let found = try await faults(text)
        #expect(found.contains { $0.hasPrefix("f.yaml:1: ") && $0.contains(reason) }, "\(found)")
    }

    @Test func anObjectGivenTwiceIsTold() async throws {
        let found = try await faults(ManifestFixture.base)
        #expect(found.count == 5)
        #expect(found.allSatisfy { $0.contains("already") })
    }
}
