import Addressing
import LinuxSystem
import TestSupport
import Testing

@testable import NodeAgent

/// `Programmed` is what the node's listeners are, not what the manifests ask for.
@Suite(.serialized) struct ProgrammedTests {
    private func gateway(_ port: UInt16, _ more: String = "") -> String {
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
          listeners:
          - { name: web, port: \(port), protocol: HTTP }
          \(more)
        """
    }

    private static let configuration = """
        sources: { manifests: manifests }
        workers: 1
        capture: { enabled: false }
        status: { listen: "127.0.0.1:0" }
        """

    private func withAgent(_ manifests: String, _ body: (AgentProcess) throws -> Void) throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try agent.write("manifests/all.yaml", manifests)
        let node = "node: { name: \(agent.node), addresses: [127.0.0.1] }\n"
        let pid = try #require(try agent.start(node + Self.configuration))
        defer { _ = agent.stop(pid) }
        try body(agent)
    }

    /// Holds a port of loopback.
    private func taken() throws -> (socket: OwnedFDBox, port: UInt16) {
        let socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        let port = try Socket.localAddress(of: socket.rawValue).port
        return (OwnedFDBox(socket), port)
    }

    @Test func aListenerThatListensIsProgrammed() throws {
        var (held, port): (OwnedFDBox?, UInt16) = try taken()
        held = nil
        #expect(held == nil)
        try withAgent(gateway(port)) { agent in
            let found = agent.conditions("Gateway shop/edge")
            #expect(found["listener web Programmed"] == "True/Programmed", "\(found)")
            #expect(found["Programmed"] == "True/Programmed")
            #expect(found["Accepted"] == "True/Accepted")
        }
    }

    @Test func aPortThatIsTakenIsToldAndTriedAgainUntilItIsFree() throws {
        var (held, port): (OwnedFDBox?, UInt16) = try taken()
        try withAgent(gateway(port)) { agent in
            let found = agent.conditions("Gateway shop/edge")
            #expect(found["listener web Programmed"] == "False/Invalid", "\(found)")
            #expect(found["listener web Accepted"] == "False/PortUnavailable")
            #expect(found["Programmed"] == "False/Invalid")
            #expect(agent.ask("/objects").contains("127.0.0.1:\(port): cannot listen: "))
            #expect(agent.ask("/readyz").hasSuffix("200"))
            #expect(held != nil)
            held = nil
            let isProgrammed = agent.waits {
                agent.conditions("Gateway shop/edge")["Programmed"] == "True/Programmed"
            }
            #expect(isProgrammed, "\(agent.errors)")
            let answer = Command.run("curl -s -o /dev/null -w '%{http_code}' 127.0.0.1:\(port)/")
            #expect(answer.output == "404")
        }
    }

    @Test func aCertificateThatOpenSSLRefusesIsToldAtTheListener() throws {
        var (held, port): (OwnedFDBox?, UInt16) = try taken()
        held = nil
        #expect(held == nil)
        let more = """
            - name: tls
                port: \(port &+ 1)
                protocol: HTTPS
                tls: { certificateRefs: [{ name: pair }] }
            ---
            apiVersion: v1
            kind: Secret
            metadata: { name: pair, namespace: shop }
            stringData: { tls.crt: nothing, tls.key: nothing }
            """
        try withAgent(gateway(port, more)) { agent in
            let found = agent.conditions("Gateway shop/edge")
            #expect(found["listener tls ResolvedRefs"] == "False/InvalidCertificateRef", "\(found)")
            #expect(found["listener tls Programmed"] == "False/Invalid")
            #expect(found["listener web Programmed"] == "True/Programmed")
            #expect(found["Programmed"] == "True/Programmed")
        }
    }
}

/// A descriptor that closes when nobody holds it any more.
final class OwnedFDBox: Sendable {
    private let socket: OwnedFD

    init(_ socket: consuming OwnedFD) { self.socket = socket }
}
