import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// Where a pod's network namespace is, by its annotation and by its processes, and how it is
/// followed.
@Suite(.serialized) struct CaptureLocationTests {
    /// A cgroup of a pod with processes in it, as a kubelet makes it.
    private final class PodCgroup {
        let uid: String
        private let directory: String

        init(uid: String) throws {
            self.uid = uid
            let root =
                FileSystem.kind(of: "/sys/fs/cgroup/cgroup.procs") == nil
                ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup"
            directory = "\(root)/kubepods/besteffort/pod\(uid)"
            try #require(Command.run("mkdir -p \(directory)").status == 0)
        }

        /// Starts a process of the pod in a network namespace.
        func start(in namespace: String) async throws {
            // The shell outside joins it: inside, `ip netns exec` hides the cgroups.
            Command.run(
                "ip netns exec \(namespace) sleep 300 >/dev/null </dev/null &"
                    + " echo $! > \(directory)/cgroup.procs"
            )
            let list = "ip netns pids \(namespace)"
            for _ in 0..<100 where Command.run(list).output.isEmpty {
                try await Task.sleep(for: .milliseconds(20))
            }
        }

        /// Ends the pod's processes.
        func stop() {
            Command.run("kill -9 $(cat \(directory)/cgroup.procs)")
            for _ in 0..<100 where !Command.run("cat \(directory)/cgroup.procs").output.isEmpty {
                RawThread.sleep(milliseconds: 20)
            }
        }

        deinit {
            stop()
            Command.run("rmdir -p \(directory)")
        }
    }

    private static func uid() -> String {
        "6f1c2d3e-0000-4b5a-9c8d-\(UInt64.random(in: 100_000_000_000..<999_999_999_999))"
    }

    private func isCaptured(_ fixture: PodFixture) -> Bool {
        fixture.run(in: fixture.pod, "nft list ruleset").output.contains("redirect to :15006")
    }

    @Test func aPodIsFoundByAProcessInItsCgroupAndNotByOneWhoseUIDBeginsAlike() async throws {
        let fixture = PodFixture()
        let decoy = PodFixture()
        let group = try PodCgroup(uid: CaptureLocationTests.uid())
        let longer = try PodCgroup(uid: "\(group.uid)0")
        try await longer.start(in: decoy.pod)
        let harness = try fixture.harness()
        let first = await harness.apply(.pod(in: "", .enabled(.init()), uid: group.uid))
        #expect(first.faults.first?.contains("no process in a cgroup of pod\(group.uid)") == true)
        try await group.start(in: fixture.pod)
        let status = try await harness.status { $0?.state == .captured }
        #expect(status?.state == .captured)
        #expect(isCaptured(fixture))
        #expect(!isCaptured(decoy))
    }

    @Test func aProcessWhoseNamespaceLacksThePodsAddressesIsRefused() async throws {
        let fixture = PodFixture()
        let group = try PodCgroup(uid: CaptureLocationTests.uid())
        try await group.start(in: fixture.peer)
        let harness = try fixture.harness()
        let report = await harness.apply(.pod(in: "", .enabled(.init()), uid: group.uid))
        let fault = try #require(report.faults.first)
        #expect(fault.contains("expected a namespace with 10.77.1.2, fd77::2, found 10.77.1.1"))
        #expect(await harness.layer.statuses.first?.state == .refused)
        #expect(fixture.run(in: fixture.peer, "nft list ruleset").output == "")
    }

    @Test func aProcessInAnotherPodsNamespaceIsRefused() async throws {
        let fixture = PodFixture()
        let other = try PodCgroup(uid: CaptureLocationTests.uid())
        try await other.start(in: fixture.pod)
        let group = try PodCgroup(uid: CaptureLocationTests.uid())
        try await Task.sleep(for: .milliseconds(20))
        try await group.start(in: fixture.pod)
        let harness = try fixture.harness()
        let report = await harness.apply(.pod(in: "", .enabled(.init()), uid: group.uid))
        #expect(report.faults.first?.contains("in that of pod\(other.uid)") == true)
        #expect(await harness.layer.statuses.first?.state == .refused)
        #expect(fixture.traces == [])
    }

    @Test func aPodMadeAnewUnderItsNameIsFollowed() async throws {
        let old = PodFixture()
        let new = PodFixture()
        let harness = try old.harness()
        await harness.apply(.pod(in: old.pod, .enabled(.init()), uid: "uid-1"))
        #expect(isCaptured(old))
        await harness.apply(.pod(in: new.pod, .enabled(.init()), uid: "uid-2", version: 2))
        #expect(isCaptured(new))
        #expect(old.traces == [])
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .captured)
        #expect(status.uid == "uid-2")
        let inode = NetworkNamespace.inode(of: "/run/netns/\(new.pod)")
        #expect(status.proof?.namespaceInode == inode)
        #expect(try CaptureRecord(path: old.record).pods().keys.map { $0 } == [inode])
    }

    @Test func aNewUIDInTheSameNamespaceGoesOnWithoutAGap() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        await harness.apply(.pod(in: fixture.pod, .enabled(.init()), uid: "uid-1"))
        let before = fixture.run(in: fixture.pod, "nft -a list ruleset").output
        await harness.apply(.pod(in: fixture.pod, .enabled(.init()), uid: "uid-2", version: 2))
        #expect(fixture.run(in: fixture.pod, "nft -a list ruleset").output == before)
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .captured)
        #expect(status.uid == "uid-2")
        let recorded = try CaptureRecord(path: fixture.record).pods()
        #expect(recorded.values.map { $0 } == ["default/app uid-2"])
    }

    @Test func aSandboxMadeAnewIsFollowedThoughNobodyTellsOfIt() async throws {
        let old = PodFixture()
        let new = PodFixture()
        let group = try PodCgroup(uid: CaptureLocationTests.uid())
        try await group.start(in: old.pod)
        let harness = try old.harness(auditPeriod: .milliseconds(400))
        await harness.apply(.pod(in: "", .enabled(.init()), uid: group.uid))
        #expect(isCaptured(old))
        group.stop()
        try await group.start(in: new.pod)
        let inode = NetworkNamespace.inode(of: "/run/netns/\(new.pod)")
        let status = try await harness.status { $0?.proof?.namespaceInode == inode }
        #expect(status?.proof?.namespaceInode == inode)
        #expect(isCaptured(new))
        #expect(old.traces == [])
    }

    @Test func whatCannotBeFoundForTheMomentKeepsItsRules() async throws {
        let fixture = PodFixture()
        let group = try PodCgroup(uid: CaptureLocationTests.uid())
        try await group.start(in: fixture.pod)
        let harness = try fixture.harness(auditPeriod: .milliseconds(200))
        await harness.apply(.pod(in: "", .enabled(.init()), uid: group.uid))
        group.stop()
        let moved = ["10.77.1.9"]
        await harness.apply(
            .pod(in: "", .enabled(.init()), uid: group.uid, addresses: moved, version: 2)
        )
        #expect(isCaptured(fixture))
        #expect(await harness.layer.statuses.first?.state == .refused)
    }
}
