import DataPlane
import MeshModel
import Testing

@testable import PluginRuntime

@Suite struct PluginRuntimeTests {
    private let registry = PluginRegistry([
        KeyAuth(), SourceGuard(), ProbePlugin("probe"), ProbePlugin("alpha", .traffic),
        ProbePlugin("zeta", .traffic, .first), ProbePlugin("Beta", .traffic),
        ProbePlugin("late", .traffic, .last), ProbePlugin("early", .access),
        ProbePlugin("inner", .inner),
    ])

    private func probes(_ answer: String) -> [String] {
        answer.split(separator: "\r\n").filter { $0.hasPrefix("x-probe: ") }
            .map { String($0.dropFirst("x-probe: ".count)) }
    }

    @Test func pluginsRunByPositionThenOperationThenName() throws {
        let names = ["inner", "probe", "late", "alpha", "Beta", "zeta", "early"]
        let rig = try PluginRig(registry)
        rig.install([names.map { Sample.binding($0) }])
        let wanted = ["early", "zeta", "Beta", "alpha", "late", "probe", "inner"]
        #expect(probes(rig.get("/")) == wanted.map { "\($0)=1" })
    }

    @Test func positionsStandInTheOrderOfExecution() {
        #expect(
            PluginOrder.Position.allCases.map { "\($0)" } == [
                "listener", "network", "outer", "access", "authn", "authz", "traffic", "transform",
                "unspecified", "beforeUpstream", "stats", "inner",
            ]
        )
    }

    @Test func theRoutesPluginWinsWholeOverTheGatewaysOfItsName() {
        let gateway = [
            Sample.binding("probe", ["does": .string("reply")]), Sample.binding("alpha"),
        ]
        let route = [Sample.binding("probe")]
        let merged = EngineContribution.merge(gateway, overriddenBy: route)
        #expect(Set(merged) == [Sample.binding("alpha"), Sample.binding("probe")])
    }

    @Test func anInstanceLivesWhileItsConfigurationStays() throws {
        let rig = try PluginRig(registry)
        let kept = Sample.binding("probe")
        rig.install([[kept], [Sample.binding("alpha")]])
        #expect(probes(rig.get("/")) == ["probe=1"])
        #expect(probes(rig.get("/1")) == ["alpha=1"])
        rig.install([[kept], [Sample.binding("alpha", ["does": .string("count")])]])
        #expect(probes(rig.get("/")) == ["probe=2"])
        #expect(probes(rig.get("/1")) == ["alpha=1"])
        rig.install([[]])
        rig.install([[kept]])
        #expect(probes(rig.get("/")) == ["probe=1"])
    }

    @Test func aPluginThatThrowsCostsItsOwnRouteA500() throws {
        let rig = try PluginRig(registry)
        rig.install([
            [Sample.binding("probe", ["does": .string("throw")])], [Sample.binding("alpha")],
        ])
        for _ in 0..<3 {
            #expect(rig.status("/") == "500")
            #expect(rig.status("/1") == "200")
        }
        #expect(rig.proxy.counters[.filterErrors] == 3)
    }

    @Test(arguments: [(4, "200"), (6, "500")] as [(UInt64, String)])
    func aPluginThatOverrunsItsBudgetCostsItsOwnRouteA500(
        milliseconds: UInt64,
        status: String
    ) throws {
        let rig = try PluginRig(registry)
        rig.install([[Sample.binding("probe")], [Sample.binding("alpha")]])
        let probe = rig.proxy.filterStore.filters[Sample.binding("probe")] as? ProbeFilter
        try #require(probe).whileRunning = { [network = rig.network] in
            network.advance(nanoseconds: milliseconds * 1_000_000)
        }
        #expect(rig.status("/") == status)
        #expect(rig.status("/1") == "200")
        #expect(rig.proxy.counters[.filterOverruns] == (status == "500" ? 1 : 0))
    }

    @Test(arguments: [
        Sample.binding("probe", ["unknown": .bool(true)]), Sample.binding("missing"),
        Sample.binding("probe", ["does": .integer(1)]),
    ])
    func whatWasNeverValidAnswers500OnItsRouteOnlyAndIsNamed(binding: PluginBinding) throws {
        let rig = try PluginRig(registry)
        rig.install([[binding], [Sample.binding("alpha")]])
        #expect(rig.status("/") == "500")
        #expect(rig.status("/1") == "200")
        let name = "\(Sample.policy) \(binding.name)"
        #expect(rig.runtime.invalid.keys.sorted() == [name])
        rig.install([[Sample.binding("alpha")]])
        #expect(rig.runtime.invalid.isEmpty)
        #expect(rig.status("/") == "200")
    }

    @Test func aReplyEndsTheChain() throws {
        let rig = try PluginRig(registry)
        rig.install([
            [Sample.binding("alpha", ["does": .string("reply")]), Sample.binding("probe")]
        ])
        #expect(rig.status("/") == "418")
    }

    @Test func whatPluginsDoIsCountedByPolicyAndOutlivesThePolicy() throws {
        let rig = try PluginRig(registry)
        let throwing = Sample.binding("probe", ["does": .string("throw")])
        let replying = Sample.binding("alpha", ["does": .string("reply")])
        rig.install([[throwing], [replying], [Sample.binding("zeta")]])
        for path in ["/", "/1", "/1", "/2", "/2", "/2"] { _ = rig.status(path) }
        let store = rig.proxy.filterStore
        func counts(_ name: String) -> FilterCounts {
            store.countsByUse[PluginUse(name: name, policy: Sample.policy)] ?? FilterCounts()
        }
        #expect(counts("probe").runs == 1 && counts("probe").errors == 1)
        #expect(counts("alpha").runs == 2 && counts("alpha").replies == 2)
        #expect(counts("zeta").runs == 3 && counts("zeta").errors == 0)
        let zeta = rig.proxy.filterStore.filters[Sample.binding("zeta")] as? ProbeFilter
        try #require(zeta).whileRunning = { [network = rig.network] in
            network.advance(nanoseconds: 6_000_000)
        }
        _ = rig.status("/2")
        #expect(counts("zeta").overruns == 1)
        rig.install([[Sample.binding("early")]])
        #expect(store.countsByUse.count == 1)
        #expect(store.countsByPlugin["alpha"]?.replies == 2)
        rig.install([[replying]])
        _ = rig.status("/")
        #expect(counts("alpha").replies == 1)
        #expect(store.countsByPlugin["alpha"]?.replies == 3)
    }

    @Test func theConsumersFiltersReplaceAndJoinOnceItIsKnown() throws {
        let rig = try PluginRig(registry)
        let key = ObjectKey(.consumer, namespace: "ns", name: "rick")
        let filters = [
            Sample.binding("probe", ["does": .string("reply")], policy: key),
            Sample.binding("late", policy: key),
        ]
        rig.install(
            [
                [
                    Sample.binding("early"), Sample.keyAuth([("k", "HEADER")]),
                    Sample.binding("probe"),
                ]
            ],
            consumers: [
                Sample.consumer("rick", key: "1", filters: filters),
                Sample.consumer("morty", key: "2"),
            ]
        )
        #expect(rig.status("/", ["k: 1"]) == "418")
        #expect(probes(rig.get("/", ["k: 2"])) == ["early=2", "probe=1"])
        #expect(probes(rig.get("/")) == ["early=3", "probe=2"])
    }

    @Test func aConsumersInvalidFilterAnswers500ToThatConsumerOnly() throws {
        let rig = try PluginRig(registry)
        let filters = [Sample.binding("probe", ["unknown": .null])]
        rig.install(
            [[Sample.keyAuth([("k", "HEADER")])]],
            consumers: [
                Sample.consumer("rick", key: "1", filters: filters),
                Sample.consumer("morty", key: "2"),
            ]
        )
        #expect(rig.status("/", ["k: 1"]) == "500")
        #expect(rig.status("/", ["k: 2"]) == "200")
        #expect(rig.status("/") == "200")
    }
}
