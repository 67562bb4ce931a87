import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

extension LimitCase {
    private static func planned(
        _ name: String,
        _ tighten: @escaping @Sendable (inout AgentLimits) -> Void,
        _ manifest: @escaping @Sendable (LimitRig.Places) -> String
    ) -> LimitCase {
        LimitCase(name: name, tighten: tighten, manifests: { ["web": manifest($0)] }) { _ in }
    }

    private static func twoListeners(_ places: LimitRig.Places, isOnePort: Bool) -> String {
        let second = isOnePort ? places.web : places.raw
        return LimitManifests.gateway(
            "[{ name: w, port: \(places.web), protocol: HTTP, hostname: a.test }, "
                + "{ name: x, port: \(second), protocol: HTTP, hostname: b.test }]"
        ) + LimitManifests.service("s", [places.endpoint])
            + LimitManifests.route("[{ backendRefs: [{ name: s, port: 80 }] }]")
    }

    static let routing: [LimitCase] = [
        planned("routing.listenerMax", { $0.engine.nameMax = 1 }) {
            twoListeners($0, isOnePort: true)
        },
        planned("routing.entryMax", { $0.engine.nameMax = 1 }) {
            twoListeners($0, isOnePort: false)
        },
        planned("routing.clusterMax", { $0.engine.nameMax = 1 }) { places in
            let both = "[{ name: s, port: 80 }, { name: t, port: 80 }]"
            return LimitManifests.gateway("[{ name: w, port: \(places.web), protocol: HTTP }]")
                + LimitManifests.service("s", [places.endpoint])
                + LimitManifests.service("t", [places.endpoint])
                + LimitManifests.route("[{ backendRefs: \(both) }]")
        },
        planned("routing.endpointMax", { $0.engine.endpointMax = 1 }) {
            LimitManifests.web($0, to: [$0.endpoint, $0.closed])
        },
        planned("routing.trafficRowMax", { $0.engine.trafficRowMax = 2 }) { places in
            let rule = { (path: String) in
                "{ matches: [{ path: { type: PathPrefix, value: \(path) } }], "
                    + "backendRefs: [{ name: s, port: 80 }] }"
            }
            return LimitManifests.gateway("[{ name: w, port: \(places.web), protocol: HTTP }]")
                + LimitManifests.service("s", [places.endpoint])
                + LimitManifests.route("[\(rule("/a")), \(rule("/b"))]")
        },
        planned("routing.prefixDepthMax", { _ in }) { places in
            let path = String(repeating: "/x", count: 33)
            let match = ", matches: [{ path: { type: PathPrefix, value: \(path) } }]"
            return LimitManifests.web(places, to: [places.endpoint], match)
        },
        planned("routing.socketMax", { $0.engine.listenerMax = 1 }) {
            twoListeners($0, isOnePort: false)
        },
    ]

    private static func relayed(
        _ name: String,
        _ tighten: @escaping @Sendable (inout AgentLimits) -> Void,
        to port: @escaping @Sendable (LimitRig.Places) -> UInt16 = { $0.endpoint },
        _ trip: @escaping @Sendable (LimitRig) throws -> Void
    ) -> LimitCase {
        LimitCase(
            name: name,
            tighten: tighten,
            manifests: { ["raw": LimitManifests.raw($0, to: port($0))] },
            trip: trip
        )
    }

    static let relay: [LimitCase] = [
        relayed("relay.pairMax", { $0.relay.pairMax = 1 }) { rig in
            _ = try rig.peers.connect(rig.places.raw)
            try #require(rig.peers.wait { rig.peers.accepted.count == 1 })
            let second = try rig.peers.connect(rig.places.raw)
            #expect(rig.peers.wait { second.isOver })
        },
        relayed("relay.bufferBlockMax", { $0.relay.bufferBlockMax = 1 }) { rig in
            rig.peers.pausesAccepted = true
            // What the endpoint does not take is more than the block, or takes it from the next.
            let bytes = [UInt8](repeating: 0x78, count: 32 << 20)
            for _ in 0..<2 where rig.outside("relay.bufferBlockMax") == 0 {
                let client = try rig.peers.connect(rig.places.raw)
                client.send(bytes)
                rig.peers.wait { client.isOver }
            }
        },
        relayed(
            "relay.connectTimeout",
            {
                $0.relay.connectTimeout = soon
                $0.relay.triesMax = 1
            },
            to: { $0.silent }
        ) { rig in
            let client = try rig.peers.connect(rig.places.raw)
            #expect(rig.peers.wait { client.isOver })
        },
        relayed("relay.idleTimeout", { $0.relay.idleTimeout = soon }) { rig in
            let client = try rig.peers.connect(rig.places.raw)
            #expect(rig.peers.wait { client.isOver })
        },
        relayed("relay.triesMax", { $0.relay.triesMax = 1 }, to: { $0.closed }) { rig in
            let client = try rig.peers.connect(rig.places.raw)
            #expect(rig.peers.wait { client.isOver })
        },
    ]

