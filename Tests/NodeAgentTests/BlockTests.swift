import Addressing
import DataPlane
import MeshModel
import Testing

@testable import NodeAgent

@Suite struct UserspaceBlocksTests {
    private let listener = ListenerID(namespace: "ns", gateway: "g", name: "web")
    private let other = ListenerID(namespace: "ns", gateway: "h", name: "web")
    private let source = IPAddress(192, 0, 2, 7)

    private func block(
        _ prefix: String,
        _ scope: BlockScope,
        expiry: UInt64 = 100,
        dryRun: Bool = false
    ) throws -> Block {
        Block(
            source: try #require(IPPrefix(prefix)),
            scope: scope,
            reason: "r",
            owner: .operator,
            sinceNanoseconds: 0,
            expiryNanoseconds: expiry,
            dryRun: dryRun
        )
    }

    private func isRefused(
        _ blocks: inout UserspaceBlocks,
        _ listener: ListenerID,
        now: UInt64 = 1
    ) -> Bool {
        if case .refuse = blocks.decide(source, listener: listener, now: now) { return true }
        return false
    }

    @Test func aBlockHoldsInItsScopeAlone() throws {
        for (scope, isElsewhere) in [
            (BlockScope.listener(listener), false), (.gateway(listener.gatewayKey), false),
            (.node, true),
        ] {
            var blocks = UserspaceBlocks()
            #expect(blocks.isEmpty && !isRefused(&blocks, listener))
            blocks.add(try block("192.0.2.7", scope), now: 0)
            #expect(isRefused(&blocks, listener))
            #expect(isRefused(&blocks, other) == isElsewhere)
            #expect(blocks.refusedCount(IPPrefix(host: source), scope) == (isElsewhere ? 2 : 1))
        }
    }

    @Test func prefixesHoldForTheirAddressesAlone() throws {
        var blocks = UserspaceBlocks()
        blocks.add(try block("192.0.2.0/24", .node), now: 0)
        #expect(isRefused(&blocks, listener))
        var others = UserspaceBlocks()
        others.add(try block("192.0.3.0/24", .node), now: 0)
        #expect(!isRefused(&others, listener))
    }

    @Test func aBlockEndsByTimeOrByRemoval() throws {
        var blocks = UserspaceBlocks()
        blocks.add(try block("192.0.2.7", .node, expiry: 50), now: 0)
        #expect(isRefused(&blocks, listener, now: 49))
        #expect(!isRefused(&blocks, listener, now: 50))
        blocks.add(try block("192.0.2.7", .node, expiry: 500), now: 60)
        #expect(isRefused(&blocks, listener, now: 61))
        blocks.remove(IPPrefix(host: source))
        #expect(!isRefused(&blocks, listener, now: 62) && blocks.isEmpty)
    }

    @Test func aDryRunCountsAndAdmits() throws {
        var blocks = UserspaceBlocks()
        blocks.add(try block("192.0.2.7", .node, dryRun: true), now: 0)
        guard case .countAndAdmit = blocks.decide(source, listener: listener, now: 1) else {
            Issue.record("not counted")
            return
        }
        #expect(blocks.refusedCount(IPPrefix(host: source), .node) == 1)
    }
}

@Suite struct ProtectionTests {
    @Test func nameServersAreRead() {
        let text = """
            # made by hand
            nameserver 10.0.0.10
            nameserver fe80::1%eth0
            search example.org
            nameserver nonsense
            """
        #expect(
            NameServers.addresses(text).map(\.description) == ["10.0.0.10", "fe80::1"]
        )
    }

    @Test func everythingTheNodeNeedsIsProtectedWithAReason() throws {
        var snapshot = MeshSnapshot()
        snapshot.nodes = [Node(name: "n2", addresses: [IPAddress(10, 0, 0, 2)])]
        let key = ObjectKey(.pod, namespace: "ns", name: "p")
        snapshot.workloads[key] = Workload(
            key: key,
            uid: "u",
            addresses: [IPAddress(10, 1, 0, 1)],
            capture: .disabled
        )
        snapshot.podAddresses = [IPAddress(10, 1, 0, 1), IPAddress(10, 1, 0, 2)]
        let api = ClusterID(namespace: "default", name: "kubernetes", port: 443)
        let endpoint = Endpoint(address: SocketAddress(IPAddress(10, 0, 0, 7), 6443))
        snapshot.clusters[api] = Cluster(id: api, endpoints: [endpoint])
        let sources = ProtectionSources(
            nodeAddresses: [IPAddress(10, 0, 0, 1)],
            nextHops: [IPAddress(10, 0, 0, 254)],
            nameServers: [IPAddress(10, 0, 0, 53)],
            apiEndpoints: [IPAddress(10, 0, 0, 6)]
        )
        let entries = sources.protectedSources(snapshot).entries.map {
            "\($0.prefix) \($0.reason)"
        }
        #expect(
            entries == [
                "10.0.0.1/32 an address of this node", "10.0.0.2/32 node n2",
                "10.1.0.1/32 pod ns/p", "10.1.0.2/32 a pod",
                "10.0.0.254/32 next hop of a default route", "10.0.0.53/32 name server",
                "10.0.0.6/32 API server", "10.0.0.7/32 API server",
            ]
        )
    }
}
