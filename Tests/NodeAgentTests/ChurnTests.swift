import Addressing
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// No request is lost while everything around it changes.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ChurnTests {
    private static let changeCount = 1_000

    private func freePort() throws -> UInt16 {
        let probe = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        return try Socket.localAddress(of: probe.rawValue).port
    }

    private func base(web: UInt16, secure: UInt16) -> String {
        let certificate = "tls: { certificateRefs: [{ name: tls }] }"
        return LimitManifests.gatewayClass + "\n---\n"
            + LimitManifests.gateway(
                "[{ name: w, port: \(web), protocol: HTTP }, "
                    + "{ name: t, port: \(secure), protocol: HTTPS, \(certificate) }]"
            ) + LimitManifests.service("s", [])
    }

    /// Response flags among the access log's lines of answers of 500 and more.
    private func flagged(_ agent: AgentProcess) -> Int {
        let count = Command.run("grep -cE '\"status\":5..' \(agent.directory)/access.log").output
        return Int(count.filter(\.isNumber)) ?? 0
    }

    @Test func routesEndpointsAndCertificatesChangeAThousandTimesAndNothingFails() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        let (web, secure) = (try freePort(), try freePort())
        try agent.write("manifests/base.yaml", base(web: web, secure: secure))
        let pid = try #require(
            try agent.start(
                """
                node: { name: \(agent.node), addresses: [127.0.0.1] }
                sources: { manifests: manifests }
                workers: 2
                capture: { enabled: false }
                ingress: { accessLog: "\(agent.directory)/access.log" }
                status: { listen: "127.0.0.1:0" }
                """
            )
        )
        defer { _ = agent.stop(pid) }
        try agent.write("churn.py", ChurnScript.text)
        let seed = UInt32.random(in: 0...9_999)
        print("churn seed \(seed)")
        let outcome = Command.run(
            "timeout 120 /usr/bin/python3 \(agent.directory)/churn.py \(agent.directory) \(web) "
                + "\(secure) \(ChurnTests.changeCount) \(seed) \(pid)"
        )
        let words = outcome.output.split(separator: " ")
        let requests = words.first.flatMap { Int($0) } ?? 0
        #expect(requests > 1_000, "\(outcome.output) \(agent.errors)")
        #expect(words.dropFirst().first == "0", "\(outcome.output) \(agent.errors)")
        #expect(flagged(agent) == 0)
    }
}
