import TestSupport
import Testing

@testable import NodeAgent

@Suite struct CommandTests {
    private func withAgent(_ body: (AgentProcess) throws -> Void) throws {
        let agent = try AgentProcess()
        defer { agent.remove() }
        try body(agent)
    }

    @Test(arguments: [
        ("", 0), ("--help", 0), ("--version", 0), ("version", 0), ("nonsense", 64), ("agent", 64),
        ("agent --workers x --manifests m", 64), ("check", 64), ("block add nonsense", 64),
        ("block add 192.0.2.7 --ttl soon", 64), ("status --node nowhere", 64),
        ("status --node 127.0.0.1:1 --socket /x", 64), ("explain", 0), ("cni", 1),
        ("status --socket /nonexistent/s.sock", 3), ("status --node 127.0.0.1:1", 3),
        ("block list --socket /nonexistent/s.sock", 3), ("agent --config /nonexistent.yaml", 1),
        ("check --config /nonexistent.yaml", 1), ("check --manifests /nonexistent", 1),
    ])
    func exitCodesAreThoseOfTheContract(_ arguments: String, _ status: Int32) throws {
        try withAgent { agent in
            let outcome = agent.martlet(arguments)
            #expect(outcome.status == status, "\(outcome.output)")
        }
    }

    @Test func versionNamesEveryPart() throws {
        try withAgent { agent in
            let lines = agent.martlet("version").output.split(separator: "\n")
            let names = lines.map { $0.split(separator: " ")[0] }
            #expect(names == ["martlet", "swift", "openssl", "nghttp2", "libbpf"])
        }
    }

    @Test func checkPrintsEveryFaultOnALineOfItsOwn() throws {
        try withAgent { agent in
            try agent.write(
                "agent.yaml",
                "sources: { manifests: manifests }\nlog: { level: x }\na: 1"
            )
            let outcome = agent.martlet("check --config \(agent.directory)/agent.yaml")
            let lines = outcome.output.split(separator: "\n")
            #expect(outcome.status == 1 && lines.count == 2)
            #expect(lines.first?.hasPrefix("\(agent.directory)/agent.yaml:2: log.level: ") == true)
            #expect(lines.last == "\(agent.directory)/agent.yaml:3: a: unknown key")
        }
    }

    @Test func checkFindsFaultsOfManifestsByPathAndLine() throws {
        try withAgent { agent in
            let directory = "\(agent.directory)/manifests"
            try agent.write("manifests/a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {}\n")
            let outcome = agent.martlet("check --manifests \(directory)")
            #expect(outcome.status == 1)
            #expect(outcome.output.hasPrefix("\(directory)/a.yaml:"))
            try agent.write("manifests/a.yaml", "")
            #expect(agent.martlet("check --manifests \(directory)").status == 0)
        }
    }

    @Test func theControllerRefusesWithAReason() throws {
        try withAgent { agent in
            for source in ["manifests: manifests", "kubernetes: { inCluster: true }"] {
                try agent.write("agent.yaml", "sources: { \(source) }")
                let outcome = agent.martlet("controller --config \(agent.directory)/agent.yaml")
                #expect(outcome.status == 1)
                #expect(outcome.output.hasPrefix("controller: expected "))
                #expect(outcome.output.split(separator: "\n").count == 1)
            }
        }
    }

    @Test func theCNIPluginRefusesInItsOwnForm() throws {
        try withAgent { agent in
            let outcome = agent.martlet("cni")
            #expect(outcome.status == 1)
            #expect(outcome.output.contains(#"{"cniVersion":"1.0.0","code":100,"msg":"cni: "#))
        }
    }

    @Test func cleanupOfANodeWithoutTracesSucceeds() throws {
        try withAgent { agent in
            let outcome = agent.martlet("cleanup --node \(agent.node)")
            #expect(outcome.status == 0)
            #expect(outcome.output == "node \(agent.node): nothing of Martlet is left\n")
        }
    }
}
