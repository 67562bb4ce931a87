import Addressing
import MeshModel
import Testing

@testable import Discovery

/// What ListenerPolicies, BackendPolicies and BackendTLSPolicies set, for whom, and what is told.
@Suite struct SettingsPolicyTests {
    private static let cart = ClusterID(namespace: "shop", name: "cart", port: 80)

    private static func policy(
        _ kind: String,
        _ name: String,
        day: Int = 1,
        target: String,
        _ spec: String
    ) -> String {
        """
        apiVersion: martlet.mesh/v1alpha1
        kind: \(kind)
        metadata: { name: \(name), namespace: shop, creationTimestamp: "2026-01-0\(day)T00:00:00Z" }
        spec:
          targetRefs: [{ \(target) }]
        \(spec.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))
        ---

        """
    }

    private static func listener(_ spec: String, _ name: String = "l", day: Int = 1) -> String {
        policy("ListenerPolicy", name, day: day, target: "name: edge", spec)
    }

    private static func backend(_ spec: String, _ name: String = "b", day: Int = 1) -> String {
        policy("BackendPolicy", name, day: day, target: "name: cart", spec)
    }

    private static let bundle = """
        apiVersion: v1
        kind: ConfigMap
        metadata: { name: ca, namespace: shop }
        data: { ca.crt: "-----BEGIN CERTIFICATE-----" }
        ---

        """

    private static func tls(_ name: String = "t", day: Int = 1, _ more: String = "") -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: BackendTLSPolicy
        metadata: { name: \(name), namespace: shop, creationTimestamp: "2026-01-0\(day)T00:00:00Z" }
        spec:
          targetRefs: [{ group: "", kind: Service, name: cart }]
          validation: { hostname: cart.internal, caCertificateRefs: [{ kind: ConfigMap, group: "", name: ca }] }
          \(more)
        ---

