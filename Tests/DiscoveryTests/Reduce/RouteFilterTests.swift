import MeshModel
import Testing

@testable import Discovery

/// What filters and matches of an HTTPRoute become.
@Suite struct RouteFilterTests {
    private func rule(_ text: String) throws -> HTTPRouteRule {
        let snapshot = ManifestFixture.snapshot(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: r, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              rules:
              - \(text)
            """
        )
        let key = ObjectKey(.httpRoute, namespace: "shop", name: "r")
        #expect(snapshot.objects[key]?.acceptance == .accepted)
        return try #require(snapshot.httpRoutes[key]?.rules.first)
    }

    @Test(arguments: [
        (
            "scheme: https, hostname: A.example, port: 8443, statusCode: 308",
            RouteRedirect(scheme: "https", host: "a.example", port: 8_443, status: 308)
        ),
        (
            "path: { type: ReplaceFullPath, replaceFullPath: /x }",
            RouteRedirect(path: .whole("/x"))
        ),
        (
            "path: { type: ReplacePrefixMatch, replacePrefixMatch: /x/ }",
            RouteRedirect(path: .prefix("/x/"))
        ),
    ])
    func aRedirectIsRead(text: String, expected: RouteRedirect) throws {
        let rule = try rule("filters: [{ type: RequestRedirect, requestRedirect: { \(text) } }]")
        #expect(rule.change == .redirect(expected))
    }

    @Test func aRewriteOfARuleAndOneOfABackendAreRead() throws {
        let rewrite = "type: URLRewrite, urlRewrite: { hostname: one.example }"
        let other =
            "type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, "
            + "replacePrefixMatch: / } }"
        let rule = try rule(
            "{ filters: [{ \(rewrite) }], "
                + "backendRefs: [{ name: cart, port: 80, filters: [{ \(other) }] }] }"
        )
        #expect(rule.change == .rewrite(RouteRewrite(host: "one.example")))
        #expect(rule.backends.first?.change == .rewrite(RouteRewrite(path: .prefix("/"))))
    }

    @Test func aPolicyOfCrossOriginRequestsIsRead() throws {
        let rule = try rule(
            """
            filters:
                - type: CORS
                  cors:
                    allowOrigins: [https://a.example, "http://*.b.example:8080"]
                    allowCredentials: true
                    allowMethods: [GET, PUT]
                    allowHeaders: [X-One]
                    exposeHeaders: ["*"]
                    maxAge: 60
            """
        )
        let expected = CrossOriginPolicy(
            origins: ["https://a.example", "http://*.b.example:8080"],
            allowsCredentials: true,
            methods: ["GET", "PUT"],
            headers: ["X-One"],
            exposedHeaders: ["*"],
            maxAgeSeconds: 60
        )
        #expect(rule.crossOrigin == expected)
    }

    @Test func regularExpressionsOfPathHeadersAndQueryAreRead() throws {
        let kind = "type: RegularExpression"
        let rule = try rule(
            "matches: [{ path: { \(kind), value: \"/v[0-9]+/.*\" }, "
                + "headers: [{ \(kind), name: X-A, value: a+ }, { name: X-A, value: b }], "
                + "queryParams: [{ \(kind), name: q, value: b+ }] }]"
        )
        let match = try #require(rule.matches.first)
        #expect(match.path == .pattern(try Pattern("/v[0-9]+/.*")))
        #expect(match.headerPatterns == [NamedPattern("x-a", try Pattern("a+"))])
        #expect(match.headers.isEmpty, "of one name the first counts")
        #expect(match.queryPatterns == [NamedPattern("q", try Pattern("b+"))])
    }
}
