import Addressing
import Discovery
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// Log lines and spans through a running agent to a collector.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ExportTests {
    /// Answers every GET, notes every POST as a line of path and body; refuses the first POST of
    /// each path.
    private static let peer = """
        import http.server, json, ssl, sys
        seen = set()
        class Peer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *parts): pass
            def answer(self, status, body):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("x-trace", self.headers.get("traceparent") or "none")
                self.end_headers()
                self.wfile.write(body)
            def do_GET(self): self.answer(200, b"ok")
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path not in seen and len(sys.argv) < 4:
                    seen.add(self.path)
                    return self.answer(503, b"")
                value = json.loads(body)
                assert self.headers["content-type"] == "application/json"
                with open(sys.argv[1], "a") as notes:
                    notes.write(json.dumps({"path": self.path, "body": value}) + "\\n")
                self.answer(200, b"{}")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
        if len(sys.argv) > 3:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[3], sys.argv[4])
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with open(sys.argv[2], "w") as port: port.write(str(server.server_port))
        server.serve_forever()
        """

    private func notes(_ agent: AgentProcess, _ path: String) -> [JSONValue] {
        let text = (try? FileSystem.readText("\(agent.directory)/notes")) ?? ""
        return text.split(separator: "\n").compactMap { JSONText.parse(String($0)) }
            .filter { $0["path"]?.text == path }
            .compactMap { $0["body"] }
    }

    @Test func linesAndSpansReachACollectorThatFailedOnce() throws {
        let agent = try AgentProcess()
        try agent.write("peer.py", ExportTests.peer)
        let (notesPath, portPath) = ("\(agent.directory)/notes", "\(agent.directory)/port")
        let peer = Command.run(
            "/usr/bin/python3 \(agent.directory)/peer.py \(notesPath) \(portPath) "
                + ">/dev/null 2>&1 & echo $!"
        ).output.filter(\.isNumber)
        defer { _ = Command.run("kill -9 \(peer)") }
        #expect(agent.waits { (try? FileSystem.readText(portPath))?.isEmpty == false })
        let backend = try FileSystem.readText(portPath)
        let collector = "http://127.0.0.1:\(backend)"
        var plan = EdgeRig.Plan(backends: [try #require(UInt16(backend))], workers: 1)
        plan.configuration = """
            ingress:
              accessLog: "@DIRECTORY@/access.log"
              accessLogFormat: '%REQ(:METHOD)% "%REQ(:PATH)%" %RESPONSE_CODE% %TRACE_ID%'
              accessLogCollector: "\(collector)"
            tracing: { otlp: "\(collector)", samplePercent: 100 }
            """
        try EdgeRig.run(plan, in: agent) { rig in
            try expectExported(rig)
        }
    }

    private func expectExported(_ rig: EdgeRig) throws {
        let agent = rig.agent
        let answer = rig.curl("/a?b=c", "-D -")
        #expect(answer.contains("200 OK") && answer.contains("x-trace: 00-"), "\(answer)")
        #expect(agent.waits { !notes(agent, "/v1/logs").isEmpty })
        #expect(agent.waits { !notes(agent, "/v1/traces").isEmpty })
        let line = rig.log
        #expect(line.hasPrefix("GET \"/a?b=c\" 200 ") && line.hasSuffix("\n"), "\(line)")
        let logs = try #require(notes(agent, "/v1/logs").first)
        let record = logs["resourceLogs"]?.elements.first?["scopeLogs"]?.elements.first?[
            "logRecords"
        ]
        #expect(record?.elements.first?["body"]?["stringValue"]?.text == String(line.dropLast()))
        let traces = try #require(notes(agent, "/v1/traces").first)
        let resource = try #require(traces["resourceSpans"]?.elements.first)
        #expect(resource["resource"]?["attributes"]?.elements.count == 2)
        let span = resource["scopeSpans"]?.elements.first?["spans"]?.elements.first
        let traceID = try #require(span?["traceId"]?.text)
        #expect(traceID.utf8.count == 32 && line.contains(traceID) && answer.contains(traceID))
        #expect(
            agent.waits { agent.ask("/metrics").contains("martlet_otlp_logs_exported_total 1") }
        )
        #expect(agent.ask("/metrics").contains("martlet_otlp_traces_failures_total 1"))
    }

    /// A collector that speaks TLS, and one whose certificate nobody vouches for.
    @Test(arguments: [true, false])
    func aCollectorBehindTLSIsVerifiedAndHasTheLastLines(isKnown: Bool) throws {
        let agent = try AgentProcess()
        let authority = TestAuthority(in: agent.directory, name: "authority")
        let other = TestAuthority(in: agent.directory, name: "other")
        let leaf = try authority.issue("leaf", alternativeNames: "IP:127.0.0.1")
        try agent.write("peer.py", ExportTests.peer)
        let (notesPath, portPath) = ("\(agent.directory)/notes", "\(agent.directory)/port")
        let peer = Command.run(
            "/usr/bin/python3 \(agent.directory)/peer.py \(notesPath) \(portPath) "
                + "\(leaf.certificate) \(leaf.key) >/dev/null 2>&1 & echo $!"
        ).output.filter(\.isNumber)
        defer { _ = Command.run("kill -9 \(peer)") }
        #expect(agent.waits { (try? FileSystem.readText(portPath))?.isEmpty == false })
        let collector = try FileSystem.readText(portPath)
        var plan = EdgeRig.Plan(backends: [1], workers: 1)
        plan.configuration = """
            ingress:
              accessLog: "@DIRECTORY@/access.log"
              accessLogCollector: "https://127.0.0.1:\(collector)"
            export: { authorities: "\((isKnown ? authority : other).certificate)" }
            tracing: { otlp: "https://127.0.0.1:\(collector)", samplePercent: 100 }
            """
        try EdgeRig.run(plan, in: agent) { rig in
            #expect(rig.status("/last") == "503")
            #expect(agent.stop(rig.pid))
            let logs = notes(agent, "/v1/logs")
            #expect(logs.isEmpty != isKnown, "the last line is sent before the agent ends")
            #expect(notes(agent, "/v1/traces").isEmpty != isKnown, "and the last span")
        }
    }

    @Test(arguments: [
        ("ingress: { accessLogFormat: '%FOO%' }", "ingress.accessLogFormat: expected an operator"),
        (
            "ingress: { accessLogCollector: 'ftp://x' }",
            "ingress.accessLogCollector: expected http://"
        ),
        ("tracing: { samplePercent: 1 }", "tracing: expected otlp: http://"),
        ("tracing: { otlp: 'ftp://c' }", "tracing.otlp: expected http://"),
        (
            "tracing: { otlp: 'http://c', samplePercent: 101 }",
            "tracing.samplePercent: expected a number"
        ),
        ("tracing: { otlp: 'http://c', more: 1 }", "tracing.more: "),
    ])
    func whatCannotBeFollowedIsRefusedWithItsLine(_ section: String, _ reason: String) throws {
        let reader = ConfigurationReader(path: "a.yaml", hostName: "h", defaultWorkerCount: 1)
        let text = "sources: { manifests: m }\n\(section)"
        #expect {
            try reader.read(Array(text.utf8), overrides: ConfigurationOverrides())
        } throws: { error in
            let faults = (error as? ConfigurationReader.Refusal)?.faults.map(\.description) ?? []
            return faults.count == 1 && faults[0].hasPrefix("a.yaml:2: \(reason)")
        }
    }

    @Test func theCollectorsPortIsThatOfTheProtocolUnlessGiven() {
        #expect(OTLPEndpoint("http://c")?.authority == "c:4318")
        #expect(OTLPEndpoint("http://[::1]/p")?.authority == "[::1]:4318")
        #expect(OTLPEndpoint("http://[::1]:80/p")?.authority == "[::1]:80")
        #expect(OTLPEndpoint("http://c:9/p")?.basePath == "/p")
        #expect(OTLPEndpoint("https://c")?.authority == "c:4318")
        #expect(OTLPEndpoint("https://c:443")?.port == 443 && OTLPEndpoint("ftp://c") == nil)
    }
}
