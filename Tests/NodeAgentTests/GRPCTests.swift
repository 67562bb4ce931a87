import Addressing
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// gRPC through a running agent: Python's grpcio on both sides.
@Suite(.serialized, .timeLimit(.minutes(2))) struct GRPCTests {
    /// Serves `/t.T/*` with bytes for messages, and writes its port down.
    private static let server = """
        import grpc, sys, time
        from concurrent import futures
        def unary(request, context):
            context.set_trailing_metadata((("x-seen", "yes"),))
            return b"u:" + request
        def fails(request, context): context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no 100%")
        def slow(request, context):
            time.sleep(3)
            return b""
        def counts(request, context):
            for number in range(int(request)): yield str(number).encode()
        def joins(requests, context): return b"+".join(requests)
        def echoes(requests, context):
            for request in requests: yield b"e:" + request
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Fails": grpc.unary_unary_rpc_method_handler(fails),
            "Late": grpc.unary_unary_rpc_method_handler(slow),
            "Slow": grpc.unary_unary_rpc_method_handler(slow),
            "Counts": grpc.unary_stream_rpc_method_handler(counts),
            "Joins": grpc.stream_unary_rpc_method_handler(joins),
            "Echoes": grpc.stream_stream_rpc_method_handler(echoes),
        }
        server = grpc.server(futures.ThreadPoolExecutor(8))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
        if len(sys.argv) > 2:
            pair = (open(sys.argv[3], "rb").read(), open(sys.argv[2], "rb").read())
            credentials = grpc.ssl_server_credentials([pair])
            port = server.add_secure_port("127.0.0.1:0", credentials)
        else:
            port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with open(sys.argv[1], "w") as file: file.write(str(port))
        server.wait_for_termination()
        """

    /// Calls every kind of method and prints what came, a line each.
    private static let client = """
        import grpc, ssl, sys, urllib.request
        authority = "127.0.0.1:" + sys.argv[1]
        channel, origin, secure = grpc.insecure_channel(authority), "http://" + authority, None
        if len(sys.argv) > 2:
            credentials = grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
            channel, origin = grpc.secure_channel(authority, credentials), "https://" + authority
            secure = ssl.create_default_context(cafile=sys.argv[2])
        def status(call):
            try: return call()
            except grpc.RpcError as error: return error.code().name + " " + (error.details() or "")
        unary = channel.unary_unary("/t.T/Unary")
        answer, call = unary.with_call(b"a", timeout=5)
        print("unary", answer, dict(call.trailing_metadata()).get("x-seen"))
        print("large", len(unary(b"x" * 1000000, timeout=5)))
        print("counts", list(channel.unary_stream("/t.T/Counts")(b"5", timeout=5)))
        print("joins", channel.stream_unary("/t.T/Joins")(iter([b"1", b"2", b"3"]), timeout=5))
        turns = []
        def asks():
            for number in range(3):
                while len(turns) < number: pass
                yield str(number).encode()
        for reply in channel.stream_stream("/t.T/Echoes")(asks(), timeout=5): turns.append(reply)
        print("echoes", turns)
        print("fails", status(lambda: channel.unary_unary("/t.T/Fails")(b"", timeout=5)))
        late = status(lambda: channel.unary_unary("/t.T/Slow")(b"", timeout=0.3))
        print("slow", late.split()[0])
        print("missing", status(lambda: channel.unary_unary("/none.T/X")(b"", timeout=5)).split()[0])
        late = status(lambda: channel.unary_unary("/t.T/Late")(b"", timeout=9))
        print("late", late.split()[0])
        fields = {"content-type": "application/grpc-web+proto", "accept": "application/grpc-web"}
        request = urllib.request.Request(origin + "/t.T/Unary", b"\\0\\0\\0\\0\\1w", fields)
        answer = urllib.request.urlopen(request, timeout=5, context=secure).read()
        print("web", answer[:8], answer[8] == 128, b"grpc-status:0" in answer.replace(b" ", b""))
        print("empty", status(lambda: channel.unary_unary("/empty.T/X")(b"", timeout=5)).split()[0])
        """

    private func manifests(_ port: UInt16, _ backend: String, _ tls: TLSObjects?) -> String {
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
          listeners: [{ name: web, port: \(port), \(tls == nil ? "protocol: HTTP" : TLSObjects.listener) }]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: here, namespace: shop }
        spec:
          clusterIP: 10.96.0.9
          ports: [{ name: rpc, port: 80, appProtocol: kubernetes.io/h2c }]
        ---
        apiVersion: discovery.k8s.io/v1
        kind: EndpointSlice
        metadata: { name: here-1, namespace: shop, labels: { kubernetes.io/service-name: here } }
        addressType: IPv4
        ports: [{ name: rpc, port: \(backend) }]
        endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: nobody, namespace: shop }
        spec: { clusterIP: 10.96.0.10, ports: [{ port: 80 }] }
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: all, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          rules:
          - matches: [{ path: { value: /t.T } }]
            backendRefs: [{ name: here, port: 80 }]
          - matches: [{ path: { value: /t.T/Late } }]
            backendRefs: [{ name: here, port: 80 }]
            timeouts: { request: 300ms }
          - matches: [{ path: { value: /empty.T } }]
            backendRefs: [{ name: nobody, port: 80 }]
        ---
        apiVersion: htnn.mosn.io/v1
        kind: FilterPolicy
        metadata: { name: web, namespace: shop }
        spec:
          targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: all }
          filters: { grpcWeb: { config: {} } }
        \(tls?.text ?? "")
        """
    }

    /// What has both sides speak TLS.
    private struct TLSObjects {
        static let listener = "protocol: HTTPS, tls: { certificateRefs: [{ name: pair }] }"
        let authority: TestAuthority
        let leaf: TestAuthority.Leaf

        init(_ agent: AgentProcess) throws {
            authority = TestAuthority(in: agent.directory, name: "ca")
            leaf = try authority.issue("pair", alternativeNames: "IP:127.0.0.1,DNS:here.shop")
        }

        private func indented(_ path: String) -> String {
            let text = (try? FileSystem.readText(path)) ?? ""
            return text.split(separator: "\n").map { "    \($0)" }.joined(separator: "\n")
        }

        var text: String {
            """
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: pair, namespace: shop }
            stringData:
              tls.crt: |
            \(indented(leaf.certificate))
              tls.key: |
            \(indented(leaf.key))
            ---
            apiVersion: v1
            kind: ConfigMap
            metadata: { name: authorities, namespace: shop }
            data:
              ca.crt: |
            \(indented(authority.certificate))
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: BackendTLSPolicy
            metadata: { name: here, namespace: shop }
            spec:
              targetRefs: [{ group: "", kind: Service, name: here }]
              validation:
                hostname: here.shop
                caCertificateRefs: [{ group: "", kind: ConfigMap, name: authorities }]
            """
        }
    }

    @Test(arguments: [false, true])
    func everyKindOfCallPassesAndFailuresHaveTheirStatus(_ isTLS: Bool) throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write("server.py", GRPCTests.server)
        try agent.write("client.py", GRPCTests.client)
        let tls = isTLS ? try TLSObjects(agent) : nil
        let pair = tls.map { " \($0.leaf.certificate) \($0.leaf.key)" } ?? ""
        let portPath = "\(agent.directory)/port"
        let server = Command.run(
            "/usr/bin/python3 \(agent.directory)/server.py \(portPath)\(pair) >/dev/null 2>&1 & echo $!"
        ).output.filter(\.isNumber)
        defer { _ = Command.run("kill -9 \(server)") }
        #expect(agent.waits { (try? FileSystem.readText(portPath))?.isEmpty == false })
        let backend = try FileSystem.readText(portPath)
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: probe.rawValue).port
        _ = consume probe
        try agent.write("manifests/all.yaml", manifests(port, backend, tls))
        let pid = try #require(
            try agent.start(
                """
                node: { name: \(agent.node), addresses: [127.0.0.1] }
                sources: { manifests: manifests }
                workers: 1
                capture: { enabled: false }
                ingress: { accessLog: "off" }
                status: { listen: "127.0.0.1:0" }
                """
            )
        )
        defer { _ = agent.stop(pid) }
        let outcome = Command.run(
            "timeout 60 /usr/bin/python3 \(agent.directory)/client.py \(port) "
                + "\(tls?.authority.certificate ?? "") 2>&1"
        )
        for line in [
            "unary b'u:a' yes", "large 1000002", "counts [b'0', b'1', b'2', b'3', b'4']",
            "joins b'1+2+3'", "echoes [b'e:0', b'e:1', b'e:2']",
            "fails FAILED_PRECONDITION no 100%", "slow DEADLINE_EXCEEDED", "late DEADLINE_EXCEEDED",
            "missing UNIMPLEMENTED", "web b'\\x00\\x00\\x00\\x00\\x03u:w' True True",
            "empty UNAVAILABLE",
        ] {
            #expect(outcome.output.contains("\(line)\n"), "\(line) in \(outcome.output)")
        }
        let metrics = agent.ask("/metrics")
        for (status, count) in [
            ("OK", 5), ("FAILED_PRECONDITION", 1), ("UNIMPLEMENTED", 1),
            ("UNAVAILABLE", 1),
        ] {
            let line = "martlet_grpc_responses_total{status=\"\(status)\"} \(count)"
            #expect(metrics.contains("\n\(line)\n"), "\(line)")
        }
    }
}
