import Addressing
import Discovery
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// The agent with a cluster's API server, from outside: manifests by list and watch, requests through
/// its listener, what it says of itself.
@Suite(.serialized, .timeLimit(.minutes(4))) struct KubernetesAgentTests {
    private static let group = "/apis/gateway.networking.k8s.io"
    private static let routes = "\(group)/v1/httproutes"
    private static let host = "cart.example.com"

    /// A fake API server with a Gateway that leads to a fake backend, and an agent's files.
    private struct Rig {
        let api: RunningFakeAPIServer
        let backend: RunningFakeAPIServer
        let agent: AgentProcess
        let port: UInt16

        init() throws {
            api = try RunningFakeAPIServer()
            backend = try RunningFakeAPIServer()
            agent = try AgentProcess()
            let free = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
            port = try Socket.localAddress(of: free.rawValue).port
        }

        func remove() {
            agent.remove()
            api.stop()
            backend.stop()
        }

        var configuration: String {
            """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { kubernetes: { kubeconfig: kubeconfig } }
            workers: 1
            capture: { enabled: false }
            status: { listen: "127.0.0.1:0" }
            """
        }

        /// Fills the API server.
        func fill() async {
            let (port, backend) = (port, backend.port)
            await api.tell {
                $0.chunkByteCount = 100
                $0.upsert(
                    "\(KubernetesAgentTests.group)/v1/gatewayclasses",
                    "martlet",
                    "\(KubernetesAgentTests.typed("gateway.networking.k8s.io/v1", "GatewayClass"))\"spec\":{\"controllerName\":\"martlet.mesh/node-agent\"}",
                    namespace: ""
                )
                $0.upsert(
                    "\(KubernetesAgentTests.group)/v1/gateways",
                    "edge",
                    "\(KubernetesAgentTests.typed("gateway.networking.k8s.io/v1", "Gateway"))\"spec\":{\"gatewayClassName\":\"martlet\",\"addresses\":[{\"value\":"
                        + "\"127.0.0.1\"}],\"listeners\":[{\"name\":\"web\",\"port\":\(port),"
                        + "\"protocol\":\"HTTP\"}]}"
                )
                $0.upsert(
                    "/api/v1/services",
                    "cart",
                    "\(KubernetesAgentTests.typed("v1", "Service"))\"spec\":{\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"port\":80}]}"
                )
                $0.upsert(
                    "/apis/discovery.k8s.io/v1/endpointslices",
                    "cart-1",
                    "\(KubernetesAgentTests.typed("discovery.k8s.io/v1", "EndpointSlice"))\"addressType\":\"IPv4\",\"ports\":[{\"port\":\(backend)}],\"endpoints\":"
                        + "[{\"addresses\":[\"127.0.0.1\"],\"conditions\":{\"ready\":true}}]",
                    labels: ["kubernetes.io/service-name": "cart"]
                )
            }
            await route(KubernetesAgentTests.host)
        }

        /// Gives the route a host name.
        func route(_ host: String) async {
            await api.tell { KubernetesAgentTests.setRoute($0, host) }
        }

        func kubeconfig(scheme: String = "http", cluster: String = "", user: String = "{}") throws {
            try agent.write(
                "kubeconfig",
                """
                apiVersion: v1
                kind: Config
                current-context: c
                contexts: [{ name: c, context: { cluster: c, user: u } }]
                clusters: [{ name: c, cluster: { server: "\(scheme)://127.0.0.1:\(api.port)"\(cluster) } }]
                users: [{ name: u, user: \(user) }]
                """
            )
        }

        /// The status of a request through the agent's listener.
        func request(_ host: String = KubernetesAgentTests.host) -> String {
            Command.run(
                "curl -s -m 5 -o /dev/null -w '%{http_code}' -H 'Host: \(host)' "
                    + "http://127.0.0.1:\(port)/api/v1/things"
            ).output
        }

        var source: SourceRow { SourceRow(agent) }
    }

    /// The first source of `/status`.
    private struct SourceRow {
        let isConnected: Bool
        let isStale: Bool
        let fault: String

        init(_ agent: AgentProcess) {
            let text = agent.ask("/status").split(separator: "\n").first.map(String.init) ?? ""
            let source = JSONText.parse(text)?["sources"]?.elements.first
            isConnected = source?["connected"] == .bool(true)
            isStale = source?["stale"] == .bool(true)
            fault = source?["fault"]?.text ?? ""
        }
    }

    private static func typed(_ version: String, _ kind: String) -> String {
        "\"apiVersion\":\"\(version)\",\"kind\":\"\(kind)\","
    }

    private static func setRoute(_ server: FakeAPIServer, _ host: String) {
        server.upsert(
            routes,
            "cart",
            "\(typed("gateway.networking.k8s.io/v1", "HTTPRoute"))\"spec\":{\"parentRefs\":[{\"name\":\"edge\"}],\"hostnames\":[\"\(host)\"],"
                + "\"rules\":[{\"backendRefs\":[{\"name\":\"cart\",\"port\":80}]}]}"
        )
    }

    private func withAgent(_ body: (Rig) async throws -> Void) async throws {
        let rig = try Rig()
        defer { rig.remove() }
        await rig.fill()
        try rig.kubeconfig()
        let pid = try #require(try rig.agent.start(rig.configuration))
        defer { _ = rig.agent.stop(pid) }
        #expect(rig.agent.waits { rig.request() == "200" }, "\(rig.agent.errors)")
        try await body(rig)
    }

    @Test func theAgentServesWhatTheClusterSaysOverTLSWithATokenFile() async throws {
        let rig = try Rig()
        defer { rig.remove() }
        let authority = TestAuthority(in: rig.agent.directory, name: "ca")
        let leaf = try authority.issue("api", alternativeNames: "IP:127.0.0.1")
        await rig.fill()
        await rig.api.tell {
            $0.token = "one"
            $0.setTLS(.init(certificate: leaf.certificate, key: leaf.key))
        }
        try rig.agent.write("token", "one\n")
        try rig.kubeconfig(
            scheme: "https",
            cluster: ", certificate-authority: ca.crt",
            user: "{ tokenFile: token }"
        )
        let pid = try #require(try rig.agent.start(rig.configuration))
        defer { _ = rig.agent.stop(pid) }
        #expect(rig.agent.waits { rig.request() == "200" }, "\(rig.agent.errors)")
        #expect(rig.request("other.example.com") == "404")
        let conditions = rig.agent.conditions("Gateway shop/edge")
        #expect(conditions["Programmed"] == "True/Programmed", "\(conditions)")
        #expect(rig.agent.waits { rig.source.isConnected })
        let pods = await rig.api.ask { $0.seen.first { $0.path == "/api/v1/pods" }?.target }
        #expect(
            pods??.contains("fieldSelector=spec.nodeName%3D\(rig.agent.node)") == true,
            "\(pods as Any)"
        )
        let secrets = await rig.api.ask { $0.seen.contains { $0.path.hasSuffix("/secrets") } }
        #expect(secrets == false)
        // The token is replaced, and the old one is no longer taken.
        try rig.agent.write("token", "two\n")
        await rig.api.tell {
            $0.token = "two"
            $0.disconnect()
        }
        await rig.route("next.example.com")
        #expect(rig.agent.waits { rig.request("next.example.com") == "200" })
        #expect(rig.request() == "404")
    }

    /// What happens to the API server and its connections.
    enum Disturbance: CaseIterable, Sendable {
        case none, watchesExpire, connectionsBreak, historyForgotten, goneInStream, errorInStream
        case bookmark, overloaded, responseCutOff
    }

    @Test func everyChangeArrivesWhateverBecomesOfConnections() async throws {
        try await withAgent { rig in
            for (number, disturbance) in Disturbance.allCases.enumerated() {
                let host = "h\(number).example.com"
                await rig.api.tell { server in
                    switch disturbance {
                    case .none: break
                    case .watchesExpire: server.expireWatches()
                    case .connectionsBreak: server.disconnect()
                    case .historyForgotten:
                        server.disconnect()
                        KubernetesAgentTests.setRoute(server, host)
                        server.compact()
                    case .goneInStream: server.failWatches(code: 410)
                    case .errorInStream: server.failWatches(code: 500)
                    case .bookmark:
                        server.bookmark()
                        server.disconnect()
                    case .overloaded:
                        server.statuses[KubernetesAgentTests.routes] = 503
                        server.disconnect()
                    case .responseCutOff:
                        server.cutByteCount = 300
                        server.breaksAtCut = true
                        server.disconnect()
                    }
                    if disturbance != .historyForgotten {
                        KubernetesAgentTests.setRoute(server, host)
                    }
                }
                if disturbance == .overloaded {
                    #expect(rig.agent.waits { rig.source.fault.contains("503") })
                    await rig.api.tell { $0.statuses = [:] }
                }
                #expect(rig.agent.waits { rig.request(host) == "200" }, "\(disturbance)")
            }
            await rig.api.tell { $0.delete(KubernetesAgentTests.routes, "cart") }
            #expect(rig.agent.waits { rig.request("h8.example.com") == "404" })
            #expect(rig.agent.object("HTTPRoute shop/cart") == nil)
        }
    }

    @Test func theLastSnapshotServesWhileTheServerIsAwayAndARestartServesTheMirror() async throws {
        let rig = try Rig()
        defer { rig.remove() }
        await rig.fill()
        try rig.kubeconfig()
        let first = try #require(try rig.agent.start(rig.configuration))
        #expect(rig.agent.waits { rig.request() == "200" && rig.source.isConnected })
        let mirror = "/var/lib/martlet/\(rig.agent.node)/mirror"
        #expect(rig.agent.waits { FileSystem.kind(of: "\(mirror)/HTTPRoute.mirror") != nil })
        await rig.api.tell {
            $0.isAway = true
            $0.disconnect()
        }
        #expect(rig.agent.waits { !rig.source.isConnected && !rig.source.fault.isEmpty })
        #expect(rig.request() == "200")
        #expect(rig.agent.ask("/readyz").hasSuffix("200"))
        let modes = Command.run("stat -c %a \(mirror)/*").output.split(separator: "\n")
        #expect(modes.count >= 5 && Set(modes) == ["600"], "\(modes)")

        // Killed and started again, it serves before the server answers, and says so.
        _ = Command.run("kill -9 \(first); sleep 0.2")
        let second = try #require(try rig.agent.start(rig.configuration))
        defer { _ = rig.agent.stop(second) }
        #expect(rig.agent.waits { rig.request() == "200" }, "\(rig.agent.errors)")
        #expect(rig.source.isStale && !rig.source.isConnected)
        #expect(rig.agent.object("HTTPRoute shop/cart")?["stale"] == .bool(true))

        // Back, with one object gone and another changed meanwhile.
        await rig.api.tell {
            $0.delete("/apis/gateway.networking.k8s.io/v1/gateways", "none")
            KubernetesAgentTests.setRoute($0, "back.example.com")
            $0.compact()
            $0.isAway = false
        }
        #expect(rig.agent.waits { rig.request("back.example.com") == "200" })
        #expect(rig.agent.waits { !rig.source.isStale && rig.source.isConnected })
        #expect(rig.agent.object("HTTPRoute shop/cart")?["stale"] == .bool(false))
    }

    @Test func anInvalidVersionIsRefusedWithItsReasonAndTheGoodOneServes() async throws {
        try await withAgent { rig in
            await rig.api.tell {
                $0.upsert(
                    KubernetesAgentTests.routes,
                    "cart",
                    "\(KubernetesAgentTests.typed("gateway.networking.k8s.io/v1", "HTTPRoute"))\"spec\":{\"parentRefs\":[{\"name\":\"edge\"}],\"rules\":[{\"x\":1}]}"
                )
            }
            #expect(
                rig.agent.waits {
                    rig.agent.object("HTTPRoute shop/cart")?["accepted"] == .bool(false)
                }
            )
            let object = rig.agent.object("HTTPRoute shop/cart")
            #expect(object?["reason"]?.text == "spec.rules[0].x: unknown key")
            #expect(object?["servesEarlierVersion"] == .bool(true))
            let conditions = rig.agent.conditions("HTTPRoute shop/cart")
            #expect(conditions["Accepted"] == "False/UnsupportedValue", "\(conditions)")
            #expect(rig.request() == "200")
        }
    }
}
