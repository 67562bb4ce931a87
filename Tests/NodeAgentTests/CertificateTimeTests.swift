import Addressing
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// A certificate that expires while an agent serves it.
@Suite(.serialized, .timeLimit(.minutes(1))) struct CertificateTimeTests {
    private static let configuration = """
        [ca]
        default_ca = here
        [here]
        new_certs_dir = .
        database = index
        rand_serial = yes
        default_md = sha256
        policy = any
        copy_extensions = copy
        [any]
        commonName = supplied
        """

    /// Issues a certificate that ends in some seconds.
    private func issue(_ agent: AgentProcess, seconds: Int) throws {
        let authority = TestAuthority(in: agent.directory, name: "authority")
        try agent.write("ca.conf", CertificateTimeTests.configuration)
        try agent.write("index", "")
        let made = Command.run(
            "cd \(agent.directory) && openssl req -new -newkey ec -pkeyopt "
                + "ec_paramgen_curve:prime256v1 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf "
                + "-addext subjectAltName=DNS:a.example && openssl ca -batch -config ca.conf "
                + "-cert \(authority.certificate) -keyfile authority.key -in leaf.csr -out leaf.crt "
                + "-notext -enddate $(date -u -d +\(seconds)seconds +%Y%m%d%H%M%SZ)"
        )
        try #require(made.status == 0, "\(made.output)")
    }

    private func manifests(_ agent: AgentProcess, _ port: UInt16) throws -> String {
        let indented = { (file: String) in
            try FileSystem.readText("\(agent.directory)/\(file)").split(separator: "\n")
                .map { "    \($0)" }.joined(separator: "\n")
        }
        return """
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
              listeners:
              - name: tls
                port: \(port)
                protocol: HTTPS
                tls: { certificateRefs: [{ name: pair }] }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: pair, namespace: shop }
            stringData:
              tls.crt: |
            \(try indented("leaf.crt"))
              tls.key: |
            \(try indented("leaf.key"))
            """
    }

    private func secondsLeft(_ agent: AgentProcess) -> Double? {
        let line = agent.ask("/metrics").split(separator: "\n").first {
            $0.hasPrefix("martlet_certificate_expiry_seconds{")
        }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }

    @Test func itGoesOnServingAndThatIsTold() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try issue(agent, seconds: 8)
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: probe.rawValue).port
        _ = consume probe
        try agent.write("manifests/all.yaml", try manifests(agent, port))
        let configuration = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 1
            capture: { enabled: false }
            status: { listen: "127.0.0.1:0" }
            """
        let pid = try #require(try agent.start(configuration))
        defer { _ = agent.stop(pid) }
        let left = try #require(secondsLeft(agent))
        #expect(0 < left && left <= 8)
        let words = "the certificate has expired, and is still served"
        #expect(!agent.ask("/status").contains(words))
        #expect(agent.waits { agent.ask("/status").contains(words) })
        #expect(agent.ask("/objects").contains("InvalidCertificateRef"))
        #expect(secondsLeft(agent).map { $0 <= 0 } == true)
        let answer = Command.run(
            "curl -s -k -m 5 -o /dev/null -w '%{http_code}' --connect-to a.example::127.0.0.1:\(port) "
                + "https://a.example/"
        ).output
        #expect(answer == "404", "it is served: \(answer)")
    }
}
