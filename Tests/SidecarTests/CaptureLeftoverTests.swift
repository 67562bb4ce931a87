import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// What cannot be taken away is said, kept on record and tried again.
@Suite(.serialized) struct CaptureLeftoverTests {
    /// A table of the name of ours that nobody but its owner can touch.
    private func foreignTable(in fixture: PodFixture) async throws -> RulesSocket {
        let table = CapturePlan.table(.init(), .open)
        return try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            let socket = try RulesSocket()
            try PodNetwork.removeTable()
            _ = try PodNetwork.apply(table, by: socket)
            return socket
        }
    }

    @Test func aPodThatCannotBeLetGoSaysSoAndIsTriedAgain() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness(auditPeriod: .milliseconds(400))
        await harness.apply(fixture.snapshot(.enabled(.init())))
        var socket: RulesSocket? = try await foreignTable(in: fixture)
        let report = await harness.apply(fixture.snapshot(.disabled, version: 2))
        #expect(socket != nil && report.faults.count <= 1)
        let stuck = try await harness.status {
            $0?.reason.hasPrefix("cannot be taken away: ") ?? true
        }
        #expect(stuck?.state == .leaving)
        #expect(stuck?.reason.contains("Operation not permitted") == true, "\(stuck?.reason ?? "")")
        #expect(await harness.layer.faults.count == 1)
        #expect(try CaptureRecord(path: fixture.record).pods().count == 1)
        socket = nil
        #expect(try await harness.status { $0 == nil } == nil)
        #expect(fixture.traces == [])
        #expect(try CaptureRecord(path: fixture.record).pods() == [:])
        #expect(await harness.layer.faults == [])
    }

    @Test func anEarlierAgentsRulesThatCannotBeTakenAwayAreAFaultUntilTheyAre() async throws {
        let fixture = PodFixture()
        var socket: RulesSocket? = try await foreignTable(in: fixture)
        let inode = try #require(NetworkNamespace.inode(of: "/run/netns/\(fixture.pod)"))
        let record = CaptureRecord(path: fixture.record)
        try record.add(inode, for: "default/gone uid-0")
        let harness = try fixture.harness(auditPeriod: .milliseconds(400))
        let report = await harness.apply(fixture.snapshot(.disabled))
        #expect(report.faults.count == 1)
        #expect(report.faults.first?.contains("namespace \(inode) still holds rules") == true)
        #expect(socket != nil)
        #expect(try record.pods() == [inode: "default/gone uid-0"])
        socket = nil
        for _ in 0..<100 where await !harness.layer.faults.isEmpty {
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(await harness.layer.faults == [])
        #expect(try record.pods() == [:])
        #expect(fixture.traces == [])
    }

    @Test func whatBelongsToAWantedPodThatIsNotFoundYetIsLeft() async throws {
        let fixture = PodFixture()
        let plan = CapturePlan.table(.init())
        try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            _ = try PodNetwork.apply(plan)
        }
        let inode = try #require(NetworkNamespace.inode(of: "/run/netns/\(fixture.pod)"))
        let record = CaptureRecord(path: fixture.record)
        try record.add(inode, for: "default/app uid-1")
        let harness = try fixture.harness()
        await harness.apply(.pod(in: "", .enabled(.init()), uid: "uid-1"))
        #expect(await harness.layer.statuses.first?.state == .pending)
        #expect(fixture.run(in: fixture.pod, "nft list tables").output.contains("martlet"))
        await harness.apply(.pod(in: "", .enabled(.init()), uid: "uid-2", version: 2))
        #expect(fixture.traces == [])
    }

    @Test func aRecordThatCannotBeReadOrWrittenIsAFault() async throws {
        let fixture = PodFixture()
        try FileSystem.makeDirectories(fixture.record)
        defer { _ = try? FileSystem.removeDirectory(fixture.record) }
        let harness = try fixture.harness()
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults.first?.contains("cannot note the namespace") == true)
        #expect(report.faults.last?.contains("record of captured namespaces") == true)
        #expect(fixture.traces == [])
    }
}
