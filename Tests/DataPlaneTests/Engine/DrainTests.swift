import DataPlane
import Testing

@Suite struct DrainTests {
    @Test func idleConnectionsAreClosedAndTheOneInHandEndsWithItsResponse() throws {
        let rig = try EngineRig()
        let idle = rig.connect(sending: EngineRig.get)
        rig.answer()
        let busy = rig.connect(sending: EngineRig.get)
        rig.proxy.drain()
        rig.settle()
        #expect(rig.ended.contains(idle))
        #expect(!rig.ended.contains(busy))
        rig.answer()
        #expect(rig.text(busy).contains("connection: close\r\n"))
        #expect(rig.text(busy).hasSuffix("ok"))
        #expect(rig.ended.contains(busy))
        #expect(rig.upstreams[0].allSatisfy { rig.ended.contains($0) })
    }

    @Test func aRequestThatComesMeanwhileIsServedAndTheConnectionClosed() throws {
        let rig = try EngineRig()
        let client = rig.connect()
        rig.proxy.drain()
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.status(client) == "200")
        #expect(rig.ended.contains(client))
    }
}
