import Addressing
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// Requests through the running agent, as its peers see them.
@Suite(.serialized, .timeLimit(.minutes(4))) struct TrafficTests {
    private func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        return try Socket.localAddress(of: probe.rawValue).port
    }

    private func base(_ listeners: String, backend: UInt16) -> String {
        """
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
          listeners: [\(listeners)]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: here, namespace: shop }
        spec: { clusterIP: 10.96.0.9, ports: [{ port: 80 }] }
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: { name: here-1, namespace: shop, labels: { kubernetes.io/service-name: here } }
        addressType: IPv4
        ports: [{ port: \(backend) }]
        endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
        """
    }

    private func route(_ more: String = "") -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: all, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          hostnames: [shop.example.com]
          rules:
          - backendRefs: [{ name: here, port: 80 }]
            \(more)
        """
    }

    private func web(_ port: UInt16) -> String {
        "{ name: web, port: \(port), protocol: HTTP }"
    }

    private func withAgent(
        _ listeners: String,
        backend: UInt16,
        _ body: (AgentProcess, Int32) throws -> Void
    ) throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write("manifests/base.yaml", base(listeners, backend: backend))
        try agent.write("manifests/route.yaml", route())
        let configuration = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 2
            capture: { enabled: false }
            ingress: { accessLog: "\(agent.directory)/access.log" }
            status: { listen: "127.0.0.1:0" }
            """
        let pid = try #require(try agent.start(configuration))
        defer { _ = agent.stop(pid) }
        try body(agent, pid)
    }

    private func curl(_ port: UInt16, _ options: String = "", path: String = "/") -> String {
        "curl -s -m 5 -H 'host: shop.example.com' \(options) 'http://127.0.0.1:\(port)\(path)'"
    }

    private static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    /// The lines of the access log, once there are as many.
    private func log(_ agent: AgentProcess, _ count: Int) -> [JSONValue] {
        var lines: [JSONValue] = []
        _ = agent.waits {
            let text = (try? FileSystem.readText("\(agent.directory)/access.log")) ?? ""
            lines = text.split(separator: "\n").compactMap { JSONText.parse(String($0)) }
            return lines.count >= count
        }
        return lines
    }

    @Test func theAccessLogSaysWhatBecameOfEveryRequest() throws {
        let backend = try HeldBackend()
        let port = try freePort()
        try withAgent(web(port), backend: backend.port) { agent, _ in
            let options = "--http2-prior-knowledge -d abc -H 'x-request-id: mine' -o /dev/null"
            _ = Command.run("\(curl(port, options, path: "/a?b")) >/dev/null 2>&1 &")
            let request = try #require(backend.takeRequest())
            _ = Command.run("sleep 0.1")
            backend.answer(request.fd, Self.ok)
            let line = try #require(log(agent, 1).first)
            #expect(line["start_time"]?.text?.hasSuffix("Z") == true)
            #expect(line["method"]?.text == "POST" && line["path"]?.text == "/a?b")
            #expect(line["protocol"]?.text == "HTTP/2" && line["response_code"]?.int == 200)
            #expect(line["response_flags"]?.text == "-")
            #expect(line["bytes_received"]?.int == 3 && line["bytes_sent"]?.int == 2)
            #expect(line["duration"]?.int ?? 0 >= 50)
            #expect(line["upstream_service_time"]?.int ?? 0 >= 50)
            #expect(line["upstream_host"]?.text == "127.0.0.1:\(backend.port)")
            #expect(line["route_name"]?.text?.contains("shop/all") == true)
            #expect(line["x_request_id"]?.text == "mine")
            #expect(line["downstream_remote_address"]?.text?.hasPrefix("127.0.0.1:") == true)
            #expect(line["plugin"] == .null)
            _ = Command.run("curl -s -m 5 -o /dev/null http://127.0.0.1:\(port)/")
            _ = Command.run(curl(port, "-o /dev/null --http1.1 -H 'content-length: x'"))
            let lines = log(agent, 3)
            #expect(lines.count == 3)
            let unrouted = try #require(lines.dropFirst().first)
            #expect(unrouted["protocol"]?.text == "HTTP/1.1")
            #expect(unrouted["response_code"]?.int == 404)
            #expect(unrouted["response_flags"]?.text == "NR")
            #expect(unrouted["upstream_host"] == .null)
            #expect(unrouted["x_request_id"]?.text?.isEmpty == false)
            #expect(lines.last?["response_code"]?.int == 400)
            #expect(lines.last?["response_flags"]?.text == "DPE")
            let metrics = agent.ask("/metrics")
            #expect(metrics.contains("martlet_build_info{"))
            let counted = metrics.split(separator: "\n").contains {
                $0.contains("shop/all") && $0.hasSuffix(" 1")
            }
            #expect(counted, "\(metrics)")
        }
    }

    @Test func anExchangeInHandEndsBeforeTheAgentDoes() throws {
        let backend = try HeldBackend()
        let port = try freePort()
        try withAgent(web(port), backend: backend.port) { agent, pid in
            let file = "\(agent.directory)/answer"
            let command = curl(port, "-o /dev/null -w '%{http_code}'")
            _ = Command.run("\(command) >\(file) 2>/dev/null &")
            let request = try #require(backend.takeRequest())
            _ = Command.run("kill \(pid)")
            #expect(agent.waits { agent.ask("/readyz").hasSuffix("503") })
            #expect(FileSystem.kind(of: "/proc/\(pid)") != nil)
            backend.answer(request.fd, Self.ok)
            #expect(agent.waits { (try? FileSystem.readText(file)) == "200" })
            #expect(agent.waits { FileSystem.kind(of: "/proc/\(pid)") == nil })
            #expect(agent.errors.contains("has stopped"))
        }
    }

    @Test func changesOfManifestsUnderLoadLoseNoRequest() throws {
        let backend = try RunningFakeAPIServer()
        defer { backend.stop() }
        let port = try freePort()
        try withAgent(web(port), backend: backend.port) { agent, _ in
            let path = "/api/v1/things?[1-600]"
            for (name, options) in [("kept", ""), ("closed", "-H 'connection: close'")] {
                let command = curl(port, "-o /dev/null -w '%{http_code}\\n' \(options)", path: path)
                let file = "\(agent.directory)/\(name)"
                _ = Command.run("(\(command) >\(file) 2>&1; echo end >>\(file)) >/dev/null &")
            }
            for number in 0..<10 {
                let filter = """
                    filters:
                        - type: RequestHeaderModifier
                          requestHeaderModifier: { set: [{ name: x-turn, value: "\(number)" }] }
                    """
                try agent.write("manifests/route.yaml", route(filter))
                _ = Command.run("sleep 0.15")
            }
            for name in ["kept", "closed"] {
                let text = { (try? FileSystem.readText("\(agent.directory)/\(name)")) ?? "" }
                #expect(agent.waits { text().hasSuffix("end\n") })
                let codes = text().split(separator: "\n").dropLast()
                #expect(codes.count == 600)
                #expect(codes.allSatisfy { $0 == "200" }, "\(name): \(Set(codes))")
            }
        }
    }

    @Test func aTCPRoutesConnectionsAreRelayed() throws {
        let backend = try HeldBackend()
        let port = try freePort()
        let tcp = "{ name: raw, port: \(port), protocol: TCP }"
        try withAgent(tcp, backend: backend.port) { agent, _ in
            try agent.write(
                "manifests/tcp.yaml",
                """
                apiVersion: gateway.networking.k8s.io/v1alpha2
                kind: TCPRoute
                metadata: { name: raw, namespace: shop }
                spec:
                  parentRefs: [{ name: edge }]
                  rules: [{ backendRefs: [{ name: here, port: 80 }] }]
                """
            )
            #expect(agent.waits { agent.object("TCPRoute shop/raw") != nil })
            let file = "\(agent.directory)/answer"
            let command = curl(port, "--retry 5 --retry-all-errors -o /dev/null -w '%{http_code}'")
            _ = Command.run("\(command) >\(file) 2>/dev/null &")
            let request = try #require(backend.takeRequest())
            #expect(!request.text.lowercased().contains("x-request-id"), "bytes, not HTTP")
            backend.answer(request.fd, Self.ok)
            #expect(agent.waits { (try? FileSystem.readText(file))?.hasSuffix("200") == true })
        }
    }

    /// A Secret of a certificate.
    private func secret(_ leaf: TestAuthority.Leaf) throws -> String {
        let indented = { (path: String) in
            try FileSystem.readText(path).split(separator: "\n").map { "    \($0)" }
                .joined(separator: "\n")
        }
        return """
            apiVersion: v1
            kind: Secret
            metadata: { name: pair, namespace: shop }
            stringData:
              tls.crt: |
            \(try indented(leaf.certificate))
              tls.key: |
            \(try indented(leaf.key))
            """
    }

    @Test func aNewCertificateHoldsForNewConnectionsAndBreaksNone() throws {
        let backend = try HeldBackend()
        let port = try freePort()
        let tls =
            "{ name: tls, port: \(port), protocol: HTTPS, hostname: shop.example.com, "
            + "tls: { certificateRefs: [{ name: pair }] } }"
        let ask = { (authority: TestAuthority, options: String) in
            "curl -s -m 9 -o /dev/null -w '%{http_code}' --cacert \(authority.certificate) "
                + "--resolve shop.example.com:\(port):127.0.0.1 "
                + "\(options) https://shop.example.com:\(port)/"
        }
        // Answered by the agent itself: whether the certificate is of the authority.
        let isServed = { (authority: TestAuthority) in
            Command.run(ask(authority, "-H 'host: none.example.com'")).output == "404"
        }
        try withAgent(tls, backend: backend.port) { agent, _ in
            let old = TestAuthority(in: agent.directory, name: "old")
            let new = TestAuthority(in: agent.directory, name: "new")
            let names = "DNS:shop.example.com"
            let first = try old.issue("a", alternativeNames: names)
            let second = try new.issue("b", alternativeNames: names)
            try agent.write("manifests/pair.yaml", secret(first))
            #expect(agent.waits { isServed(old) }, "\(agent.ask("/objects"))")
            let file = "\(agent.directory)/answer"
            _ = Command.run("\(ask(old, "")) >\(file) 2>/dev/null &")
            let request = try #require(backend.takeRequest())
            try agent.write("manifests/pair.yaml", secret(second))
            #expect(agent.waits { isServed(new) })
            #expect(!isServed(old))
            backend.answer(request.fd, Self.ok)
            #expect(agent.waits { (try? FileSystem.readText(file)) == "200" })
        }
    }
}
