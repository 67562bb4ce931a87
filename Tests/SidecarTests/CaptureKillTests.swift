import LinuxSystem
import MeshModel
import Synchronization
import TestSupport
import Testing

@testable import Sidecar

/// An agent killed by SIGKILL between any two steps of taking a pod and of letting it go, and what
/// those who come after make of it. Agents run in processes of their own.
@Suite(.serialized) struct CaptureKillTests {
    /// Every step of an undisturbed run, in order.
    static let steps: [CaptureStep] =
        [.namespaceChecked, .recorded]
        + Array(repeating: .returnPathPartSet, count: 4)
        + Array(repeating: .listenerOpened, count: 4)
        + [.watched, .rulesApplied, .proven]
        + [.rulesLetGo, .connectionsEnded, .rulesRemoved, .listenersClosed]
        + Array(repeating: .returnPathPartRemoved, count: 4)
        + [.forgotten]

    /// Who comes after the killed agent.
    enum Next: String, CaseIterable, Sendable {
        case agentThatWantsThePod, agentThatDoesNot, cleanup
    }

    @Test func theStepsOfARunAreThese() async throws {
        let fixture = PodFixture()
        let seen = StepLog()
        let harness = try CaptureHarness(record: fixture.record) { seen.note($0) }
        await harness.apply(fixture.snapshot(.enabled(.init())))
        await harness.apply(fixture.snapshot(.disabled, version: 2))
        #expect(try await harness.status { $0 == nil } == nil)
        #expect(seen.steps == CaptureKillTests.steps)
        #expect(fixture.traces == [])
        #expect(try CaptureRecord(path: fixture.record).pods() == [:])
    }

