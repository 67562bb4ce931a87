import Addressing
import MeshModel
import Testing

@testable import TrafficPolicy

@Suite struct VerdictRulesTests {
    private let source = IPAddress(192, 0, 2, 7)
    private let second: UInt64 = 1_000_000_000

    private func request(
        _ source: IPAddress = IPAddress(192, 0, 2, 7),
        ttl: Duration = .seconds(30),
        plugin: String = "sourceGuard",
        hasHandshake: Bool = true,
        dryRun: Bool = false
    ) -> VerdictRequest {
        VerdictRequest(
            source: source,
            scope: .node,
            owner: .plugin(
                name: plugin,
                policy: ObjectKey(.filterPolicy, namespace: "ns", name: "guard")
            ),
            ttl: ttl,
            hasHandshake: hasHandshake,
            dryRun: dryRun
        )
    }

    @Test func theFirstBlockIsAsAskedAndAtMostAMinute() {
        var rules = VerdictRules()
        #expect(
            rules.judge(request(), nowNanoseconds: 0) == .block(ttl: .seconds(30), dryRun: false)
        )
        let other = request(IPAddress(192, 0, 2, 8), ttl: .seconds(600))
        #expect(rules.judge(other, nowNanoseconds: 0) == .block(ttl: .seconds(60), dryRun: false))
    }

    @Test func eachRepeatedOffenceDoublesTheTimeUpToTheCap() {
        var rules = VerdictRules()
        var now: UInt64 = 0
        var seconds: [Int64] = []
        for _ in 0..<9 {
            guard case .block(let ttl, _) = rules.judge(request(), nowNanoseconds: now) else {
                Issue.record("refused")
                return
            }
            seconds.append(ttl.components.seconds)
            now += UInt64(ttl.components.seconds) * second + second
        }
        #expect(seconds == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600])
    }

    @Test func anOffenceLongAgoIsForgotten() {
        var rules = VerdictRules()
        _ = rules.judge(request(), nowNanoseconds: 0)
        let decision = rules.judge(request(), nowNanoseconds: 631 * second)
        #expect(decision == .block(ttl: .seconds(30), dryRun: false))
    }

    @Test func aPluginOverItsQuotaWaitsForTheNextMinuteAndOthersDoNot() {
        var rules = VerdictRules()
        rules.limits.blocksPerMinuteMax = 2
        for index in 1...2 {
            _ = rules.judge(request(IPAddress(192, 0, 2, UInt8(index))), nowNanoseconds: 0)
        }
        let third = request(IPAddress(192, 0, 2, 3))
        #expect(rules.judge(third, nowNanoseconds: 59 * second) == .overQuota)
        let other = request(IPAddress(192, 0, 2, 3), plugin: "another")
        #expect(rules.judge(other, nowNanoseconds: 59 * second) != .overQuota)
        #expect(rules.judge(third, nowNanoseconds: 60 * second) != .overQuota)
    }

    @Test func aSourceWithoutHandshakeIsNotBlocked() {
        var rules = VerdictRules()
        let decision = rules.judge(request(hasHandshake: false), nowNanoseconds: 0)
        #expect(decision == .noHandshake)
    }

    @Test func aDryRunCountsAgainstTheQuotaButIsNotRemembered() {
        var rules = VerdictRules()
        let decision = rules.judge(request(dryRun: true), nowNanoseconds: 0)
        #expect(decision == .block(ttl: .seconds(30), dryRun: true))
        #expect(rules.rememberedSourceCount == 0)
        #expect(
            rules.judge(request(), nowNanoseconds: 1) == .block(ttl: .seconds(30), dryRun: false)
        )
    }

    @Test func theTableOfSourcesIsBounded() {
        var rules = VerdictRules()
        rules.limits.rememberedSourceCountMax = 2
        for index in 1...2 {
            _ = rules.judge(request(IPAddress(192, 0, 2, UInt8(index))), nowNanoseconds: 0)
        }
        let third = request(IPAddress(192, 0, 2, 3))
        #expect(rules.judge(third, nowNanoseconds: 1) == .tableFull)
        #expect(rules.judge(third, nowNanoseconds: 700 * second) != .tableFull)
    }

    @Test func aTimeThatIsNotPositiveIsRefused() {
        var rules = VerdictRules()
        #expect(rules.judge(request(ttl: .zero), nowNanoseconds: 0) == .invalidTTL)
    }

    @Test(arguments: ["10.0.0.1", "10.244.3.4", "198.51.100.9", "203.0.113.1", "127.0.0.1"])
    func protectedTrustedAndAllowedSourcesAreNeverBlocked(text: String) throws {
        var policy = SourcePolicy(key: ObjectKey(.sourcePolicy, name: "policy"))
        policy.trustedSources = [try #require(IPPrefix("198.51.100.0/24"))]
        policy.allow = [try #require(IPPrefix("203.0.113.1"))]
        let list = NeverList(
            protected: ProtectedSources([
                .init(try #require(IPPrefix("10.0.0.1")), reason: "node n1"),
                .init(try #require(IPPrefix("10.244.0.0/16")), reason: "pods"),
            ]),
            policies: [policy]
        )
        var rules = VerdictRules(neverList: list)
        let address = try #require(IPAddress(text))
        guard case .neverBlocked = rules.judge(request(address), nowNanoseconds: 0) else {
            Issue.record("\(text) was not protected")
            return
        }
        #expect(list.reason(for: IPPrefix(host: address)) != nil)
    }

    @Test(arguments: [
        ("0.0.0.0/0", true), ("::/0", true), ("10.0.0.0/8", true), ("10.244.7.0/24", true),
        ("127.0.0.0/8", true), ("192.0.2.0/24", false), ("2001:db8::/32", false),
    ])
    func aPrefixThatHoldsOrLiesInAProtectedOneIsNeverBlocked(text: String, isRefused: Bool) throws {
        let list = NeverList(
            protected: ProtectedSources([
                .init(try #require(IPPrefix("10.0.0.1")), reason: "node n1"),
                .init(try #require(IPPrefix("10.244.0.0/16")), reason: "pods"),
            ])
        )
        let prefix = try #require(IPPrefix(text))
        #expect((list.reason(for: prefix) != nil) == isRefused)
    }
}
