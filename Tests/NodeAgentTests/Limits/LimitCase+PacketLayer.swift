import TestSupport
import Testing

@testable import NodeAgent

extension LimitCase {
    /// A case with the shield on a pair of interfaces of its own, one map of which holds `entries`.
    private static func shield(
        _ name: String,
        _ map: String,
        _ entries: UInt32,
        _ manifests: @escaping @Sendable (LimitRig.Places) -> String = { _ in "" },
        _ trip: @escaping @Sendable (LimitRig) throws -> Void = { _ in }
    ) -> LimitCase {
        LimitCase(
            name: name,
            tighten: { if !map.isEmpty { $0.packetMaps[map] = entries } },
            configure: { configuration, places in
                configuration.packetInterfaces = .named([places.name])
                configuration.packetMode = .generic
            },
            manifests: { ["all": manifests($0)] },
            prepare: { places in
                let pair = "\(places.name) type veth peer name \(places.name)p"
                let made = Command.run("ip link add \(pair)")
                try #require(made.status == 0, "\(made.output)")
                return nil
            },
            trip: trip
        )
    }

    static let packetLayer: [LimitCase] = [
        shield("xdp.blockMax", "blocks", 1, { _ in "" }) { rig in
            for last in 1...2 { rig.post(#"{"source":"203.0.113.\#(last)","ttlSeconds":30}"#) }
        },
        shield("xdp.prefixBlockMax", "block_prefixes", 1, { _ in "" }) { rig in
            for source in ["203.0.113.0/24", "198.51.100.0/24"] {
                rig.post(#"{"source":"\#(source)","ttlSeconds":30}"#)
            }
        },
        shield("xdp.allowMax", "allow", 1),
        shield("xdp.denyMax", "deny", 1) { _ in
            LimitManifests.policy(
                "p",
                "{ deny: [{ source: 192.0.2.0/24 }, { source: 198.51.100.0/24 }] }"
            )
        },
        shield("xdp.destinationMax", "destinations", 1) { places in
            LimitManifests.gateway(
                "[{ name: w, port: \(places.web), protocol: HTTP }, "
                    + "{ name: x, port: \(places.raw), protocol: HTTP }]"
            )
        },
        shield("xdp.policyMax", "policies", 1) { _ in
            LimitManifests.policy("p", "{ deny: [] }") + LimitManifests.policy("q", "{ deny: [] }")
        },
        shield("xdp.scopesPerDestinationMax", "", 0) { places in
            (0..<5).map { index in
                LimitManifests.gateway(
                    "[{ name: w, port: \(places.web), protocol: HTTP, hostname: h\(index).test }]",
                    name: "g\(index)"
                )
            }.joined()
        },
    ]
}
