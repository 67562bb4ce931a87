import Addressing
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// The certificate that a Gateway shows to endpoints, before OpenSSL's own server.
@Suite(.serialized, .timeLimit(.minutes(2))) struct GatewayCertificateTests {
    private static func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        return try Socket.localAddress(of: probe.rawValue).port
    }

    private func base64(_ path: String) -> String {
        Command.run("base64 -w0 < \(path)").output.filter { !$0.isWhitespace }
    }

    private func gateway(_ name: String, _ port: UInt16, _ tls: String) -> String {
        """
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: { name: \(name), namespace: shop }
        spec:
          gatewayClassName: martlet
          addresses: [{ value: 127.0.0.1 }]
          listeners: [{ name: web, port: \(port), protocol: HTTP }]
          \(tls)
        ---

        """
    }

    private func manifests(_ endpoint: UInt16, _ authority: String, _ leaf: TestAuthority.Leaf)
        throws -> String
    {
        let lines = try FileSystem.readText(authority).split(separator: "\n")
        let indented = lines.map { "    \($0)" }.joined(separator: "\n")
        return """
            apiVersion: gateway.networking.k8s.io/v1
            kind: GatewayClass
            metadata: { name: martlet }
            spec: { controllerName: martlet.mesh/node-agent }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: shown, namespace: shop }
            type: kubernetes.io/tls
            data: { tls.crt: \(base64(leaf.certificate)), tls.key: \(base64(leaf.key)) }
            ---
            apiVersion: v1
            kind: ConfigMap
            metadata: { name: authority, namespace: shop }
            data:
              ca.crt: |
            \(indented)
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: BackendTLSPolicy
            metadata: { name: here, namespace: shop }
            spec:
              targetRefs: [{ group: "", kind: Service, name: here }]
              validation:
                hostname: endpoint.example
                caCertificateRefs: [{ group: "", kind: ConfigMap, name: authority }]
            ---
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: { name: all, namespace: shop }
            spec:
              parentRefs: [{ name: edge }, { name: bare }]
              rules: [{ backendRefs: [{ name: here, port: 443 }] }]
            ---
            apiVersion: v1
            kind: Service
            metadata: { name: here, namespace: shop }
            spec: { clusterIP: 10.96.0.9, ports: [{ port: 443, appProtocol: http }] }
            ---
            apiVersion: discovery.k8s.io/v1
            kind: EndpointSlice
            metadata: { name: here-1, namespace: shop, labels: { kubernetes.io/service-name: here } }
            addressType: IPv4
            ports: [{ port: \(endpoint) }]
            endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
            """
    }

    @Test func endpointsAreShownTheCertificateOfTheGatewayThatTheRequestCameBy() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        let authority = TestAuthority(in: agent.directory, name: "authority")
        let endpoint = try authority.issue("endpoint", alternativeNames: "DNS:endpoint.example")
        let shown = try authority.issue("shown-by-edge", alternativeNames: "DNS:edge.example")
        let (port, edge, bare) = (try Self.freePort(), try Self.freePort(), try Self.freePort())
        let server = Command.run(
            "openssl s_server -accept 127.0.0.1:\(port) -www -Verify 1 -verify_return_error"
                + " -CAfile \(authority.certificate) -cert \(endpoint.certificate)"
                + " -key \(endpoint.key) >/dev/null 2>&1 </dev/null & echo $!"
        ).output.filter(\.isNumber)
        defer { Command.run("kill -9 \(server)") }
        try agent.write("manifests/all.yaml", manifests(port, authority.certificate, shown))
        let reference = "tls: { backend: { clientCertificateRef: { name: shown } } }"
        try agent.write("manifests/edge.yaml", gateway("edge", edge, reference))
        try agent.write("manifests/bare.yaml", gateway("bare", bare, ""))
        let pid = try #require(
            try agent.start(
                """
                node: { name: \(agent.node), addresses: [127.0.0.1] }
                sources: { manifests: manifests }
                workers: 1
                capture: { enabled: false }
                ingress: { accessLog: "\(agent.directory)/access.log" }
                status: { listen: "127.0.0.1:0" }
                """
            )
        )
        defer { _ = agent.stop(pid) }
        let ask = { (port: UInt16) in
            Command.run("curl -s -m 8 -w '%{http_code}' http://127.0.0.1:\(port)/").output
        }
        for _ in 0..<2 {
            var answer = ""
            let isServed = agent.waits {
                answer = ask(edge)
                return answer.hasSuffix("200")
            }
            #expect(isServed, "\(agent.errors)")
            #expect(answer.contains("CN=shown-by-edge") || answer.contains("CN = shown-by-edge"))
            #expect(!ask(bare).hasSuffix("200"))
        }
        #expect(agent.conditions("Gateway shop/edge")["ResolvedRefs"] == "True/ResolvedRefs")
        // A reference to nothing is told, and nothing is shown any more.
        let gone = "tls: { backend: { clientCertificateRef: { name: gone } } }"
        try agent.write("manifests/edge.yaml", gateway("edge", edge, gone))
        let isTold = agent.waits {
            agent.conditions("Gateway shop/edge")["ResolvedRefs"]
                == "False/InvalidClientCertificateRef"
        }
        #expect(isTold)
        #expect(agent.waits { !ask(edge).hasSuffix("200") })
    }
}
