import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// What others change inside a captured pod is heard, repaired and counted.
@Suite(.serialized) struct CaptureDriftTests {
    @Test(arguments: [
        "nft flush table inet martlet",
        "nft flush chain inet martlet in",
        "nft delete table inet martlet",
        "nft replace rule inet martlet out handle HANDLE counter accept",
        "nft delete rule inet martlet out handle HANDLE",
        "nft add rule inet martlet out counter accept",
        "nft add chain inet martlet extra",
        "nft add table inet martlet '{ flags dormant; }'",
        "ip rule del priority 32764",
        "ip -6 rule del priority 32764",
        "ip route flush table 100",
        "ip -6 route flush table 100",
    ])
    func driftIsHeardAndRepairedAndCounted(change: String) async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults == [])
        let listing = fixture.run(in: fixture.pod, "nft -a list chain inet martlet out").output
        let handle = try #require(
            listing.split(separator: "\n").last { $0.contains("redirect to :15001") }?
                .split(separator: " ").last
        )
        // What the agent's own work was told of is read by then: from here on it hears or it does not.
        try await Task.sleep(for: .milliseconds(500))
        let words = change.split(separator: " ").map { $0 == "HANDLE" ? handle : $0 }
        let outcome = fixture.run(in: fixture.pod, words.joined(separator: " "))
        #expect(outcome.status == 0, "\(outcome.output)")
        let repaired = try await harness.status {
            $0.map { $0.repairCount >= 1 && $0.state == .captured } ?? false
        }
        #expect(repaired?.state == .captured)
        #expect(repaired?.repairCount == 1)
        let plan = CapturePlan.table(.init())
        let faults = try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            [
                try PodNetwork.difference(from: plan),
                try PodNetwork.returnPathFault(needsIPv6: true),
            ]
        }
        #expect(faults == [nil, nil])
    }

    /// An agent that is stopped while 5,000 rules are added beside its own, of which one is taken
    /// away: it is told of an overflow, and finds out.
    @Test func whatTheKernelHadNoRoomToTellIsFoundByACheckOfAll() async throws {
        let fixture = PodFixture()
        let flood = (0..<5_000).map { "add rule inet other c tcp dport \($0 + 1) accept\n" }
        let script = fixture.script(
            "add table inet other\nadd chain inet other c\n" + flood.joined()
                + "flush chain inet martlet out\n"
        )
        let (namespace, record) = (fixture.pod, fixture.record)
        let disturb = fixture.script(
            """
            import os, signal, subprocess, sys
            agent = int(sys.argv[1])
            os.kill(agent, signal.SIGSTOP)
            try:
                subprocess.run(['ip', 'netns', 'exec', '\(namespace)', 'nft', '-f', '\(script)'])
            finally:
                os.kill(agent, signal.SIGCONT)
            """
        )
        await #expect(processExitsWith: .success) {
            [
                namespace = namespace as String, record = record as String,
                disturb = disturb as String
            ] in
            let harness = try CaptureHarness(record: record)
            await harness.apply(.pod(in: namespace, .enabled(.init())))
            Command.run("python3 \(disturb) \(ThisProcess.identifier)")
            let repaired = try await harness.status {
                $0.map { $0.overflowCount >= 1 && $0.repairCount >= 1 && $0.state == .captured }
                    ?? false
            }
            #expect((repaired?.overflowCount ?? 0) >= 1)
            #expect((repaired?.repairCount ?? 0) >= 1)
            #expect(repaired?.state == .captured)
        }
        let rules = fixture.run(in: fixture.pod, "nft list table inet martlet").output
        #expect(rules.contains("redirect to :15001"))
    }

    /// No descriptor is left when the agent has its listeners and goes on to watch.
    @Test func aPodThatCannotBeWatchedIsNotCapturedAndSaysSo() async throws {
        let fixture = PodFixture()
        let (namespace, record) = (fixture.pod, fixture.record)
        await #expect(processExitsWith: .success) {
            [namespace = namespace as String, record = record as String] in
            let seen = StepLog()
            let prlimit = "prlimit --pid \(ThisProcess.identifier) --nofile="
            let harness = try CaptureHarness(record: record) { step in
                seen.note(step)
                let opened = seen.steps.filter { $0 == .listenerOpened }.count
                if step == .listenerOpened && opened == 4 { Command.run("\(prlimit)3:") }
            }
            let report = await harness.apply(.pod(in: namespace, .enabled(.init())))
            let status = await harness.layer.statuses.first
            #expect(status?.state == .pending)
            #expect(status?.reason.contains("notifications of rules and routes") == true)
            #expect(report.faults.first?.contains("notifications of rules and routes") == true)
        }
        #expect(fixture.run(in: fixture.pod, "nft list ruleset").output == "")
    }

    @Test func anOverflowIsToldEvenWhereNothingWaits() async throws {
        let fixture = PodFixture()
        let monitor = try DriftMonitor(receiveByteLimit: 1)
        let sockets = try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            try monitor.open()
        }
        let flood = (0..<2_000).map { "add rule inet other c tcp dport \($0 + 1) accept\n" }
        let script = fixture.script(
            "add table inet other\nadd chain inet other c\n" + flood.joined()
        )
        #expect(fixture.run(in: fixture.pod, "nft -f \(script)").status == 0)
        let token = try monitor.add(sockets)
        var change = DriftMonitor.Change.none
        for _ in 0..<100 where change == .none {
            try await Task.sleep(for: .milliseconds(20))
            change = monitor.takeChange(token)
        }
        #expect(change == .overflowed)
        #expect(monitor.takeChange(token) == .none)
    }

    @Test func socketsThatCannotBeListenedToAreAnErrorAndAreForgotten() async throws {
        let fixture = PodFixture()
        let monitor = try DriftMonitor()
        let sockets = try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            try monitor.open()
        }
        let token = try monitor.add(sockets)
        #expect(throws: Errno.exists) { _ = try monitor.add(sockets) }
        #expect(monitor.takeChange(token) == .none)
    }

    @Test func anAuditFindsListenersThatWereLost() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness(auditPeriod: .milliseconds(400))
        fixture.startEcho(in: fixture.pod, port: 8_080)
        await harness.apply(fixture.snapshot(.enabled(.init())))
        let outcome = fixture.run(in: fixture.pod, "ss -K -l sport = :15006")
        #expect(outcome.status == 0, "\(outcome.output)")
        let repaired = try await harness.status {
            $0.map { $0.repairCount >= 1 && $0.state == .captured } ?? false
        }
        #expect(repaired?.state == .captured)
        #expect(repaired?.proof?.listenerCount == 4)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n")
    }
}
