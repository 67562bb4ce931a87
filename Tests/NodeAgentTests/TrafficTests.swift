import Addressing
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// Requests through the running agent, as its peers see them.
@Suite(.serialized, .timeLimit(.minutes(4))) struct TrafficTests {
    private static let host = "shop.example.com"

    private func withAgent(
        _ backend: UInt16,
        listeners: String? = nil,
        _ body: (EdgeRig) throws -> Void
    ) throws {
        var plan = EdgeRig.Plan(backends: [backend], route: EdgeRig.route(host: Self.host))
        if let listeners { plan.listeners = listeners }
        try EdgeRig.run(plan, body)
    }

    private func curl(_ rig: EdgeRig, _ options: String = "", path: String = "/") -> String {
        rig.command(path, "-H 'host: \(Self.host)' \(options)")
    }

    private static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    /// The lines of the access log, once there are as many.
    private func log(_ rig: EdgeRig, _ count: Int) -> [JSONValue] {
        var lines: [JSONValue] = []
        _ = rig.agent.waits {
            lines = rig.log.split(separator: "\n").compactMap { JSONText.parse(String($0)) }
            return lines.count >= count
        }
        return lines
    }

    @Test func theAccessLogSaysWhatBecameOfEveryRequest() throws {
        let backend = try HeldBackend()
        try withAgent(backend.port) { rig in
            let agent = rig.agent
            let options = "--http2-prior-knowledge -d abc -H 'x-request-id: mine' -o /dev/null"
            _ = Command.run("\(curl(rig, options, path: "/a?b")) >/dev/null 2>&1 &")
            let request = try #require(backend.takeRequest())
            _ = Command.run("sleep 0.1")
            backend.answer(request.fd, Self.ok)
            let line = try #require(log(rig, 1).first)
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
            _ = Command.run("curl -s -m 5 -o /dev/null http://127.0.0.1:\(rig.port)/")
            _ = Command.run(curl(rig, "-o /dev/null --http1.1 -H 'content-length: x'"))
            let lines = log(rig, 3)
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
            let labels = "cluster=\"shop/here:80\",endpoint=\"127.0.0.1:\(backend.port)\""
            for line in [
                "martlet_endpoint_requests_total{\(labels)} 1",
                "martlet_endpoint_errors_total{\(labels)} 0",
                "martlet_endpoint_active_requests{\(labels)} 0",
                "martlet_cluster_connect_duration_seconds_count{cluster=\"shop/here:80\"} 1",
            ] {
                #expect(metrics.contains("\n\(line)\n"), "\(line)")
            }
            let shown = agent.ask("/config").split(separator: "\n").first.map(String.init) ?? ""
            let cluster = JSONText.parse(shown)?["clusters"]?.elements.first
            #expect(cluster?["endpoints"]?.elements.first?["tries"]?.int == 1)
        }
    }

    @Test func anExchangeInHandEndsBeforeTheAgentDoes() throws {
        let backend = try HeldBackend()
        try withAgent(backend.port) { rig in
            let (agent, pid) = (rig.agent, rig.pid)
            let file = "\(agent.directory)/answer"
            let command = curl(rig, "-o /dev/null -w '%{http_code}'")
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
        try withAgent(backend.port) { rig in
            let agent = rig.agent
            let path = "/api/v1/things?[1-600]"
            for (name, options) in [("kept", ""), ("closed", "-H 'connection: close'")] {
                let command = curl(rig, "-o /dev/null -w '%{http_code}\\n' \(options)", path: path)
                let file = "\(agent.directory)/\(name)"
                _ = Command.run("(\(command) >\(file) 2>&1; echo end >>\(file)) >/dev/null &")
            }
            for number in 0..<10 {
                let filter =
                    "filters: [{ type: RequestHeaderModifier, requestHeaderModifier: "
                    + "{ set: [{ name: x-turn, value: \"\(number)\" }] } }]"
                try agent.write("manifests/route.yaml", EdgeRig.route(host: Self.host, filter))
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
        let tcp = "{ name: raw, port: @PORT@, protocol: TCP }"
        try withAgent(backend.port, listeners: tcp) { rig in
            let agent = rig.agent
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
            let command = curl(rig, "--retry 5 --retry-all-errors -o /dev/null -w '%{http_code}'")
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
        let tls =
            "{ name: tls, port: @PORT@, protocol: HTTPS, hostname: shop.example.com, "
            + "tls: { certificateRefs: [{ name: pair }] } }"
        let ask = { (rig: EdgeRig, authority: TestAuthority, options: String) in
            "curl -s -m 9 -o /dev/null -w '%{http_code}' --cacert \(authority.certificate) "
                + "--resolve shop.example.com:\(rig.port):127.0.0.1 "
                + "\(options) https://shop.example.com:\(rig.port)/"
        }
        // Answered by the agent itself: whether the certificate is of the authority.
        let isServed = { (rig: EdgeRig, authority: TestAuthority) in
            Command.run(ask(rig, authority, "-H 'host: none.example.com'")).output == "404"
        }
        try withAgent(backend.port, listeners: tls) { rig in
            let agent = rig.agent
            let old = TestAuthority(in: agent.directory, name: "old")
            let new = TestAuthority(in: agent.directory, name: "new")
            let names = "DNS:shop.example.com"
            let first = try old.issue("a", alternativeNames: names)
            let second = try new.issue("b", alternativeNames: names)
            try agent.write("manifests/pair.yaml", secret(first))
            #expect(agent.waits { isServed(rig, old) }, "\(agent.ask("/objects"))")
            let file = "\(agent.directory)/answer"
            _ = Command.run("\(ask(rig, old, "")) >\(file) 2>/dev/null &")
            let request = try #require(backend.takeRequest())
            try agent.write("manifests/pair.yaml", secret(second))
            #expect(agent.waits { isServed(rig, new) })
            #expect(!isServed(rig, old))
            backend.answer(request.fd, Self.ok)
            #expect(agent.waits { (try? FileSystem.readText(file)) == "200" })
        }
    }
}
