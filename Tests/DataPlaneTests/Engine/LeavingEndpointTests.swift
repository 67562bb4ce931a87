import DataPlane
import MeshModel
import Testing

/// Endpoints that terminate are drained, not cut.
@Suite struct LeavingEndpointTests {
    @Test func whatALeavingEndpointHasInHandEndsWellAndNewRequestsGoElsewhere() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0]])
        let held = (0..<3).map { _ in rig.ask(EngineRig.get) { _ in nil } }
        let connections = rig.upstreams[0]
        #expect(connections.count == 3)
        rig.install(clusters: [[1]])
        for _ in 0..<4 { #expect(rig.ask().endpoint == 1) }
        #expect(connections.allSatisfy { !rig.ended.contains($0) })
        for fd in connections { rig.send(fd, EngineRig.ok) }
        #expect(held.allSatisfy { rig.status($0.client) == "200" })
        // The connection is of no more use to anyone.
        #expect(connections.allSatisfy { rig.ended.contains($0) })
    }

    @Test func anIdleConnectionToALeavingEndpointIsClosed() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0]])
        #expect(rig.ask().endpoint == 0)
        rig.install(clusters: [[1]])
        rig.settle()
        #expect(rig.ended.contains(rig.upstreams[0][0]))
    }

    @Test func anEndpointThatReturnsStartsWithNothing() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0]])
        let held = rig.ask(EngineRig.get) { _ in nil }
        rig.install(clusters: [[1]])
        rig.install(clusters: [[0]])
        #expect(rig.ask().endpoint == 0)
        rig.send(rig.upstreams[0][0], EngineRig.ok)
        #expect(rig.status(held.client) == "200")
        #expect(rig.ended.contains(rig.upstreams[0][0]))
    }
}
