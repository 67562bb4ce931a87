import Addressing
import MeshModel
import Testing

@testable import Ingress

/// What is said of Gateways follows from their sockets and certificates.
@Suite struct ListenerConditionsTests {
    private let gateway = ObjectKey(.gateway, namespace: "shop", name: "edge")
    private let secret = ObjectKey(.secret, namespace: "shop", name: "tls")

    private func listener(
        _ name: String,
        _ port: UInt16,
        _ spoken: ListenerProtocol = .http
    ) -> Listener {
        Listener(
            id: ListenerID(namespace: "shop", gateway: "edge", name: name),
            addresses: [.loopbackIPv4],
            port: port,
            listenerProtocol: spoken,
            certificates: spoken == .https ? [secret] : []
        )
    }

    private func socket(_ port: UInt16) -> SocketAddress { SocketAddress(.loopbackIPv4, port) }

    private func found(
        _ facts: ListenerConditions,
        _ listeners: [Listener]
    ) -> [String] {
        facts.conditions(of: listeners)[gateway, default: []].map {
            "\($0.subject.isEmpty ? "-" : $0.subject) \($0.type)=\($0.status.rawValue)/\($0.reason)"
        }
    }

    @Test func whatListensIsProgrammed() {
        #expect(
            found(ListenerConditions(), [listener("a", 80)]) == [
                "listener a Programmed=True/Programmed", "- Programmed=True/Programmed",
            ]
        )
    }

    @Test(arguments: [
        (
            ListenerConditions.SocketFault.Cause.portUnavailable,
            ["listener a Accepted=False/PortUnavailable"], "Invalid"
        ),
        (.addressUnusable, [], "AddressNotUsable"), (.other, [], "Invalid"),
    ])
    func whatDoesNotListenIsNotProgrammed(
        cause: ListenerConditions.SocketFault.Cause,
        more: [String],
        reason: String
    ) {
        var facts = ListenerConditions()
        facts.socketFaults[socket(80)] = .init(cause, "why")
        #expect(
            found(facts, [listener("a", 80)])
                == more + ["listener a Programmed=False/Invalid", "- Programmed=False/\(reason)"]
        )
        let messages = facts.conditions(of: [listener("a", 80)])[gateway, default: []].map(
            \.message
        )
        #expect(Set(messages) == ["why"])
    }

    @Test func oneListenerThatListensMakesTheGatewayProgrammed() {
        var facts = ListenerConditions()
        facts.socketFaults[socket(80)] = .init(.other, "why")
        let all = found(facts, [listener("a", 80), listener("b", 81)])
        #expect(all.last == "- Programmed=True/Programmed")
        #expect(all.contains("listener a Programmed=False/Invalid"))
    }

    @Test func aCertificateThatIsRefusedIsToldAndAnEarlierOneServes() {
        var facts = ListenerConditions()
        facts.certificateFaults[secret] = "weak key"
        let refused = "listener s ResolvedRefs=False/InvalidCertificateRef"
        #expect(
            found(facts, [listener("s", 443, .https)]) == [
                refused, "listener s Programmed=False/Invalid", "- Programmed=False/Invalid",
            ]
        )
        facts.usableCertificates = [secret]
        #expect(
            found(facts, [listener("s", 443, .https)]) == [
                refused, "listener s Programmed=True/Programmed", "- Programmed=True/Programmed",
            ]
        )
    }
}
