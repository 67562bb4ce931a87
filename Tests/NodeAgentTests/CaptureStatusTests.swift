import Discovery
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// What an agent says of the pods that it captures, refuses, and leaves behind.
@Suite(.serialized) struct CaptureStatusTests {
    /// A namespace with an address, and the manifest of a pod in it.
    private final class Pod {
        let namespace = Command.uniqueName("csp")
        let name: String
        let address: String

        init(_ name: String, _ address: String) {
            self.name = name
            self.address = address
            Command.run("ip netns add \(namespace)")
            inside("ip link set lo up")
            inside("ip addr add \(address)/32 dev lo")
        }

        deinit { Command.run("ip netns del \(namespace)") }

        @discardableResult
        func inside(_ command: String) -> String {
            Command.run("ip netns exec \(namespace) \(command)").output
        }

        var manifest: String {
            """
            apiVersion: v1
            kind: Pod
            metadata:
              name: \(name)
              namespace: default
              annotations:
                martlet.mesh/capture: enabled
                martlet.mesh/netns: \(namespace)
            spec: { containers: [{ name: c, image: i }] }
            status: { podIPs: [{ ip: \(address) }] }
            """
        }
    }

    @Test func capturedAndRefusedPodsAreToldWithReasonsAndOpenRulesVanish() throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        let (good, meshed) = (Pod("good", "10.211.8.1"), Pod("meshed", "10.211.8.2"))
        meshed.inside("nft add table ip nat")
        meshed.inside("nft add chain ip nat OUTPUT '{ type nat hook output priority -100; }'")
        meshed.inside("nft add rule ip nat OUTPUT tcp dport 80 redirect to :15001")
        try agent.write("manifests/pods.yaml", "\(good.manifest)\n---\n\(meshed.manifest)\n")
        let configuration = """
            node: { name: \(agent.node), addresses: [127.0.0.1] }
            sources: { manifests: manifests }
            workers: 1
            capture: { enabled: true, failMode: open }
            status: { listen: "127.0.0.1:0" }
            """
        let pid = try #require(try agent.start(configuration))
        defer { _ = agent.stop(pid) }
        let text = agent.ask("/status").split(separator: "\n").first.map(String.init) ?? ""
        let status = try #require(JSONText.parse(text))
        let pods = try #require(status["capture"]?["pods"]?.elements)
        #expect(status["capture"]?["failMode"]?.text == "open")
        try #require(pods.count == 2, "\(text) \(agent.errors)")
        #expect(pods[0]["state"]?.text == "captured", "\(agent.errors)")
        #expect(pods[0]["notificationOverflows"]?.int == 0)
        #expect(pods[1]["state"]?.text == "refused")
        let place = "table nat, chain OUTPUT"
        #expect(pods[1]["reason"]?.text?.contains(place) == true)
        let faults = (status["faults"]?.elements ?? []).compactMap(\.text)
        #expect(faults.filter { $0.contains(place) }.count == 1, "\(faults)")
        let answer = agent.ask("/objects").split(separator: "\n").first.map(String.init) ?? ""
        let objects = try #require(JSONText.parse(answer)?["objects"]?.elements)
        func condition(_ name: String) -> JSONValue? {
            objects.first { $0["name"]?.text == name }?["conditions"]?.elements.first {
                $0["type"]?.text == "Captured"
            }
        }
        #expect(condition("good")?["status"]?.text == "True")
        #expect(condition("meshed")?["status"]?.text == "False")
        #expect(condition("meshed")?["reason"]?.text == "Refused")
        #expect(condition("meshed")?["message"]?.text?.contains(place) == true)
        #expect(good.inside("nft list table inet martlet").contains("flags owner"))
        Command.run("kill -9 \(pid); sleep 0.2")
        #expect(!good.inside("nft list tables").contains("martlet"))
        #expect(agent.martlet("cleanup --node \(agent.node)").status == 0)
        #expect(!good.inside("ip rule").contains("0x1000"))
    }
}
