import Addressing
import Testing

@testable import NodeAgent

@Suite struct ConfigurationReaderTests {
    private func read(
        _ text: String?,
        _ overrides: ConfigurationOverrides = ConfigurationOverrides()
    ) throws -> AgentConfiguration {
        let reader = ConfigurationReader(
            path: "/etc/martlet/agent.yaml",
            hostName: "host-1",
            defaultWorkerCount: 3
        )
        return try reader.read(text.map { Array($0.utf8) }, overrides: overrides)
    }

    private func faults(
        _ text: String?,
        _ overrides: ConfigurationOverrides = ConfigurationOverrides()
    ) -> [String] {
        do {
            _ = try read(text, overrides)
            return []
        } catch let refusal as ConfigurationReader.Refusal {
            return refusal.faults.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func everyKeyButSourcesHasADefault() throws {
        let configuration = try read("sources: { manifests: /m }")
        #expect(configuration.nodeName == "host-1")
        #expect(configuration.nodeAddresses == nil)
        #expect(configuration.source == .manifests(directory: "/m"))
        #expect(configuration.workerCount == 3)
        #expect(configuration.ingressIsEnabled && configuration.captureIsEnabled)
        #expect(configuration.accessLog == .standardOutput)
        #expect(configuration.failMode == .closed)
        #expect(configuration.trustDomain == "cluster.local")
        #expect(configuration.packetInterfaces == .named([]))
        #expect(configuration.packetMode == .auto)
        #expect(configuration.pinDirectory == "/sys/fs/bpf/martlet")
        #expect(configuration.statusAddress == SocketAddress("127.0.0.1:15020"))
        #expect(configuration.statusSocket == "/run/martlet/host-1/status.sock")
        #expect(configuration.statusToken == nil)
        #expect(configuration.logLevel == .info)
    }

    @Test func everyKeyOfTheContractIsTaken() throws {
        let configuration = try read(
            """
            node:     { name: n1, addresses: [127.0.0.1, "::1"] }
            sources:  { manifests: ./manifests }
            workers:  2
            ingress:  { enabled: true, addressPool: [127.10.0.0/24], announce: none, accessLog: "-" }
            capture:  { enabled: false, failMode: open }
            mesh:     { trustDomain: td.example, clusterDomain: c.local }
            xdp:      { interfaces: [eth0], mode: generic, pinDirectory: /sys/fs/bpf/x }
            status:   { listen: "127.0.0.1:1", socket: /run/s.sock, token: 0123456789abcdef }
            log:      { level: debug, format: json }
            """
        )
        #expect(configuration.nodeName == "n1")
        #expect(configuration.nodeAddresses == [.loopbackIPv4, .loopbackIPv6])
        #expect(configuration.source == .manifests(directory: "/etc/martlet/manifests"))
        #expect(configuration.workerCount == 2)
        #expect(configuration.addressPool.map(\.description) == ["127.10.0.0/24"])
        #expect(!configuration.captureIsEnabled && configuration.failMode == .open)
        #expect(configuration.trustDomain == "td.example")
        #expect(configuration.clusterDomain == "c.local")
        #expect(configuration.packetInterfaces == .named(["eth0"]))
        #expect(configuration.packetMode == .generic)
        #expect(configuration.pinDirectory == "/sys/fs/bpf/x")
        #expect(configuration.statusAddress?.port == 1)
        #expect(configuration.statusSocket == "/run/s.sock")
        #expect(configuration.statusToken == "0123456789abcdef")
        #expect(configuration.logLevel == .debug && configuration.logFormat == .json)
    }

    @Test(arguments: [
        ("sources: { manifests: m }\nxdp: { interfaces: auto, mode: off }", true),
        ("sources: { manifests: m }\nstatus: { listen: off }", false),
    ])
    func wordsStandForSettings(_ text: String, _ isPacketLayer: Bool) throws {
        let configuration = try read(text)
        if isPacketLayer {
            #expect(configuration.packetInterfaces == .auto)
            #expect(configuration.packetMode == .off)
            #expect(!configuration.packetLayerIsWanted)
        } else {
            #expect(configuration.statusAddress == nil)
        }
    }

    @Test(arguments: [
        ("sources: { kubernetes: { inCluster: true } }", AgentConfiguration.Source.inCluster),
        (
            "sources: { kubernetes: { kubeconfig: k/config } }",
            .kubeconfig(path: "/etc/martlet/k/config")
        ),
        ("sources: { manifests: /abs }", .manifests(directory: "/abs")),
    ])
    func sourcesAreRead(_ text: String, _ source: AgentConfiguration.Source) throws {
        #expect(try read(text).source == source)
    }

    @Test(arguments: [
        ("", ":1: sources: expected manifests or kubernetes, found neither"),
        (
            "sources: { manifests: a, kubernetes: { inCluster: true } }",
            ":1: sources: expected one source, found 2"
        ),
        ("sources: { manifests: m }\nworker: 2", ":2: worker: unknown key"),
        ("sources: { manifests: m }\nlog:\n  levels: info", ":3: log.levels: unknown key"),
        (
            "sources: { manifests: m }\nworkers: many",
            ":2: workers: expected an integer of 1...64, found \"many\""
        ),
        (
            "sources: { manifests: m }\nworkers: 65",
            ":2: workers: expected an integer of 1...64, found \"65\""
        ),
        (
            "sources: { manifests: m }\ncapture: { enabled: yes }",
            ":2: capture.enabled: expected true or false, found \"yes\""
        ),
        (
            "sources: { manifests: m }\ncapture: { failMode: ajar }",
            ":2: capture.failMode: expected one of closed, open, found \"ajar\""
        ),
        (
            "sources: { manifests: m }\ningress: { announce: l2 }",
            ":2: ingress.announce: expected none; announcing l2 takes a controller that allocates "
                + "addresses, found \"l2\""
        ),
        (
            "sources: { manifests: m }\ningress:\n  addressPool:\n    - 10.0.0.1/24",
            ":4: ingress.addressPool: expected an address block, found \"10.0.0.1/24\""
        ),
        (
            "sources: { manifests: m }\nnode: { name: ../x }",
            ":2: node.name: expected \(ConfigurationRules.nodeName), found \"../x\""
        ),
        (
            "sources: { manifests: m }\nnode: { addresses: [n1] }",
            ":2: node.addresses: expected an IP address, found \"n1\""
        ),
        (
            "sources: { manifests: m }\nxdp: { interfaces: [a/b] }",
            ":2: xdp.interfaces: expected an interface name, or auto for the key, found \"a/b\""
        ),
        (
            "sources: { manifests: m }\nxdp: { pinDirectory: bpf }",
            ":2: xdp.pinDirectory: expected an absolute path, found \"bpf\""
        ),
        (
            "sources: { manifests: m }\nstatus: { listen: localhost }",
            ":2: status.listen: expected ADDRESS:PORT or off, found \"localhost\""
        ),
        (
            "sources: { manifests: m }\nstatus: { token: short }",
            ":2: status.token: expected text of 16 bytes or more, found a scalar"
        ),
        (
            "sources: { manifests: m }\nmesh: { trustDomain: UPPER }",
            ":2: mesh.trustDomain: expected a domain name in lower case, found \"UPPER\""
        ),
        (
            "sources: { manifests: m }\nlog: { level: loud }",
            ":2: log.level: expected one of trace, debug, info, notice, warning, error, critical, "
                + "found \"loud\""
        ),
        ("sources: [m]", ":1: sources: expected a mapping, found a list"),
        ("workers: 1\nworkers: 2", ":2: key \"workers\" appears twice"),
        ("a: 1\n---\nb: 2", ":3: expected one document, found 2"),
    ])
    func faultsNameFileLineAndReason(_ text: String, _ expected: String) {
        #expect(faults(text) == ["/etc/martlet/agent.yaml\(expected)"])
    }

    @Test func everyFaultOfAFileIsSaidInOrderOfLines() {
        let found = faults("log: { level: x }\nworkers: 0\nsources: { manifest: m }")
        #expect(found.count == 3)
        #expect(found.map { $0.split(separator: ":")[1] } == ["1", "2", "3"])
    }

    @Test func malformedYAMLIsAFaultOfItsLine() {
        let found = faults("node: { name: a\nlog: }")
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("/etc/martlet/agent.yaml:2: ") == true)
    }

    @Test func optionsOverrideTheFile() throws {
        let overrides = ConfigurationOverrides(
            manifests: "dir",
            nodeName: "n9",
            workers: 5,
            statusListen: "[::1]:9"
        )
        let configuration = try read("sources: { manifests: m }\nworkers: 1", overrides)
        #expect(configuration.source == .manifests(directory: "dir"))
        #expect(configuration.nodeName == "n9")
        #expect(configuration.statusSocket == "/run/martlet/n9/status.sock")
        #expect(configuration.workerCount == 5)
        #expect(configuration.statusAddress == SocketAddress("[::1]:9"))
        let alone = try read(nil, ConfigurationOverrides(kubeconfig: "k"))
        #expect(alone.source == .kubeconfig(path: "k"))
    }

    @Test(arguments: [
        (
            ConfigurationOverrides(kubeconfig: "k", manifests: "m"),
            "--manifests: expected one source, found --kubeconfig as well"
        ),
        (
            ConfigurationOverrides(manifests: "m", nodeName: "-x"),
            "--node-name: expected \(ConfigurationRules.nodeName), found -x"
        ),
        (
            ConfigurationOverrides(manifests: "m", workers: 0),
            "--workers: expected an integer of 1...64, found 0"
        ),
        (
            ConfigurationOverrides(manifests: "m", statusListen: "15020"),
            "--status-listen: expected ADDR:PORT, found 15020"
        ),
    ])
    func badOptionsAreFaults(_ overrides: ConfigurationOverrides, _ expected: String) {
        #expect(faults(nil, overrides) == ["command line: \(expected)"])
    }
}
