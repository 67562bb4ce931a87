import MeshModel
import Testing

@testable import Discovery

/// What an HTTPRoute says of sessions (GEP-1619).
@Suite struct RouteSessionTests {
    private static let r = ObjectKey(.httpRoute, namespace: "shop", name: "r")

    private func persistence(_ text: String, _ matches: String = "") -> SessionAffinity? {
        sessions(text, matches).httpRoutes[Self.r]?.rules.first?.persistence
    }

    private func sessions(_ text: String, _ matches: String = "") -> MeshSnapshot {
        ManifestFixture.snapshot(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: r, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              rules:
              - matches: [\(matches)]
                sessionPersistence: \(text)
                backendRefs: [{ name: cart, port: 80 }]

            """
        )
    }

    @Test func aRulesSessionsAreRead() throws {
        #expect(
            persistence("{ sessionName: s, absoluteTimeout: 1h, idleTimeout: 5m }")
                == SessionAffinity(
                    .cookie(name: "s", path: "/", lifetime: nil),
                    absoluteTimeout: .seconds(3600),
                    idleTimeout: .seconds(300)
                )
        )
        #expect(
            persistence(
                "{ sessionName: s, absoluteTimeout: 1h, cookieConfig: { lifetimeType: Permanent } }",
                "{ path: { value: /a } }, { method: GET, path: { value: /a } }"
            )
                == SessionAffinity(
                    .cookie(name: "s", path: "/a", lifetime: .seconds(3600)),
                    absoluteTimeout: .seconds(3600)
                )
        )
        #expect(
            persistence("{ type: Header, sessionName: X-S }")
                == SessionAffinity(.header("x-s"))
        )
        // Rules without a name have one of their own that stays.
        let named = try #require(persistence("{ type: Header }"))
        #expect(named == persistence("{ type: Header }"))
        guard case .header(let name) = named.kind else {
            Issue.record("expected a header, found \(named.kind)")
            return
        }
        #expect(name.hasPrefix("martlet-session-") && name.utf8.count > 20)
    }

    @Test(arguments: [
        "{ cookieConfig: { lifetimeType: Permanent } }", "{ type: Query }",
        "{ sessionName: 'a b' }", "{ idleTimeout: soon }", "{ type: Header, sessionName: Host }",
        "{ type: Header, cookieConfig: { lifetimeType: Session } }", "{ name: x }",
    ])
    func aSessionThatCannotBeKeptIsRefused(text: String) {
        guard case .refused(let reason, _)? = sessions(text).objects[Self.r]?.acceptance else {
            Issue.record("expected a refusal")
            return
        }
        #expect(reason.contains("sessionPersistence"))
    }

    @Test func aGRPCRoutesRuleHasSessionsAsWell() throws {
        let snapshot = ManifestFixture.snapshot(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: GRPCRoute
            metadata: { name: g, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              rules:
              - sessionPersistence: { type: Header, sessionName: x-s, idleTimeout: 5m }
                backendRefs: [{ name: cart, port: 80 }]

            """
        )
        let found = snapshot.httpRoutes.values.flatMap(\.rules).compactMap(\.persistence)
        #expect(found == [SessionAffinity(.header("x-s"), idleTimeout: .seconds(300))])
    }
}
