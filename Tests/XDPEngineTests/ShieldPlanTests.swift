import Addressing
import MeshModel
import Testing

@testable import XDPEngine

@Suite struct ShieldPlanTests {
    private func deny(_ text: String, _ ttl: Duration? = nil) throws -> SourcePolicy.Deny {
        SourcePolicy.Deny(source: try #require(IPPrefix(text)), ttl: ttl)
    }

    @Test func aNarrowDenyThatEndsSoonerThanTheWideOneAroundItIsLeftOut() throws {
        var policy = ShieldFixture.policy()
        policy.deny = [
            try deny("10.0.0.0/8"), try deny("10.1.0.0/16", .seconds(5)),
            try deny("11.0.0.0/8", .seconds(5)), try deny("11.1.0.0/16"),
        ]
        let plan = ShieldPlan(DesiredShield(policies: [policy]))
        let kept = Set(plan.deny.keys.map(\.description))
        #expect(kept == ["10.0.0.0/8", "11.0.0.0/8", "11.1.0.0/16"])
    }

    @Test func everybodyIsNeverDenied() throws {
        var policy = ShieldFixture.policy()
        policy.deny = [try deny("0.0.0.0/0"), try deny("::/0")]
        let plan = ShieldPlan(DesiredShield(policies: [policy]))
        #expect(plan.deny.isEmpty)
        #expect(plan.faults.count == 2)
    }

    @Test func theStrictestRateThatIsEnforcedWins() {
        var loose = ShieldFixture.policy("loose")
        loose.packetsPerSecond = 100
        var strict = ShieldFixture.policy("strict")
        strict.packetsPerSecond = 10
        var trial = ShieldFixture.policy("trial")
        trial.packetsPerSecond = 1
        trial.dryRun = true
        let plan = ShieldPlan(DesiredShield(policies: [loose, strict, trial]))
        #expect(plan.packetRate?.perSecond == 10)
        #expect(plan.packetRate?.policy == ScopeName.policy(strict.key))
        #expect(ShieldPlan(DesiredShield(policies: [trial])).packetRate?.dryRun == true)
    }

    @Test func aListenerOnEveryAddressListensOnTheNodesAlone() {
        let plan = ShieldPlan(ShieldFixture.desired())
        let ports = plan.destinations.keys.filter { $0.port == 80 }.map(\.address)
        #expect(Set(ports) == [ShieldFixture.node, ShieldFixture.node6])
        #expect(plan.destinations.keys.filter { $0.port == 443 }.count == 1)
        #expect(plan.destinations.keys.filter { $0.port == 0 }.count == 2)
    }

    @Test func aPortSharedByFiveGatewaysIsAFaultForTheFifth() {
        let listeners = (1...5).map { ShieldFixture.listener("gateway\($0)", "http", 80) }
        let plan = ShieldPlan(
            DesiredShield(listeners: listeners, nodeAddresses: [ShieldFixture.node])
        )
        #expect(plan.faults.count == 1)
        #expect(plan.faults.first?.contains("ns/gateway5/http") == true)
    }

    @Test func protectedAllowedAndTrustedSourcesAreSpared() throws {
        var policy = ShieldFixture.policy()
        policy.allow = [try #require(IPPrefix("198.51.100.0/24"))]
        policy.trustedSources = [try #require(IPPrefix("203.0.113.1"))]
        let node = ProtectedSources.Entry(IPPrefix(host: ShieldFixture.node), reason: "node n1")
        let plan = ShieldPlan(
            DesiredShield(policies: [policy], protected: ProtectedSources([node]))
        )
        let spared = Set(plan.allow.keys.map(\.description))
        #expect(spared == ["198.51.100.0/24", "203.0.113.1/32", "10.0.0.1/32", "fe80::/10"])
    }

    @Test(arguments: [
        ("10.0.0.0/8", 1024), ("10.0.0.0/24", 1), ("10.0.0.1/32", 1), ("10.0.0.0/18", 1),
        ("10.0.0.0/16", 4),
    ])
    func theFilterSetsABitForEveryTwentyFour(prefix: String, wordCount: Int) throws {
        let filter = DenyFilter([try #require(IPPrefix(prefix))])
        #expect(filter.v4Words.count == wordCount)
        #expect(!filter.isWideV4)
    }

    @Test func tooWidePrefixesSwitchTheFilterOff() throws {
        let filter = DenyFilter([try #require(IPPrefix("64.0.0.0/7"))])
        #expect(filter.isWideV4 && !filter.isWideV6 && filter.v4Words.isEmpty)
        let filter6 = DenyFilter([try #require(IPPrefix("2001::/16"))])
        #expect(filter6.isWideV6 && !filter6.isWideV4)
    }

    @Test func pinsEscapeTheDotsThatTheKernelKeepsToItself() {
        let pins = PinDirectory(root: "/sys/fs/bpf/martlet", node: "n1.example", layout: 1)
        #expect(pins.path == "/sys/fs/bpf/martlet/n1%2eexample/v1")
        #expect(PinDirectory.unescaped(PinDirectory.escaped("eth0.100")) == "eth0.100")
    }

    @Test func theReasonsNamesAreDistinctAndComplete() {
        #expect(Set(PacketReason.allCases.map(\.name)).count == 15)
        #expect(PacketReason.allCases.filter(\.isDrop).count == 8)
    }
}
