import Addressing
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import Sidecar

/// What is checked before a pod is called captured, and what is refused.
@Suite(.serialized) struct CaptureProofTests {
    @Test func rulesAreReadBackExpressionByExpression() async throws {
        let fixture = PodFixture()
        let plan = CapturePlan.table(
            .init(
                inboundPorts: [22...23],
                outboundPrefixes: [try #require(IPPrefix("10.1.0.0/16"))]
            )
        )
        try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
            _ = try PodNetwork.apply(plan)
        }
        var acceptedCount = 0
        for (chain, rule, expression) in plan.places {
            var altered = plan
            let old = altered.chains[chain].rules[rule].expressions[expression]
            altered.chains[chain].rules[rule].expressions[expression] = old.altered
            let table = altered
            let outcome = try await fixture.inside(fixture.pod) {
                () throws(NetlinkError) -> String? in
                // The kernel refuses some rules that make no sense: then nothing is altered.
                do throws(NetlinkError) { try PodNetwork.apply(table) } catch { return "refused" }
                return try PodNetwork.difference(from: plan)
            }
            if outcome != "refused" { acceptedCount += 1 }
            let name = plan.chains[chain].rules[rule].name
            #expect(outcome != nil, "\(old) of \"\(name)\" became \(old.altered) unseen")
        }
        #expect(acceptedCount * 10 >= plan.places.count * 9)
    }