    /// A case in which a plugin asks for blocks of some sources.
    private static func wishes(
        _ name: String,
        _ sources: [UInt8],
        ttl: Duration = .seconds(1),
        tighten: @escaping @Sendable (inout AgentLimits) -> Void = { _ in }
    ) -> LimitCase {
        LimitCase(name: name, tighten: tighten) { rig in
            let agent = rig.agent
            let nanoseconds = ttl.wholeNanoseconds
            for last in sources {
                _ = rig.waitFor { () -> BlockVerdict? in
                    let names = await agent.assembler.slotNames
                    let listener = names.listeners.values.first ?? -1
                    let owner = BlockOwner.plugin(
                        name: "p",
                        policy: ObjectKey(.filterPolicy, namespace: "d", name: "f")
                    )
                    return await agent.workers.desks[0].perform { desk in
                        desk.decide(
                            BlockRequest(
                                source: IPAddress(203, 0, 113, last),
                                listener: listener,
                                destination: SocketAddress(.loopbackIPv4, 1),
                                ttlNanoseconds: nanoseconds,
                                reason: "test",
                                owner: owner,
                                dryRun: false
                            )
                        )
                    }
                }
            }
        }
    }

    private static let block = Block(
        source: IPPrefix(host: IPAddress(203, 0, 113, 1)),
        scope: .node,
        reason: "test",
        owner: .operator,
        sinceNanoseconds: 0,
        expiryNanoseconds: 1
    )

    static let blocks: [LimitCase] = [
        LimitCase(name: "blocks.userspaceMax", tighten: { $0.blocks.userspaceMax = 1 }) { rig in
            for last in 1...2 { rig.post(#"{"source":"203.0.113.\#(last)","ttlSeconds":30}"#) }
        },
        wishes("blocks.firstTTLMax", [1], ttl: .seconds(90)),
        wishes("blocks.ttlMax", [1, 1]) { $0.blocks.verdicts.ttlMax = .milliseconds(1_500) },
        wishes("blocks.perMinuteMax", [1, 2]) { $0.blocks.verdicts.blocksPerMinuteMax = 1 },
        wishes("blocks.rememberedSourceMax", [1, 2]) {
            $0.blocks.verdicts.rememberedSourceCountMax = 1
        },
        LimitCase(
            name: "blocks.newsMax",
            isReadInside: true,
            isStarted: false,
            tighten: { $0.blocks.newsMax = 1 }
        ) { rig in for _ in 0..<2 { rig.agent.blockNews.tell(block) } },
        LimitCase(
            name: "plugins.offenceSourceMax",
            tighten: { $0.offenceSourceMax = 1 },
            manifests: {
                let plugin = LimitManifests.plugin("{ sourceGuard: { config: { offences: 9 } } }")
                return ["web": LimitManifests.web($0) + plugin]
            }
        ) { rig in
            rig.peers.answers("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
            for last: UInt8 in 1...2 {
                let peer = try rig.peers.connect(rig.places.web, from: IPAddress(127, 0, 0, last))
                peer.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
                #expect(rig.peers.wait { peer.text.hasPrefix("HTTP/1.1 403") })
            }
        },
    ]
}

extension LimitRig {
    /// Asks for an operator's block.
    func post(_ body: String) {
        _ = process.ask("/blocks", "-X POST -d '\(body)'")
    }
}
