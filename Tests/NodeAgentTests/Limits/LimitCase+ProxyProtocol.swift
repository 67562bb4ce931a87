import Testing

@testable import NodeAgent

/// Limits of headers of the PROXY protocol.
extension LimitCase {
    static let proxyProtocol: [LimitCase] = [
        LimitCase(
            name: "proxyProtocol.headerTimeout",
            tighten: { $0.engine.proxyHeaderTimeout = soon },
            manifests: { ["proxy": policy($0)] }
        ) { rig in
            let client = try rig.client("PROXY TCP4 192.0.2.1 ")
            #expect(rig.peers.wait { client.isOver })
        },
        LimitCase(
            name: "proxyProtocol.headerByteLimit",
            manifests: { ["proxy": policy($0)] }
        ) { rig in
            let client = try rig.client("PROXY UNKNOWN \(String(repeating: "x", count: 200))")
            #expect(rig.peers.wait { client.isOver })
        },
    ]

    private static func policy(_ places: LimitRig.Places) -> String {
        LimitManifests.web(places)
            + """
            apiVersion: martlet.mesh/v1alpha1
            kind: ListenerPolicy
            metadata: { name: proxy, namespace: d }
            spec:
              targetRefs: [{ name: g }]
              proxyProtocol: { acceptance: Required, trustedPrefixes: [127.0.0.0/8] }
            """
    }
}
