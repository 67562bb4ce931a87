import TestSupport
import Testing

/// Filters and regular expressions of routes, at ingress and for captured calls.
@Suite(.serialized) struct RouteFilterWayTests {
    @Test(arguments: Way.allCases)
    func aRewrittenPathReachesTheBackend(way: Way) throws {
        let rig = try WayRig(
            way,
            rule: """
                matches: [{ path: { value: /outer } }],
                filters: [{ type: URLRewrite, urlRewrite: { hostname: inner.example, path:
                  { type: ReplacePrefixMatch, replacePrefixMatch: /inner } } }]
                """
        )
        let answer = rig.curl("/outer/x?y=z")
        #expect(answer.contains("\"target\": \"/inner/x?y=z\""), "\(answer)")
        #expect(answer.contains("inner.example"), "\(answer)")
    }

    @Test(arguments: Way.allCases)
    func aRegularExpressionTakesItsPathsAndNoOthers(way: Way) throws {
        let rig = try WayRig(
            way,
            rule: "matches: [{ path: { type: RegularExpression, value: \"/v[0-9]+/.+\" } }]"
        )
        #expect(rig.curl("/v12/x").contains("\"target\": \"/v12/x\""))
        #expect(rig.curl("/v/x", "-o /dev/null -w '%{http_code}'") == "404")
    }

    @Test(arguments: Way.allCases)
    func aRedirectAndACrossOriginAnswerAreGivenHere(way: Way) throws {
        let rig = try WayRig(
            way,
            rule: """
                filters: [
                  { type: CORS, cors: { allowOrigins: ["https://*.example.com"] } } ]
                """,
            objects: """
                apiVersion: gateway.networking.k8s.io/v1
                kind: HTTPRoute
                metadata: { name: away, namespace: shop }
                spec:
                  parentRefs: [{ name: edge }, { group: "", kind: Service, name: here, port: 80 }]
                  rules:
                  - matches: [{ path: { value: /away } }]
                    filters:
                    - { type: RequestRedirect, requestRedirect: { scheme: https, hostname: far.example } }
                """
        )
        let away = rig.curl("/away/x", "-o /dev/null -w '%{http_code} %{redirect_url}'")
        #expect(away == "302 https://far.example/away/x")
        let plain = rig.curl("/a", "-i -H 'origin: https://a.example.com'")
        #expect(plain.contains("access-control-allow-origin: https://a.example.com"), "\(plain)")
        let asked = rig.curl(
            "/a",
            "-i -X OPTIONS -H 'origin: https://a.example.com' "
                + "-H 'access-control-request-method: PUT'"
        )
        #expect(asked.hasPrefix("HTTP/1.1 204") && asked.contains("access-control-max-age: 5"))
    }
}
