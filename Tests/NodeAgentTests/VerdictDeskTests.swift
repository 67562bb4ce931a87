import Addressing
import DataPlane
import MeshModel
import Testing
import TrafficPolicy

@testable import NodeAgent

@Suite struct VerdictDeskTests {
    private static let listener = ListenerID(namespace: "ns", gateway: "g", name: "web")

    private func desk(quota: UInt32 = 600) -> VerdictDesk {
        let desk = VerdictDesk(limits: BlockLimits()) { _ in }
        var settings = VerdictDesk.Settings()
        settings.listeners[0] = VerdictDeskTests.listener
        settings.blocksPerMinuteMax = quota
        desk.install(settings)
        return desk
    }

    private func request(
        _ source: IPAddress = IPAddress(192, 0, 2, 7),
        listener: Int32 = 0,
        ttl: UInt64 = 1_000_000_000
    ) -> BlockRequest {
        BlockRequest(
            source: source,
            listener: listener,
            destination: SocketAddress(.loopbackIPv4, 80),
            ttlNanoseconds: ttl,
            reason: "r",
            owner: .plugin(
                name: "p",
                policy: ObjectKey(.filterPolicy, namespace: "ns", name: "f")
            ),
            dryRun: false
        )
    }

    @Test func aRefusalSaysWhy() {
        #expect(desk().decide(request()) == .granted)
        #expect(desk().decide(request(listener: 9)) == .refused(.noListener))
        #expect(desk().decide(request(ttl: 0)) == .refused(.invalidTTL))
        #expect(desk(quota: 0).decide(request()) == .refused(.overQuota))
        #expect(desk().decide(request(.loopbackIPv4)) == .refused(.neverBlocked))
    }

    @Test func theNeverListInForceIsTheNewest() {
        let desk = desk()
        var settings = VerdictDesk.Settings()
        settings.listeners[0] = VerdictDeskTests.listener
        let source = IPAddress(192, 0, 2, 7)
        settings.neverList = NeverList(
            protected: ProtectedSources([.init(IPPrefix(host: source), reason: "a pod")])
        )
        desk.install(settings)
        #expect(desk.decide(request(source)) == .refused(.neverBlocked))
        #expect(desk.decide(request(IPAddress(192, 0, 2, 8))) == .granted)
    }
}
