import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// Capture in a real network namespace, by a real agent's workers.
@Suite(.serialized) struct CaptureTests {
    @Test func aCapturedPodIsReachedWithTheClientsAddressAndReachesOutWithItsOwn() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        fixture.startEcho(in: fixture.pod, port: 8_086, isIPv6: true)
        fixture.startEcho(in: fixture.peer, port: 9_096, isIPv6: true)
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults.isEmpty)
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .captured)
        #expect(status.proof?.listenerCount == 4)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        #expect(fixture.ask(in: fixture.peer, "fd77::2", 8_086) == "fd77::1\n")
        #expect(fixture.ask(in: fixture.pod, "fd77::1", 9_096) == "fd77::2\n")
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.contains("redirect to :15001"))
        #expect(rules.contains("redirect to :15006"))
        let counted = rules.split(separator: "\n").filter { $0.contains("counter packets") }
        #expect(counted.allSatisfy { !$0.contains("packets 0 ") })
    }

    @Test func excludedPortsAndPrefixesAreLeftAlone() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        fixture.startEcho(in: fixture.pod, port: 8_086, isIPv6: true)
        fixture.startEcho(in: fixture.peer, port: 9_096, isIPv6: true)
        fixture.startEcho(in: fixture.peer, port: 9_100)
        let prefixes = ["10.77.1.1/32", "fd77::/64"].compactMap { IPPrefix($0) }
        var exclusions = Workload.Exclusions(
            inboundPorts: [8_080...8_086],
            outboundPorts: [22...22],
            outboundPrefixes: prefixes
        )
        _ = await harness.apply(fixture.snapshot(.enabled(exclusions)))
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        #expect(fixture.ask(in: fixture.peer, "fd77::2", 8_086) == "fd77::1\n")
        #expect(fixture.ask(in: fixture.pod, "fd77::1", 9_096) == "fd77::2\n")
        let list = "nft list chain inet martlet out"
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        let counted = rules.split(separator: "\n").filter { $0.contains("counter packets") }
        #expect(counted.count == 2)
        #expect(counted.allSatisfy { $0.contains("packets 0 ") })
        exclusions = .init(outboundPorts: [9_099...9_100])
        await harness.apply(fixture.snapshot(.enabled(exclusions), version: 2))
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_100) == "10.77.1.2\n")
        #expect(fixture.run(in: fixture.pod, list).output.contains("counter packets 0 "))
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        #expect(fixture.run(in: fixture.pod, list).output.contains("counter packets 1 "))
    }

    @Test func aNamespaceWithoutThePodsAddressesIsRefused() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        var wrong = fixture.snapshot(.enabled(.init()))
        for key in wrong.workloads.keys {
            wrong.workloads[key]?.addresses = [IPAddress(10, 1, 1, 1)]
        }
        let report = await harness.apply(wrong)
        #expect(report.faults.contains { $0.contains("expected a namespace with 10.1.1.1") })
        #expect(await harness.layer.statuses.first?.state == .refused)
        #expect(fixture.traces == [])
    }
}
