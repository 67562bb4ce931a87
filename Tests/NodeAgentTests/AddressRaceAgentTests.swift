import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// An agent in a network of its own, before a name whose IPv6 address answers nothing.
@Suite(.serialized, .timeLimit(.minutes(2))) struct AddressRaceAgentTests {
    /// Answers 200 with its own address, on one address; and names for another program.
    private static let backend = """
        import http.server, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                body = self.server.server_address[0].encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *_): pass
        http.server.ThreadingHTTPServer((sys.argv[1], 8080), Handler).serve_forever()
        """

    /// Knows one name, with an address of each family.
    private static let names = """
        import socket, struct, sys
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((sys.argv[1], 53))
        while True:
            query, peer = server.recvfrom(4096)
            question = query[12:query.index(b"\\0", 12) + 5]
            kind = question[-3]
            data = socket.inet_pton(socket.AF_INET6, sys.argv[2]) if kind == 28 else socket.inet_aton(sys.argv[1])
            record = b"\\xc0\\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
            server.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question + record, peer)
        """

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
          listeners: [{ name: web, port: 8000, protocol: HTTP }]
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: { name: all, namespace: shop }
        spec:
          parentRefs: [{ name: edge }]
          rules: [{ backendRefs: [{ name: far, port: 8080 }] }]
        ---
        apiVersion: v1
        kind: Service
        metadata: { name: far, namespace: shop }
        spec: { type: ExternalName, externalName: far.example, ports: [{ port: 8080, appProtocol: http }] }
        """

    private static let here = "10.213.7.1"
    private static let silent = "2001:db8:77::99"

    @Test func aNameWhoseIPv6AddressIsSilentIsServedByIPv4() throws {
        let agent = try AgentProcess()
        let net = Command.uniqueName("race")
        var background: [String] = []
        defer {
            for process in background { Command.run("kill -9 \(process)") }
            agent.remove()
            Command.run("ip netns del \(net)")
            Command.run("rm -rf /etc/netns/\(net)")
        }
        Command.run("ip netns add \(net)")
        for command in [
            "link set lo up", "link add eth0 type veth peer name eth1", "link set eth1 up",
            "link set eth0 up", "addr add \(Self.here)/24 dev eth0",
            "addr add 2001:db8:77::1/64 dev eth0 nodad",
            // Frames go out to nobody.
            "neigh add \(Self.silent) lladdr 02:00:00:00:00:99 dev eth0 nud permanent",
        ] { Command.run("ip -n \(net) \(command)") }
        Command.run("mkdir -p /etc/netns/\(net)")
        try FileSystem.replace(
            "/etc/netns/\(net)/resolv.conf",
            with: Array("nameserver \(Self.here)\n".utf8)
        )
        try agent.write("backend.py", Self.backend)
        try agent.write("names.py", Self.names)
        try agent.write("manifests/all.yaml", Self.manifests)
        for program in ["backend.py \(Self.here)", "names.py \(Self.here) \(Self.silent)"] {
            let outcome = Command.run(
                "ip netns exec \(net) /usr/bin/python3 \(agent.directory)/\(program)"
                    + " >/dev/null 2>&1 </dev/null & echo $!"
            )
            background.append(outcome.output.filter(\.isNumber))
        }
        let pid = try #require(
            try agent.start(
                """
                node: { name: \(agent.node), addresses: [127.0.0.1] }
                sources: { manifests: manifests }
                workers: 1
                ingress: { accessLog: "\(agent.directory)/access.log" }
                status: { listen: "127.0.0.1:0" }
                """,
                launcher: "ip netns exec \(net)"
            )
        )
        background.append("\(pid)")
        let ask = {
            Command.run(
                "ip netns exec \(net) curl -s -m 3 -w ' %{http_code}' http://127.0.0.1:8000/"
            ).output
        }
        let isKnown = agent.waits { agent.ask("/config").contains(Self.silent) }
        #expect(isKnown, "\(agent.errors)")
        for _ in 0..<4 { #expect(ask() == "\(Self.here) 200") }
        let metrics = agent.ask("/metrics")
        #expect(metrics.contains("\nmartlet_address_races_won_total 1\n"))
        #expect(agent.stop(pid))
        background.removeLast()
        let log = try FileSystem.readText("\(agent.directory)/access.log")
        #expect(!log.contains(Self.silent))
    }
}
