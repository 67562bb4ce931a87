import Addressing
import DataPlane
import Testing

@testable import Discovery
@testable import NodeAgent

/// Limits of bodies that are changed in passing, of names, of checks, of interim responses.
extension LimitCase {
    static let bodies: [LimitCase] = [
        LimitCase(
            name: "plugins.compressedBodyMax",
            tighten: { $0.pluginBodyMax = 1 },
            manifests: { filtered($0, by: "{ compressor: { config: { minBytes: 0 } } }") }
        ) { rig in
            // Neither answer ends.
            rig.peers.answers(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nabc"
            )
            let ask = "GET / HTTP/1.1\r\nhost: a.test\r\naccept-encoding: gzip\r\n\r\n"
            for isCompressed in [true, false] {
                let peer = try rig.client(ask)
                #expect(rig.peers.wait { peer.text.contains("\r\n\r\n") })
                #expect(peer.text.contains("content-encoding: gzip") == isCompressed)
            }
        },
        LimitCase(
            name: "plugins.decompressedBodyMax",
            tighten: { $0.pluginBodyMax = 1 },
            manifests: { filtered($0, by: "{ decompressor: { config: {} } }") }
        ) { rig in
            let head =
                "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-encoding: gzip\r\n"
                + "content-length: 99\r\n\r\n"
            try rig.client(head)
            rig.peers.settle()
            try rig.request(head, expecting: 503)
        },
        LimitCase(
            name: "health.probeMax",
            tighten: { $0.healthProbeMax = 1 },
            manifests: {
                ["web": LimitManifests.web($0, to: [$0.silent, $0.endpoint]) + checks]
            }
        ) { rig in
            for _ in 0..<30 where rig.outside("health.probeMax") == 0 { rig.peers.settle() }
        },
        LimitCase(name: "names.nameMax") { rig in
            let names = Set((0...1_024).map { "n\($0).invalid" })
            let resolver = NameResolver { ResolverConfiguration("") }
            rig.waitFor {
                await resolver.follow(names)
                await resolver.follow([])
            }
        },
        LimitCase(name: "names.addressMax") { _ in
            let many = (1...33).map { IPAddress(192, 0, 2, $0) }
            var record = NameRecord()
            record.take(NameQuery.Outcome(addresses: many, seconds: 5), now: 0)
            #expect(record.addresses.count == 32)
        },
        LimitCase(name: "http.interimMax") { rig in
            let interim = String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 33)
            rig.peers.answers(interim)
            let client = try rig.client("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n")
            #expect(rig.peers.wait { client.text.contains("HTTP/1.1 502") })
        },
    ]

    private static func filtered(
        _ places: LimitRig.Places,
        by filters: String
    ) -> [String: String] {
        ["web": LimitManifests.web(places) + LimitManifests.plugin(filters)]
    }

    private static let checks = """
        apiVersion: martlet.mesh/v1alpha1
        kind: BackendPolicy
        metadata: { name: checks, namespace: d }
        spec:
          targetRefs: [{ name: s }]
          healthCheck: { type: HTTP, interval: 100ms, timeout: 3s }
        """
}
