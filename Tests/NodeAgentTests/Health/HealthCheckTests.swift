import Addressing
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// Endpoints that fail their probes get no requests, and get them again once they pass.
@Suite(.serialized, .timeLimit(.minutes(4))) struct HealthCheckTests {
    /// Two servers that say who they are; each passes its probe while its file is there. Over HTTP
    /// by `/healthz`, over gRPC by `grpc.health.v1`.
    private static let servers = """
        import http.server, os, sys, threading
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                body = self.server.name.encode()
                isAlive = os.path.exists(self.server.name)
                self.send_response(503 if self.path == "/healthz" and not isAlive else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *arguments): pass
        for name in ("a", "b"):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.name = name
            open("port-" + name, "w").write(str(server.server_port))
            threading.Thread(target=server.serve_forever).start()
        """

    private static let grpcServer = """
        import os, time
        from concurrent import futures
        import grpc
        class Handler(grpc.GenericRpcHandler):
            def service(self, call):
                if call.method != "/grpc.health.v1.Health/Check": return None
                def check(request, context):
                    isAlive = request == b"\\n\\x04shop" and os.path.exists("a")
                    return b"\\x08\\x01" if isAlive else b"\\x08\\x02"
                return grpc.unary_unary_rpc_method_handler(check)
        server = grpc.server(futures.ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((Handler(),))
        if os.path.exists("server.crt"):
            pair = (open("server.key", "rb").read(), open("server.crt", "rb").read())
            credentials = grpc.ssl_server_credentials([pair])
            port = server.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        open("port-g", "w").write(str(port))
        server.wait_for_termination()
        """

    /// - Parameter tls: more of the policy, then more objects.
    private static func policy(_ check: String, _ tls: (policy: String, objects: String)) -> String
    {
        """
        apiVersion: martlet.mesh/v1alpha1
        kind: BackendPolicy
        metadata: { name: here, namespace: shop }
        spec:
          targetRefs: [{ name: here }]
          balancing: { panicPercent: 0 }
          healthCheck: { \(check), interval: 100ms, timeout: 2s, unhealthyCount: 2 }
          \(tls.policy)
        \(tls.objects)
        """
    }

    /// Runs an agent before servers of a script.
    private func withAgent(
        _ script: String,
        _ names: [String],
        _ check: String,
        tls: (AgentProcess) throws -> (policy: String, objects: String) = { _ in ("", "") },
        _ body: (AgentProcess, UInt16) throws -> Void
    ) throws {
        let agent = try AgentProcess()
        let folder = agent.directory
        try agent.write("servers.py", script)
        for name in ["a", "b"] { try agent.write(name, "") }
        let added = try tls(agent)
        let command = "cd \(folder) && /usr/bin/python3 servers.py >servers.out 2>&1 & echo $!"
        let servers = Command.run("sh -c '\(command)'").output.filter(\.isNumber)
        defer { _ = Command.run("kill -9 \(servers)") }
        let port = { (name: String) in (try? FileSystem.readText("\(folder)/port-\(name)")) ?? "" }
        #expect(agent.waits { names.allSatisfy { !port($0).isEmpty } })
        var plan = EdgeRig.Plan(backends: names.compactMap { UInt16(port($0)) })
        plan.objects = Self.policy(check, added)
        try EdgeRig.run(plan, in: agent) { try body(agent, $0.port) }
    }

    /// Whether each endpoint is healthy at `/config`, unchecked ones left out.
    private func health(_ agent: AgentProcess) -> [Bool] {
        let text = agent.ask("/config").split(separator: "\n").first.map(String.init) ?? ""
        let clusters = JSONText.parse(text)?["clusters"]?.elements ?? []
        return clusters.flatMap { $0["endpoints"]?.elements ?? [] }.compactMap { endpoint in
            if case .bool(let isHealthy)? = endpoint["healthy"] { isHealthy } else { nil }
        }
    }

    @Test func anEndpointThatFailsItsProbeGetsNoRequestsUntilItPasses() throws {
        let check = "type: HTTP, path: /healthz"
        try withAgent(Self.servers, ["a", "b"], check) { agent, port in
            let answers = {
                // Over new connections, so that both workers are asked.
                Set(
                    (0..<24).map { _ in
                        Command.run("curl -s -m 5 http://127.0.0.1:\(port)/").output
                    }
                )
            }
            #expect(agent.waits { health(agent) == [true, true] })
            #expect(answers() == ["a", "b"])
            _ = Command.run("rm \(agent.directory)/a")
            #expect(agent.waits { health(agent).contains(false) })
            #expect(agent.waits { answers() == ["b"] })
            #expect(answers() == ["b"])
            #expect(agent.ask("/metrics").contains("martlet_health_endpoints_unhealthy 1"))
            try agent.write("a", "")
            #expect(agent.waits { health(agent) == [true, true] })
            #expect(agent.waits { answers() == ["a", "b"] })
        }
    }

    @Test func aGRPCServerIsAskedForItsService() throws {
        try withAgent(Self.grpcServer, ["g"], "type: GRPC, service: shop") { agent, _ in
            #expect(agent.waits { health(agent) == [true] })
            _ = Command.run("rm \(agent.directory)/a")
            #expect(agent.waits { health(agent) == [false] })
            try agent.write("a", "")
            #expect(agent.waits { health(agent) == [true] })
        }
    }

    /// The names that are asked for, and whether the server has one.
    @Test(arguments: [
        ("shop.example", "", true), ("other.example", "", false),
        ("other.example", "{ type: URI, uri: spiffe://mesh/shop }", true),
        ("shop.example", "{ type: URI, uri: spiffe://mesh/other }", false),
        ("other.example", "{ type: Hostname, hostname: shop.example }", true),
    ])
    func aGRPCServerIsAskedOverTLSAndMustHaveAName(
        host: String,
        names: String,
        isHealthy: Bool
    ) throws {
        let tls = { (agent: AgentProcess) throws -> (policy: String, objects: String) in
            let authority = TestAuthority(in: agent.directory, name: "ca")
            _ = try authority.issue(
                "server",
                alternativeNames: "DNS:shop.example,URI:spiffe://mesh/shop"
            )
            let lines = try FileSystem.readText(authority.certificate).split(separator: "\n")
            let policy =
                "tls: { hostname: \(host), subjectAltNames: [\(names)], "
                + "caCertificateRefs: [{ name: authorities }] }"
            let object =
                ["---", "apiVersion: v1", "kind: ConfigMap"]
                + ["metadata: { name: authorities, namespace: shop }", "data:", "  ca.crt: |"]
                + lines.map { "    \($0)" }
            return (policy, object.joined(separator: "\n"))
        }
        let check = "type: GRPC, service: shop"
        try withAgent(Self.grpcServer, ["g"], check, tls: tls) { agent, _ in
            #expect(agent.waits { health(agent) == [isHealthy] })
            guard isHealthy else { return }
            _ = Command.run("rm \(agent.directory)/a")
            #expect(agent.waits { health(agent) == [false] })
            try agent.write("a", "")
            #expect(agent.waits { health(agent) == [true] })
        }
    }

    @Test func aPortThatIsClosedFailsATCPProbe() throws {
        try withAgent(Self.servers, ["a", "b"], "type: TCP, port: 1") { agent, _ in
            #expect(agent.waits { health(agent) == [false, false] })
        }
    }
}
