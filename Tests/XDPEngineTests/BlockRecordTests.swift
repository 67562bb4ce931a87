import Addressing
import MeshModel
import Testing

@testable import XDPEngine

@Suite struct BlockRecordTests {
    private let clocks = BlockRecord.Clocks(
        monotonicNanoseconds: 5_000_000_000,
        wallNanoseconds: 1_700_000_000_000_000_000
    )

    private func block(_ scope: BlockScope, reason: String = "why") -> Block {
        Block(
            source: IPPrefix(host: ShieldFixture.attacker),
            scope: scope,
            destinations: [SocketAddress(ShieldFixture.node, 80)],
            reason: reason,
            owner: .operator,
            sinceNanoseconds: clocks.wallNanoseconds,
            expiryNanoseconds: clocks.wallNanoseconds + 30_000_000_000,
            enforcedAt: [.xdp]
        )
    }

    @Test(arguments: [
        BlockScope.node, .gateway(ObjectKey(.gateway, namespace: "ns", name: "web")),
        .listener(ListenerID(namespace: "ns", gateway: "web", name: "http")),
    ])
    func whatIsWrittenIsReadBack(scope: BlockScope) throws {
        let block = block(scope)
        let record = try BlockRecord(block, clocks: clocks, writer: 1)
        let read = BlockRecord.block(
            key: record.key,
            value: record.value,
            isPrefix: record.isPrefix,
            clocks: clocks
        )
        #expect(read == block)
    }

    @Test func aReasonTooLongIsCutAndNothingElseIsLost() throws {
        let long = String(repeating: "é", count: 4000)
        let record = try BlockRecord(block(.node, reason: long), clocks: clocks, writer: 1)
        let read = BlockRecord.block(
            key: record.key,
            value: record.value,
            isPrefix: false,
            clocks: clocks
        )
        #expect(read?.owner == .operator)
        #expect(read?.reason.hasPrefix("éééé") == true)
    }

    @Test func theExpiryFollowsTheWallClockBack() throws {
        let record = try BlockRecord(block(.node), clocks: clocks, writer: 1)
        let later = BlockRecord.Clocks(
            monotonicNanoseconds: clocks.monotonicNanoseconds + 10_000_000_000,
            wallNanoseconds: clocks.wallNanoseconds + 10_000_000_000
        )
        let read = BlockRecord.block(
            key: record.key,
            value: record.value,
            isPrefix: false,
            clocks: later
        )
        #expect(read?.expiryNanoseconds == clocks.wallNanoseconds + 30_000_000_000)
    }

    @Test func prefixesAndPortlessListenerBlocksAreRefused() throws {
        let listener = ListenerID(namespace: "ns", gateway: "web", name: "http")
        var portless = block(.listener(listener))
        portless.destinations = []
        #expect(throws: BlockRefusal.noDestination) {
            try BlockRecord(portless, clocks: clocks, writer: 1)
        }
        var wide = block(.listener(listener))
        wide.source = try #require(IPPrefix("192.0.2.0/24"))
        #expect(throws: BlockRefusal.prefixOutsideNodeScope) {
            try BlockRecord(wide, clocks: clocks, writer: 1)
        }
    }

    @Test func listenersOfAGatewayOnOnePortAreOneScope() {
        let web = ObjectKey(.gateway, namespace: "ns", name: "web")
        let other = ObjectKey(.gateway, namespace: "ns", name: "other")
        let names = [
            ScopeName.node, ScopeName.gateway(web), ScopeName.gateway(other),
            ScopeName.listener(gateway: web, port: 80), ScopeName.listener(gateway: web, port: 81),
            ScopeName.listener(gateway: other, port: 80),
        ]
        #expect(Set(names).count == names.count)
    }
}
