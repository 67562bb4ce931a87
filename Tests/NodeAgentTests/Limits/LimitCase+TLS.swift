import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// Limits of TLS handshakes.
extension LimitCase {
    static let tls: [LimitCase] = [
        LimitCase(name: "tls.handshakeMax", tighten: { $0.engine.handshakeMax = 0 }) {
            _ = try $0.securedClient()
        },
        LimitCase(name: "tls.handshakeTimeout", tighten: { $0.engine.handshakeTimeout = soon }) {
            _ = try $0.securedClient()
        },
    ]
}

extension LimitRig {
    /// A client of a port where TLS is terminated; it sends nothing.
    fileprivate func securedClient() throws -> LimitPeers.Peer {
        let authority = TestAuthority(in: process.directory, name: "authority")
        let leaf = try authority.issue("leaf", alternativeNames: "DNS:a.test")
        let context = try TLSContext.server(
            chainPEM: try FileSystem.read(leaf.certificate),
            keyPEM: try FileSystem.read(leaf.key)
        )
        let address = SocketAddress(.loopbackIPv4, try LimitRig.freePort())
        let agent = self.agent
        let isOpen = waitFor {
            let table = TLSHostTable([(.any, context)])
            _ = await agent.workers.pool.perform { $0.proxy.setTLSHosts(ofEntry: 90_100, table) }
            let target = PortTarget.http(PortConfiguration(entry: 90_100, isTLS: true))
            let binding = PortBinding(target: target, local: address)
            return (try? await agent.workers.pool.listen(on: address, port: 90_100, binding)) != nil
        }
        #expect(isOpen == true)
        return try peers.connect(address.port)
    }
}