    @Test func nothingIsProvenWithoutRulesReturnPathAndListeners() async throws {
        let fixture = PodFixture()
        let plan = CapturePlan.table(.init())
        func faults() async throws -> [String?] {
            try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
                [
                    try PodNetwork.difference(from: plan),
                    try PodNetwork.returnPathFault(needsIPv6: true),
                    try PodNetwork.missingListeners(needsIPv6: true).map(\.description)
                        .joined(separator: " "),
                ]
            }
        }
        #expect(
            try await faults() == [
                "expected rules \(plan.version), found none",
                "the IPv4 rule of the return path is missing", "15001 15006 15001 15006",
            ]
        )
        let harness = try fixture.harness()
        await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(try await faults() == [nil, nil, ""])
        for (command, fault) in [
            ("ip route flush table 100", "the IPv4 route of the return path is missing"),
            ("ip -6 rule del priority 32764", "the IPv6 rule of the return path is missing"),
            ("ip -6 route flush table 100", "the IPv6 route of the return path is missing"),
        ] {
            try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
                try PodNetwork.setReturnPath(removes: false)
            }
            let outcome = fixture.run(in: fixture.pod, command)
            let found = try await fixture.inside(fixture.pod) { () throws(NetlinkError) in
                try PodNetwork.returnPathFault(needsIPv6: true)
            }
            #expect(found == fault, "\(outcome.output)")
        }
    }

    /// Something is changed after the rules are in and before they are read back.
    @Test(
        arguments: [
            ("nft delete table inet martlet", "found none"),
            ("nft flush chain inet martlet in", "chain in: expected"),
            ("ip rule del priority 32764", "the IPv4 rule of the return path is missing"),
            ("ip -6 route flush table 100", "the IPv6 route of the return path is missing"),
            ("ss -K -l sport = :15006", "nobody listens on port 15006"),
        ]
    )
    func aPodIsNotCapturedBeforeEverythingIsReadBack(change: String, fault: String) async throws {
        let fixture = PodFixture()
        let seen = StepLog()
        let command = "ip netns exec \(fixture.pod) \(change)"
        let harness = try CaptureHarness(record: fixture.record) { step in
            seen.note(step)
            guard step == .rulesApplied, !seen.steps.dropLast().contains(step) else { return }
            Command.run(command)
        }
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults.first?.contains(fault) == true, "\(report.faults)")
        let status = try await harness.status { $0?.state == .captured }
        #expect(status?.state == .captured)
        #expect(status?.proof?.listenerCount == 4)
        #expect(seen.steps.filter { $0 == .rulesApplied }.count >= 2)
        #expect(seen.steps.filter { $0 == .proven }.count == 1)
    }

    @Test func aListenerThatCannotBeHadLeavesNoneAndNoRules() async throws {
        let fixture = PodFixture()
        fixture.startEcho(in: fixture.pod, port: 15_006, isIPv6: true)
        let harness = try fixture.harness()
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        // Two of the four listeners had been opened by then.
        #expect(report.faults.first?.contains("listen on 0.0.0.0:15006") == true)
        #expect(await harness.layer.statuses.first?.state == .pending)
        #expect(await harness.layer.statuses.first?.proof == nil)
        // An attempt may be under way at any time; between them nothing of it is open.
        var quietCount = 0
        for _ in 0..<20 {
            let listening = fixture.run(in: fixture.pod, "ss -Hltn").output
            if listening.split(separator: "\n").count == 1 { quietCount += 1 }
            let rules = fixture.run(in: fixture.pod, "nft list ruleset").output
            #expect(!rules.contains("martlet"))
            try await Task.sleep(for: .milliseconds(30))
        }
        #expect(quietCount >= 10)
        fixture.stopAll()
        let status = try await harness.status { $0?.state == .captured }
        #expect(status?.proof?.listenerCount == 4)
    }

    @Test(
        arguments: [
            (
                [
                    "nft add table ip nat",
                    "nft add chain ip nat PREROUTING '{ type nat hook prerouting priority -100; }'",
                    "nft add rule ip nat PREROUTING tcp dport 80 redirect to :4143",
                ], "table nat, chain PREROUTING"
            ),
            (
                [
                    "nft add table inet mesh",
                    "nft add chain inet mesh in '{ type filter hook prerouting priority -150; }'",
                    "nft add rule inet mesh in meta l4proto tcp tproxy to :15001",
                ], "table mesh, chain in"
            ),
        ]
    )
    func aPodThatCarriesAnotherMeshIsRefusedAndLeftAlone(
        commands: [String],
        place: String
    ) async throws {
        let fixture = PodFixture()
        for command in commands {
            let outcome = fixture.run(in: fixture.pod, command)
            #expect(outcome.status == 0, "\(outcome.output)")
        }
        let before = fixture.run(in: fixture.pod, "nft list ruleset").output
        let harness = try fixture.harness(auditPeriod: .milliseconds(400))
        let report = await harness.apply(fixture.snapshot(.enabled(.init())))
        #expect(report.faults.first?.contains(place) == true, "\(report.faults)")
        let status = try #require(await harness.layer.statuses.first)
        #expect(status.state == .refused)
        #expect(status.reason.contains(place))
        #expect(fixture.run(in: fixture.pod, "nft list ruleset").output == before)
        #expect(fixture.run(in: fixture.pod, "ss -Hltn").output == "")
        #expect(fixture.run(in: fixture.pod, "nft flush ruleset").status == 0)
        #expect(try await harness.status { $0?.state == .captured }?.state == .captured)
    }

    @Test func thePodsNamespaceIsNotTheNodes() async throws {
        let fixture = PodFixture()
        let harness = try fixture.harness()
        let report = await harness.apply(.pod(in: "/proc/self/ns/net", .enabled(.init())))
        #expect(report.faults.first?.contains("host-network pods are not captured") == true)
        #expect(await harness.layer.statuses.first?.state == .refused)
    }
}

extension NFTable {
    /// Where each expression is: chain, rule, expression.
    fileprivate var places: [(Int, Int, Int)] {
        chains.indices.flatMap { chain in
            chains[chain].rules.indices.flatMap { rule in
                chains[chain].rules[rule].expressions.indices.map { (chain, rule, $0) }
            }
        }
    }
}

extension NFExpression {
    /// Another expression in its place.
    fileprivate var altered: NFExpression {
        switch self {
        case .loadMeta(let key): .loadMeta(key == .mark ? .transport : .mark)
        case .loadPayload(let base, let offset, let count):
            .loadPayload(base: base, offset: offset + 1, byteCount: count)
        case .loadConnection(let key): .loadConnection(key == .mark ? .direction : .mark)
        case .loadDestinationType: .loadMeta(.mark)
        case .bitwise(let mask, let flip): .bitwise(mask: mask.map { $0 ^ 0x40 }, flip: flip)
        case .compare(let comparison, let value):
            .compare(comparison == .equal ? .notEqual : .equal, value)
        case .range(let from, let through): .range(from: from, through: through.map { $0 | 0x80 })
        case .setMark: .setConnectionMark
        case .setConnectionMark: .setMark
        case .redirect(let port): .redirect(port: port + 1)
        case .leave: .counter
        case .counter: .loadMeta(.mark)
        }
    }
}