    @Test(arguments: CaptureKillTests.steps.indices)
    func whoeverComesAfterAKillAtAnyStepFinishes(step: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for next in Next.allCases {
                group.addTask { try await check(killedAfter: step, next) }
            }
            try await group.waitForAll()
        }
    }

    private func check(killedAfter step: Int, _ next: Next) async throws {
        let fixture = PodFixture()
        fixture.startEcho(in: fixture.pod, port: 8_080)
        fixture.startEcho(in: fixture.peer, port: 9_090)
        let (namespace, record) = (fixture.pod, fixture.record)
        await #expect(processExitsWith: .signal(9)) {
            [namespace = namespace as String, record = record as String, step = step as Int] in
            try await CaptureVictim.run(in: namespace, record, killedAfter: step)
        }
        // Closed: from the rules to their letting go a dead agent's pod is refused, not passed.
        let steps = CaptureKillTests.steps[...step]
        let isClosed = steps.contains(.rulesApplied) && !steps.contains(.rulesLetGo)
        let place: Comment = "\(next) after \(CaptureKillTests.steps[step]), step \(step)"
        let inbound = fixture.ask(in: fixture.peer, fixture.podAddress, 8_080)
        let outbound = fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090)
        #expect(inbound.contains("refused") == isClosed, place)
        #expect(outbound.contains("refused") == isClosed, place)
        switch next {
        case .agentThatWantsThePod: try await expectCapture(fixture, place)
        case .agentThatDoesNot:
            let harness = try fixture.harness()
            let report = await harness.apply(fixture.snapshot(.disabled))
            #expect(report.faults == [], place)
            try expectNothing(fixture, place)
        case .cleanup:
            let outcome = await BlockingThread.run(name: "cleanup-test") {
                try? CaptureCleanup.run(CaptureRecord(path: record))
            }
            #expect(outcome??.faults == [], place)
            try expectNothing(fixture, place)
        }
    }

    private func expectCapture(_ fixture: PodFixture, _ place: Comment) async throws {
        let harness = try fixture.harness()
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults == [], place)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n", place)
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n", place)
        // One table; a rule and a route of each family; four listeners of two workers.
        let traces = fixture.traces
        #expect(traces.filter { $0.contains("table inet martlet") }.count == 1, "\(traces)")
        #expect(traces.filter { $0.contains("fwmark") }.count == 2, "\(traces)")
        #expect(traces.filter { $0.hasPrefix("local") }.count == 2, "\(traces)")
        #expect(traces.filter { $0.hasPrefix("LISTEN") }.count == 4, "\(traces)")
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.split(separator: "\n").filter { $0.contains("redirect to") }.count == 2)
    }

    private func expectNothing(_ fixture: PodFixture, _ place: Comment) throws {
        #expect(fixture.traces == [], place)
        #expect(try CaptureRecord(path: fixture.record).pods() == [:], place)
        #expect(fixture.ask(in: fixture.peer, fixture.podAddress, 8_080) == "10.77.1.1\n", place)
        #expect(fixture.ask(in: fixture.pod, fixture.peerAddress, 9_090) == "10.77.1.2\n", place)
    }

    @Test func rulesOfTheSameVersionAreKnownAgainAndLeftAsTheyAre() async throws {
        let fixture = PodFixture()
        let (namespace, record) = (fixture.pod, fixture.record)
        let step = try #require(CaptureKillTests.steps.firstIndex(of: .proven))
        await #expect(processExitsWith: .signal(9)) {
            [namespace = namespace as String, record = record as String, step = step as Int] in
            try await CaptureVictim.run(in: namespace, record, killedAfter: step)
        }
        let before = fixture.run(in: fixture.pod, "nft -a list table inet martlet").output
        let harness = try fixture.harness()
        await harness.apply(fixture.snapshot(.enabled(.init())))
        let after = fixture.run(in: fixture.pod, "nft -a list table inet martlet").output
        #expect(before == after)
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .captured)
        #expect(status.uncapturedNanoseconds == 0)
        #expect(status.proof?.rulesVersion == CapturePlan.table(.init()).version)
    }

    @Test func rulesOfAnotherVersionAreReplaced() async throws {
        let fixture = PodFixture()
        let other = CapturePlan.table(.init(outboundPorts: [1...2]))
        try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            try PodNetwork.apply(other)
        }
        let harness = try fixture.harness()
        await harness.apply(fixture.snapshot(.enabled(.init())))
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.proof?.rulesVersion == CapturePlan.table(.init()).version)
        let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
        #expect(rules.split(separator: "\n").filter { $0.contains("redirect to") }.count == 2)
    }

    @Test func aNamespaceThatIsNotOnRecordIsLeftAlone() async throws {
        let fixture = PodFixture()
        let other = PodFixture()
        for fixture in [fixture, other] {
            let harness = try fixture.harness()
            await harness.apply(fixture.snapshot(.enabled(.init())))
        }
        let record = fixture.record
        let outcome = await BlockingThread.run(name: "cleanup-test") {
            try? CaptureCleanup.run(CaptureRecord(path: record))
        }
        #expect(outcome??.cleanedCount == 1)
        #expect(!fixture.run(in: fixture.pod, "nft list tables").output.contains("martlet"))
        #expect(other.run(in: other.pod, "nft list tables").output.contains("martlet"))
    }
}

/// An agent that takes a pod and lets it go, and is killed on the way.
enum CaptureVictim {
    /// Runs it in this process.
    ///
    /// - Parameters:
    ///   - killedAfter: the number of the step after which SIGKILL comes.
    ///   - before: what is done just before.
    static func run(
        in namespace: String,
        _ record: String,
        failMode: CaptureFailMode = .closed,
        killedAfter last: Int,
        before: String = "true"
    ) async throws {
        let seen = StepLog()
        let harness = try CaptureHarness(record: record, failMode: failMode) { step in
            guard seen.note(step) == last else { return }
            Command.run("\(before); kill -9 \(ThisProcess.identifier)")
        }
        await harness.apply(.pod(in: namespace, .enabled(.init())))
        await harness.apply(.pod(in: namespace, .disabled, version: 2))
        _ = try await harness.status { $0 == nil }
    }
}

/// The steps that a layer told of.
final class StepLog: Sendable {
    private let log = Mutex<[CaptureStep]>([])

    var steps: [CaptureStep] { log.withLock(\.self) }

    /// Notes a step; its number, from 0.
    @discardableResult
    func note(_ step: CaptureStep) -> Int {
        log.withLock { log in
            log.append(step)
            return log.count - 1
        }
    }
}