        """
    }

    private func condition(
        _ snapshot: MeshSnapshot,
        _ kind: ObjectKind,
        _ name: String,
        _ type: String = "Accepted"
    ) -> Condition? {
        snapshot.objects[ObjectKey(kind, namespace: "shop", name: name)]?.conditions
            .first { $0.type == type }
    }

    // MARK: Fields

    @Test func aListenerPolicySetsEveryFieldOfItsListeners() throws {
        let snapshot = ManifestFixture.snapshot(
            Self.bundle
                + Self.listener(
                    """
                    paths: { mergeSlashes: true, escapedSlashes: Reject }
                    underscores: Drop
                    forwarding:
                      trustedHops: 2
                      trustedPrefixes: [10.0.0.0/8]
                      addHost: true
                      addForwarded: true
                      viaName: edge
                      keepRequestID: false
                    versions: [HTTP1]
                    limits:
                      headBytes: 8192
                      headerFields: 64
                      bodyBytes: 1048576
                      requestsPerConnection: 100
                      concurrentStreams: 50
                      connections: 1000
                      connectionsPerSource: 10
                    timeouts:
                      head: 5s
                      body: 6s
                      idle: 7s
                      request: 8s
                      streamIdle: 9s
                      connectionAge: 1h
                      handshake: 3s
                    tls:
                      minimumVersion: "1.3"
                      maximumVersion: "1.3"
                      ciphers: [TLS_AES_128_GCM_SHA256]
                      groups: [X25519]
                      alpn: [http/1.1]
                      clientCertificate:
                        mode: Required
                        caCertificateRefs: [{ name: ca }]
                        names: [spiffe://a/b]
                        forward: true
                      resumption: false
                      ticketKeyLifetime: 10m
                      requireStaple: true
                      earlyDataBytes: 4096
                      handshakes: 20
                    proxyProtocol: { acceptance: Optional, trustedPrefixes: [192.0.2.1] }
                    allowWebSocket: false
                    allowConnect: true
                    """
                )
        )
        var wanted = ListenerSettings()
        wanted.paths.mergesSlashes = true
        wanted.paths.escapedSlashes = .reject
        wanted.underscores = .drop
        wanted.forwarding.trustedHops = 2
        wanted.forwarding.trustedPrefixes = [try #require(IPPrefix("10.0.0.0/8"))]
        wanted.forwarding.addsHost = true
        wanted.forwarding.addsForwarded = true
        wanted.forwarding.viaName = "edge"
        wanted.forwarding.keepsRequestID = false
        wanted.versions = [.http1]
        wanted.limits.headBytes = 8192
        wanted.limits.headerFields = 64
        wanted.limits.bodyBytes = 1_048_576
        wanted.limits.requestsPerConnection = 100
        wanted.limits.concurrentStreams = 50
        wanted.limits.connections = 1000
        wanted.limits.connectionsPerSource = 10
        wanted.timeouts.head = .seconds(5)
        wanted.timeouts.body = .seconds(6)
        wanted.timeouts.idle = .seconds(7)
        wanted.timeouts.request = .seconds(8)
        wanted.timeouts.streamIdle = .seconds(9)
        wanted.timeouts.connectionAge = .seconds(3600)
        wanted.timeouts.handshake = .seconds(3)
        wanted.tls.minimumVersion = .tls13
        wanted.tls.maximumVersion = .tls13
        wanted.tls.ciphers = ["TLS_AES_128_GCM_SHA256"]
        wanted.tls.groups = ["X25519"]
        wanted.tls.alpn = ["http/1.1"]
        wanted.tls.clientCertificate = .required
        wanted.tls.clientCAPEM = Array("-----BEGIN CERTIFICATE-----".utf8)
        wanted.tls.clientNames = ["spiffe://a/b"]
        wanted.tls.forwardsClientCertificate = true
        wanted.tls.resumes = false
        wanted.tls.ticketKeyLifetime = .seconds(600)
        wanted.tls.requiresStaple = true
        wanted.tls.earlyDataByteLimit = 4096
        wanted.tls.handshakeMax = 20
        wanted.proxyProtocol.acceptance = .optional
        wanted.proxyProtocol.trustedPrefixes = [try #require(IPPrefix("192.0.2.1"))]
        wanted.allowsWebSocket = false
        wanted.allowsConnect = true
        #expect(snapshot.listeners.first?.settings == wanted)
    }

    @Test func aBackendPolicySetsEveryFieldOfItsClusters() {
        let snapshot = ManifestFixture.snapshot(
            Self.bundle
                + Self.backend(
                    """
                    balancing:
                      algorithm: Maglev
                      hashKeys: [{ type: Header, name: X-User }, { type: Source }]
                      tableSize: 65537
                      hashLoadPercent: 150
                      slowStart: 30s
                      panicPercent: 25
                      preferZone: true
                      zoneEndpointMin: 3
                      subset: { attribute: Zone, header: X-Zone, fallBack: false }
                    affinity:
                      { type: Cookie, name: tie, lifetime: 1h, absoluteTimeout: 2h, idleTimeout: 30m }
                    healthCheck:
                      type: HTTP
                      path: /healthz
                      host: cart.internal
                      statuses: { from: 200, to: 204 }
                      interval: 2s
                      timeout: 500ms
                      healthyCount: 2
                      unhealthyCount: 4
                      port: 9000
                    outliers: { consecutiveErrors: 3, failurePercent: 50 }
                    breakers: { connections: 10, retryBudgetPercent: 30 }
                    retries:
                      attempts: 2
                      conditions: [Reset]
                      statuses: [503]
                      grpcStatuses: [14]
                      backoff: 10ms
                      retryAfterMax: 5s
                    hedging: { delay: 50ms, attempts: 2 }
                    timeouts: { connect: 1s, request: 2s, streamIdle: 3s, idle: 4s }
                    version: HTTP2
                    tls:
                      hostname: cart.internal
                      subjectAltNames: [{ type: URI, uri: "spiffe://a/b" }]
                      caCertificateRefs: [{ name: ca }]
                      minimumVersion: "1.3"
                    requestsPerConnection: 1000
                    allowEarlyData: true
                    proxyProtocolVersion: 2
                    """
                )
        )
        var wanted = BackendSettings()
        wanted.balancing.algorithm = .maglev
        wanted.balancing.hashKeys = [.header("x-user"), .source]
        wanted.balancing.tableSize = 65_537
        wanted.balancing.slowStart = .seconds(30)
        wanted.balancing.panicPercent = 25
        wanted.balancing.hashLoadPercent = 150
        wanted.balancing.prefersZone = true
        wanted.balancing.zoneEndpointMin = 3
        wanted.balancing.subset = .init(attribute: .zone, header: "x-zone", fallsBack: false)
        wanted.affinity = SessionAffinity(
            .cookie(name: "tie", path: "/", lifetime: .seconds(3600)),
            absoluteTimeout: .seconds(7200),
            idleTimeout: .seconds(1800)
        )
        var check = HealthCheckSettings(
            .http(path: "/healthz", host: "cart.internal", statuses: 200...204)
        )
        check.interval = .seconds(2)
        check.timeout = .milliseconds(500)
        check.healthyCount = 2
        check.unhealthyCount = 4
        check.port = 9000
        wanted.healthCheck = check
        var outliers = OutlierSettings()
        outliers.consecutiveErrors = 3
        outliers.failurePercent = 50
        wanted.outliers = outliers
        wanted.breakers.connections = 10
        wanted.breakers.retryBudgetPercent = 30
        var retries = RetrySettings()
        retries.attempts = 2
        retries.conditions = [.reset, .statuses, .grpcStatuses]
        retries.statuses = [503]
        retries.grpcStatuses = 1 << 14
        retries.backoff = .milliseconds(10)
        retries.retryAfterMax = .seconds(5)
        wanted.retries = retries
        var hedging = HedgingSettings(delay: .milliseconds(50))
        hedging.attempts = 2
        wanted.hedging = hedging
        wanted.timeouts.connect = .seconds(1)
        wanted.timeouts.request = .seconds(2)
        wanted.timeouts.streamIdle = .seconds(3)
        wanted.timeouts.idle = .seconds(4)
        wanted.version = .http2
        var tls = BackendTLSSettings(host: "cart.internal")
        tls.names = [.uri("spiffe://a/b")]
        tls.caPEM = Array("-----BEGIN CERTIFICATE-----".utf8)
        tls.minimumVersion = .tls13
        wanted.tls = tls
        wanted.requestsPerConnection = 1000
        wanted.takesEarlyData = true
        wanted.proxyProtocolVersion = 2
        #expect(snapshot.clusters[Self.cart]?.settings == wanted)
    }

    // MARK: Precedence

    @Test func theOlderOfTwoPoliciesWinsAndTheOtherIsToldSo() {
        let snapshot = ManifestFixture.snapshot(
            Self.listener("limits: { headerFields: 10 }", "young", day: 3)
                + Self.listener("limits: { headerFields: 20 }", "old", day: 2)
                + Self.backend("requestsPerConnection: 1", "young", day: 3)
                + Self.backend("requestsPerConnection: 2", "old", day: 2)
        )
        #expect(snapshot.listeners.first?.settings.limits.headerFields == 20)
        #expect(snapshot.clusters[Self.cart]?.settings.requestsPerConnection == 2)
        for kind in [ObjectKind.listenerPolicy, .backendPolicy] {
            #expect(condition(snapshot, kind, "young")?.reason == "Conflicted")
            #expect(condition(snapshot, kind, "young")?.status == .no)
            #expect(condition(snapshot, kind, "old")?.status == .yes)
        }
    }

    @Test func aSectionsPolicyIsLaidOverThatOfTheWhole() {
        let whole = Self.listener("limits: { headerFields: 10, headBytes: 1024 }", "whole")
        let section = Self.policy(
            "ListenerPolicy",
            "section",
            day: 3,
            target: "name: edge, sectionName: web",
            "limits: { headerFields: 20 }"
        )
        let port = Self.policy(
            "BackendPolicy",
            "port",
            day: 3,
            target: "name: cart, sectionName: http",
            "requestsPerConnection: 7"
        )
        let snapshot = ManifestFixture.snapshot(
            whole + section + Self.backend("version: HTTP2\nrequestsPerConnection: 1") + port
        )
        let limits = snapshot.listeners.first?.settings.limits
        #expect(limits?.headerFields == 20)
        #expect(limits?.headBytes == 1024)
        #expect(snapshot.clusters[Self.cart]?.settings.requestsPerConnection == 7)
        #expect(snapshot.clusters[Self.cart]?.settings.version == .http2)
    }

    @Test(arguments: [
        ("ListenerPolicy", "name: absent"), ("ListenerPolicy", "name: edge, sectionName: absent"),
        ("BackendPolicy", "name: absent"), ("BackendPolicy", "name: cart, sectionName: absent"),
    ])
    func aTargetThatIsNotThereIsTold(kind: String, target: String) throws {
        let snapshot = ManifestFixture.snapshot(Self.policy(kind, "p", target: target, ""))
        let found = condition(snapshot, try #require(ObjectKind(rawValue: kind)), "p")
        #expect(found?.reason == "TargetNotFound")
        #expect(found?.status == .no)
    }

    // MARK: TLS

    @Test func aBackendTLSPolicySetsWhomToBelieve() {
        let snapshot = ManifestFixture.snapshot(
            Self.bundle + Self.tls("t", "options: { martlet.mesh/minimum-version: \"1.3\" }")
        )
        var wanted = BackendTLSSettings(host: "cart.internal")
        wanted.caPEM = Array("-----BEGIN CERTIFICATE-----".utf8)
        wanted.minimumVersion = .tls13
        #expect(snapshot.clusters[Self.cart]?.settings.tls == wanted)
        #expect(condition(snapshot, .backendTLSPolicy, "t", "ResolvedRefs")?.status == .yes)
    }

    @Test func withoutItsAuthoritiesNothingIsSentToAService() {
        let snapshot = ManifestFixture.snapshot(Self.tls())
        let route = snapshot.httpRoutes[ObjectKey(.httpRoute, namespace: "shop", name: "cart")]
        guard case .invalid = route?.rules.first?.backends.first?.target else {
            Issue.record("the Service is used without TLS")
            return
        }
        #expect(snapshot.clusters[Self.cart]?.endpoints == [])
        #expect(condition(snapshot, .backendTLSPolicy, "t")?.reason == "NoValidCACertificate")
        let resolved = condition(snapshot, .backendTLSPolicy, "t", "ResolvedRefs")
        #expect(resolved?.reason == "InvalidCACertificateRef")
    }

    @Test func aListenerIsNotOpenedWithoutTheAuthoritiesOfItsClients() {
        let client =
            "tls: { clientCertificate: { mode: Required, caCertificateRefs: [{ name: ca }] } }"
        #expect(ManifestFixture.snapshot(Self.listener(client)).listeners.isEmpty)
        #expect(ManifestFixture.snapshot(Self.bundle + Self.listener(client)).listeners.count == 1)
        let none = ManifestFixture.snapshot(
            Self.listener("tls: { clientCertificate: { mode: Required } }")
        )
        #expect(none.listeners.isEmpty)
        #expect(condition(none, .listenerPolicy, "l")?.reason == "Invalid")
    }

    @Test func authoritiesOfAnotherNamespaceNeedAGrant() {
        let bundle = Self.bundle.replacing("namespace: shop", with: "namespace: keys")
        let policy = Self.backend(
            "tls: { hostname: a.b, caCertificateRefs: [{ name: ca, namespace: keys }] }"
        )
        let grant = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: ReferenceGrant
            metadata: { name: g, namespace: keys }
            spec:
              from: [{ group: martlet.mesh, kind: BackendPolicy, namespace: shop }]
              to: [{ group: "", kind: ConfigMap }]

            """
        let without = ManifestFixture.snapshot(bundle + policy)
        #expect(
            condition(without, .backendPolicy, "b", "ResolvedRefs")?.reason == "RefNotPermitted"
        )
        let with = ManifestFixture.snapshot(bundle + policy + grant)
        #expect(with.clusters[Self.cart]?.settings.tls?.caPEM.isEmpty == false)
    }

    // MARK: Fields of the Gateway API

    @Test func aGatewaysClientValidationIsThatOfItsHTTPSListeners() {
        let text = """
            apiVersion: v1
            kind: Secret
            metadata: { name: cert, namespace: shop }
            stringData: { tls.crt: c, tls.key: k }
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: Gateway
            metadata: { name: tls, namespace: shop }
            spec:
              gatewayClassName: martlet
              tls:
                frontend:
                  default: { validation: { caCertificateRefs: [{ kind: ConfigMap, group: "", name: ca }] } }
                  perPort:
                  - { port: 9002, tls: {} }
                  - port: 9003
                    tls:
                      validation:
                        caCertificateRefs: [{ kind: ConfigMap, group: "", name: ca }]
                        mode: AllowInsecureFallback
              listeners:
              - { name: a, port: 9001, protocol: HTTPS, tls: { certificateRefs: [{ name: cert }] } }
              - { name: b, port: 9002, protocol: HTTPS, tls: { certificateRefs: [{ name: cert }] } }
              - { name: c, port: 9003, protocol: HTTPS, tls: { certificateRefs: [{ name: cert }] } }
            ---

            """
        let snapshot = ManifestFixture.snapshot(text + Self.bundle)
        let settings = snapshot.listeners.filter { $0.id.gateway == "tls" }.map(\.settings.tls)
        #expect(settings.map(\.clientCertificate) == [.required, .none, .unverified])
        #expect(settings.map(\.clientCAPEM.isEmpty) == [false, true, false])
        let without = ManifestFixture.snapshot(text).listeners.filter { $0.id.gateway == "tls" }
        #expect(without.map(\.id.name) == ["b"])
    }

    @Test func aRulesRetriesAndMirrorsAreRead() throws {
        let snapshot = ManifestFixture.snapshot(
            """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: r, namespace: shop }
            spec:
              parentRefs: [{ name: edge }]
              rules:
              - retry: { codes: [502, 503], attempts: 3, backoff: 100ms }
                filters:
                - { type: RequestMirror, requestMirror: { backendRef: { name: cart, port: 80 }, percent: 5 } }
                - type: RequestMirror
                  requestMirror:
                    backendRef: { name: cart, port: 80 }
                    fraction: { numerator: 1, denominator: 1000 }
                backendRefs: [{ name: cart, port: 80 }]

            """
        )
        let route = snapshot.httpRoutes[ObjectKey(.httpRoute, namespace: "shop", name: "r")]
        let rule = try #require(route?.rules.first)
        #expect(rule.retries?.attempts == 3)
        #expect(rule.retries?.statuses == [502, 503])
        #expect(rule.retries?.conditions == [.connectFailure, .refused, .reset, .statuses])
        #expect(rule.retries?.backoff == .milliseconds(100))
        #expect(
            rule.mirrors == [
                RouteMirror(target: .cluster(Self.cart), numerator: 5, denominator: 100),
                RouteMirror(target: .cluster(Self.cart), numerator: 1, denominator: 1000),
            ]
        )
    }

    // MARK: Invalid objects

    @Test func theLastGoodVersionOfAPolicyServes() {
        var store = ManifestFixture.store(
            ManifestFixture.base + "---\n" + Self.backend("requestsPerConnection: 5")
        )
        ManifestFixture.add(Self.backend("requestsPerConnection: none"), to: &store)
        let snapshot = SnapshotReducer.reduce(store, ManifestFixture.settings)
        #expect(snapshot.clusters[Self.cart]?.settings.requestsPerConnection == 5)
        let key = ObjectKey(.backendPolicy, namespace: "shop", name: "b")
        guard
            case .refused(_, servesEarlierVersion: true)? = snapshot.objects[key]?.acceptance
        else {
            Issue.record("expected the new version to be refused")
            return
        }
    }

    @Test func aPolicyThatNeverWasValidKeepsAGuardedTargetShut() {
        let harmless = ManifestFixture.snapshot(
            Self.listener("color: red") + Self.backend("color: red")
        )
        #expect(harmless.listeners.count == 1)
        #expect(harmless.clusters[Self.cart]?.endpoints.isEmpty == false)
        let guarding = ManifestFixture.snapshot(
            Self.listener("tls: { color: red }") + Self.backend("tls: { color: red }")
        )
        #expect(guarding.listeners.isEmpty)
        #expect(guarding.clusters[Self.cart]?.endpoints == [])
    }

    @Test func aConfigMapNobodyRefersToIsNotShown() {
        let key = ObjectKey(.configMap, namespace: "shop", name: "ca")
        #expect(ManifestFixture.snapshot(Self.bundle).objects[key] == nil)
        #expect(ManifestFixture.snapshot(Self.bundle + Self.tls()).objects[key] != nil)
    }

    @Test(arguments: [
        ("ListenerPolicy", "limits: { headerFields: 7 }", "expected an integer of 8...128"),
        ("ListenerPolicy", "limits: { heads: 7 }", "spec.limits.heads: unknown key"),
        ("ListenerPolicy", "versions: []", "expected at least one of HTTP1, HTTP2"),
        ("ListenerPolicy", "timeouts: { head: 0s }", "expected a duration"),
        ("ListenerPolicy", "tls: { minimumVersion: \"1.1\" }", "expected one of 1.2, 1.3"),
        ("ListenerPolicy", "tls: { ciphers: [\"a:b\"] }", "expected an OpenSSL name"),
        (
            "ListenerPolicy", "tls: { minimumVersion: \"1.3\", maximumVersion: \"1.2\" }",
            "expected minimumVersion 1.3 to be at most"
        ),
        ("ListenerPolicy", "forwarding: { viaName: \"a b\" }", "expected a token"),
        ("BackendPolicy", "balancing: { algorithm: Best }", "expected one of RoundRobin, "),
        ("BackendPolicy", "balancing: { hashKeys: [{ type: Path, name: x }] }", "expected none"),
        (
            "BackendPolicy", "balancing: { algorithm: Maglev, tableSize: 100 }",
            "expected a prime"
        ),
        ("BackendPolicy", "healthCheck: { type: TCP, path: / }", "is for HTTP"),
        ("BackendPolicy", "healthCheck: {}", "expected one of HTTP, GRPC, TCP, found nothing"),
        ("BackendPolicy", "retries: { conditions: [Always] }", "expected of ConnectFailure"),
        ("BackendPolicy", "retries: { conditions: [Statuses] }", "expected at least one"),
        ("BackendPolicy", "hedging: { attempts: 1 }", "expected a duration, found nothing"),
        ("BackendPolicy", "affinity: { type: Source, name: x }", "expected none"),
        ("BackendPolicy", "tls: {}", "spec.tls.hostname: expected a string"),
        ("BackendPolicy", "proxyProtocolVersion: 3", "expected an integer of 0...2"),
    ])
    func aFaultIsToldWithItsReason(kind: String, spec: String, reason: String) throws {
        let target = kind == "ListenerPolicy" ? "name: edge" : "name: cart"
        let text = Self.policy(kind, "p", target: target, spec)
        let refused = ManifestReader.read(Array(text.utf8)).refused
        let faults = try #require(refused.first).faults
        #expect(faults.contains { $0.reason.contains(reason) && $0.line == 6 }, "\(faults)")
    }
}
