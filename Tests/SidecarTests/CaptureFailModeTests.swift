import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// What becomes of a captured pod when the agent is gone and the node's fail mode is open.
@Suite(.serialized) struct CaptureFailModeTests {
    @Test func openRulesVanishWithTheAgentAndConnectionsPass() async throws {
        let fixture = PodFixture()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        let listing = fixture.script("")
        let (namespace, record) = (fixture.pod, fixture.record)
        let step = try #require(CaptureKillTests.steps.firstIndex(of: .proven))
        await #expect(processExitsWith: .signal(9)) {
            [
                namespace = namespace as String, record = record as String, step = step as Int,
                listing = listing as String
            ] in
            let list = "ip netns exec \(namespace) nft list ruleset > \(listing)"
            try await CaptureVictim.run(
                in: namespace,
                record,
                failMode: .open,
                killedAfter: step,
                before: list
            )
        }
        let whileAlive = try FileSystem.readText(listing)
        #expect(whileAlive.contains("redirect to :15001"))
        #expect(whileAlive.contains("flags owner"))
        #expect(fixture.run(in: fixture.pod, "nft list ruleset").output == "")
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n")
        let outcome = await BlockingThread.run(name: "cleanup-test") {
            try? CaptureCleanup.run(CaptureRecord(path: record))
        }
        #expect(outcome??.faults == [])
        #expect(fixture.traces == [])
    }

    @Test func anOpenPodIsCapturedByNobodyElseAndLetGoLikeAnother() async throws {
        let fixture = PodFixture()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        let harness = try fixture.harness(failMode: .open)
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults == [])
        #expect(await harness.layer.statuses.first?.proof?.rulesVersion.contains("open") == true)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
        #expect(fixture.run(in: fixture.pod, "nft delete table inet martlet").status != 0)
        let exclusions = Workload.Exclusions(inboundPorts: [8_080...8_080])
        let second = await harness.apply(fixture.snapshot(.enabled(exclusions), version: 2))
        #expect(second.faults == [])
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.contains("8080"))
        await harness.apply(fixture.snapshot(.disabled, version: 3))
        #expect(try await harness.status { $0 == nil } == nil)
        #expect(fixture.traces == [])
    }

    @Test func anOpenAgentTakesOverFromAClosedOne() async throws {
        let fixture = PodFixture()
        let (namespace, record) = (fixture.pod, fixture.record)
        let step = try #require(CaptureKillTests.steps.firstIndex(of: .proven))
        await #expect(processExitsWith: .signal(9)) {
            [namespace = namespace as String, record = record as String, step = step as Int] in
            try await CaptureVictim.run(in: namespace, record, killedAfter: step)
        }
        #expect(!fixture.run(in: fixture.pod, "nft list ruleset").output.contains("flags owner"))
        let harness = try fixture.harness(failMode: .open)
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults == [])
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.contains("flags owner"))
        #expect(rules.split(separator: "\n").filter { $0.contains("redirect to") }.count == 2)
    }
}
