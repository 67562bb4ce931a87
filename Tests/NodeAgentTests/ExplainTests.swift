import Addressing
import Discovery
import LinuxSystem
import MeshModel
import Testing

@testable import NodeAgent

/// `martlet explain request`: the tables' answer, and why no other rule takes the request.
@Suite struct ExplainTests {
    @Test(arguments: [
        ("GET http://H.example", false, "h.example", 80, "/"),
        ("GET https://h.example/a?b=c", true, "h.example", 443, "/a?b=c"),
        ("GET http://h.example:8080?b", false, "h.example", 8_080, "/?b"),
        ("GET http://[2001:db8::1]:81/a", false, "[2001:db8::1]", 81, "/a"),
        ("GET http://[2001:db8::1]/", false, "[2001:db8::1]", 80, "/"),
    ])
    func aQuestionIsRead(
        text: String,
        isTLS: Bool,
        host: String,
        port: Int,
        target: String
    ) throws {
        let question = try RequestQuestion(text, at: nil)
        #expect(question.method == "GET" && question.isTLS == isTLS)
        #expect(question.host == host && question.port == UInt16(port))
        #expect(question.target == target)
    }

    @Test(arguments: [
        "", "GET", "GET /", "GET ftp://h/", "GET http:///", "GET http://h:0/", "GET http://h:x/",
        "GET http://h/ more", "GET http://h/\nheader",
        "GET http://h/" + String(repeating: "\na: b", count: 33),
    ])
    func whatIsNoQuestionIsRefused(text: String) {
        let fault = #expect(throws: RequestQuestion.Fault.self) {
            try RequestQuestion(text, at: nil)
        }
        #expect(fault?.reason.hasPrefix("expected") == true)
    }

    private static let manifests = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GatewayClass
        metadata: { name: martlet }
        spec: { controllerName: martlet.mesh/node-agent }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: edge, namespace: shop }
        spec:
          gatewayClassName: martlet
          addresses: [{ value: 127.0.0.1 }]
          listeners: [{ name: web, port: @PORT@, protocol: HTTP, hostname: "*.example.com" }]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: cart, namespace: shop }
        spec: { clusterIP: 10.96.7.1, ports: [{ port: 80, appProtocol: http }] }
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: { name: cart-1, namespace: shop, labels: { kubernetes.io/service-name: cart } }
        addressType: IPv4
        ports: [{ port: 8000 }]
        endpoints:
        - { addresses: [127.0.0.7], conditions: { ready: true } }
        - { addresses: [127.0.0.8], conditions: { ready: false } }
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: empty, namespace: shop }
        spec: { clusterIP: 10.96.7.2, ports: [{ port: 80, appProtocol: http }] }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: cart, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          rules:
          - matches: [{ path: { value: /cart } }]
            backendRefs: [{ name: cart, port: 80 }]
          - matches: [{ path: { value: /cart }, headers: [{ name: x-user, value: "1" }] }]
            backendRefs: [{ name: cart, port: 80, weight: 3 }, { name: empty, port: 80 }]
          - matches: [{ path: { type: RegularExpression, value: "/v[0-9]+" }, method: POST }]
            filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }]
          - matches: [{ path: { value: /gone } }]
            backendRefs: [{ name: gone, port: 80 }]
          - matches: [{ path: { value: /empty } }]
            backendRefs: [{ name: empty, port: 80 }]
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: mesh, namespace: shop }
        spec:
          parentRefs: [{ group: "", kind: Service, name: cart, port: 80 }]
          rules:
          - matches: [{ queryParams: [{ name: q, value: "1" }] }]
            backendRefs: [{ name: cart, port: 80 }]
        ---
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: guard, namespace: shop }
        spec:
          targetRef: { group: gateway.networking.k8s.io, kind: Gateway, name: edge }
          filters: { sourceGuard: { config: {} } }
        """

    /// What an agent says of requests, by `martlet explain request … -o json`.
    @Test func everyAnswerNamesItsReason() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        let probe = try Socket.listen(on: .init(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: probe.rawValue).port
        try probe.close()
        let manifests = Self.manifests.replacing("@PORT@", with: "\(port)")
        try agent.write("manifests/all.yaml", manifests)
        let pid = try #require(
            try agent.start(
                """
                node: { name: \(agent.node), addresses: [127.0.0.1] }
                sources: { manifests: manifests }
                workers: 2
                status: { listen: "127.0.0.1:0" }
                """
            )
        )
        defer { _ = agent.stop(pid) }
        func ask(_ request: String) throws -> JSONValue {
            let outcome = agent.martlet(
                "explain request \(request) -o json --socket \(agent.socket)"
            )
            #expect(outcome.status == 0, "\(outcome.output)")
            return try #require(JSONText.parse(outcome.output))
        }
        let url = "http://a.example.com:\(port)"

        let plain = try ask("GET \(url)/%63art/x")
        #expect(plain["answer"] == .string("forwarded"))
        #expect(plain["route"] == .string("shop/cart/0"))
        #expect(plain["path"] == .string("/cart/x"), "by the one form of the path")
        #expect(plain["listener"] == .string("shop/edge/web"))
        #expect(plain["host"] == .string("*.example.com"))
        #expect(plain["plugins"]?.elements.first?["name"] == .string("sourceGuard"))
        let backend = try #require(plain["backends"]?.elements.first)
        #expect(backend["usable"] == .string("1 of 2"))
        let others = plain["others"]?.elements ?? []
        #expect(others.count == 4)
        #expect(
            others.first?["why"] == .string("expected header x-user to be \"1\", found none")
        )

        let user = try ask("GET \(url)/cart -H 'X-User: 1'")
        #expect(user["route"] == .string("shop/cart/1"))
        #expect(user["backends"]?.elements.first?["share"] == .number(0.75))
        let general = user["others"]?.elements.first
        #expect(general?["why"]?.text?.contains("more specific or older") == true)

        for (request, answer, why) in [
            ("POST \(url)/v12", "status 302", "redirects"),
            ("GET \(url)/gone", "status 500", "no valid backend"),
            ("GET \(url)/empty", "status 503", "no backend has a usable endpoint"),
            ("GET \(url)/none", "status 404", "no rule takes it"),
            ("GET http://other.test:\(port)/", "status 404", "no host of this entry point"),
            ("GET \(url)/a/../b", "status 400", "can be read in two ways"),
            ("GET http://a.example.com:1/", "no listener", "port 1"),
        ] {
            let found = try ask(request)
            #expect(found["answer"] == .string(answer), "\(request)")
            #expect(found["why"]?.text?.contains(why) == true, "\(request): \(found)")
        }

        let captured = try ask("GET 'http://cart/?q=1' --at 10.96.7.1")
        #expect(captured["why"]?.text?.contains("no pod of this node is captured") == true)

        let table = agent.martlet("explain request GET \(url)/cart --socket \(agent.socket)").output
        #expect(
            table.contains("route     shop/cart/0") && table.contains("other rules"),
            "\(table)"
        )
    }

    @Test func aCapturedCallIsAskedAboutByItsClusterIP() throws {
        let rig = try WayRig(.captured)
        let outcome = rig.agent.martlet(
            "explain request GET http://here/x --at \(WayRig.clusterIP) -o json "
                + "--socket \(rig.agent.socket)"
        )
        let document = try #require(JSONText.parse(outcome.output))
        #expect(document["entry"] == .string("mesh shop/here:80"))
        #expect(document["route"] == .string("shop/all/0"))
        #expect(document["answer"] == .string("forwarded"))
    }
}
