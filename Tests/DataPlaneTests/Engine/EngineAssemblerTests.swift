import Addressing
import MeshModel
import Testing

@testable import DataPlane

/// The control side's way to endpoints: health in, conditions out, tables made once.
@Suite struct EngineAssemblerTests {
    private struct NoFilters: FilterFactory {
        func chains(
            for lists: [[PluginBinding]],
            worker: Int,
            store: FilterStore
        ) -> [FilterChain] { [] }
    }

    private let id = ClusterID(namespace: "ns", name: "shop", port: 80)

    private func contribution(_ ports: [UInt16], zone: String = "") -> EngineContribution {
        var settings = BackendSettings()
        settings.balancing.algorithm = .maglev
        settings.balancing.prefersZone = true
        var contribution = EngineContribution()
        contribution.locality = EngineLocality(zone: zone, nodeCounts: [zone: 1, "-": 1])
        contribution.clusters[id] = Cluster(
            id: id,
            settings: settings,
            endpoints: ports.map { port in
                Endpoint(
                    address: SocketAddress(.loopbackIPv4, port),
                    nodeName: "n\(port)",
                    zone: "z\(port)"
                )
            }
        )
        return contribution
    }

    @Test func healthReachesEveryWorkerAndIsTold() async throws {
        let pool = try WorkerPool(count: 2, accessLog: nil, seed: 1)
        try pool.start()
        defer { pool.stop() }
        let assembler = EngineAssembler(pool: pool, factory: NoFilters())
        let faults = await assembler.update("test", contribution([1, 2]))
        #expect(faults.isEmpty)
        let one = SocketAddress(.loopbackIPv4, 1)
        await assembler.setHealth(id, one, isHealthy: false)
        await assembler.setHealth(id, SocketAddress(.loopbackIPv4, 9), isHealthy: false)
        let told = await assembler.conditions()
        #expect(told[id]?.count == 2)
        #expect(told[id]?[one]?.unhealthyCount == 2)
        #expect(told[id]?[SocketAddress(.loopbackIPv4, 2)] == EndpointCondition())
        // A view does not change it; an endpoint that went and came is a new one.
        _ = await assembler.update("test", contribution([1, 2]))
        #expect(await assembler.conditions()[id]?[one]?.unhealthyCount == 2)
        _ = await assembler.update("test", contribution([2]))
        #expect(await assembler.conditions()[id]?.count == 1)
        _ = await assembler.update("test", contribution([1, 2]))
        #expect(await assembler.conditions()[id]?[one]?.unhealthyCount == 0)
    }

    @Test func theOwnZonesEndpointsComeFirst() {
        let endpoints = (1...3).map { port in
            EngineEndpoint(
                address: SocketAddress(.loopbackIPv4, UInt16(port)),
                slot: Int32(port),
                generation: 1
            )
        }
        var settings = BackendSettings()
        settings.balancing.prefersZone = true
        let cluster = EngineCluster(
            name: "c",
            settings: settings,
            endpoints: endpoints,
            places: ["a", "c", "b"].map { EndpointPlace(zone: $0) },
            locality: EngineLocality(zone: "c", nodeCounts: ["a": 1, "b": 1, "c": 1])
        )
        #expect(cluster.endpoints.map(\.slot) == [2, 1, 3])
        #expect(cluster.localCount == 1)
    }

    @Test func aTableIsMadeAnewOnlyForOtherEndpoints() throws {
        var settings = BackendSettings()
        settings.balancing.algorithm = .ringHash
        let table = try #require(ConsistentTable(settings, [1, 2, 3], reusing: nil))
        let same = try #require(ConsistentTable(settings, [1, 2, 3], reusing: table))
        #expect(same.points == table.points)
        let other = try #require(ConsistentTable(settings, [1, 2], reusing: table))
        #expect(other.points.count == table.points.count / 3 * 2)
        settings.balancing.algorithm = .random
        #expect(ConsistentTable(settings, [1, 2, 3], reusing: table) == nil)
    }

    private func rules(_ id: ClusterID) -> [EngineContribution.Rule] {
        let route = HTTPRoute(
            key: ObjectKey(.httpRoute, namespace: "ns", name: "r"),
            rules: [HTTPRouteRule(backends: [RouteBackend(target: .cluster(id))])]
        )
        return EngineContribution.rules(of: [route], at: RouteOrigin())
    }

    @Test func aClusterUnderAGatewaysIdentityIsAnotherWithTheSameEndpointsAndHealth() async throws {
        let secret = ObjectKey(.secret, namespace: "ns", name: "own")
        var snapshot = MeshSnapshot()
        var settings = BackendSettings()
        settings.tls = BackendTLSSettings(host: "a.example")
        let address = SocketAddress(.loopbackIPv4, 7)
        snapshot.clusters[id] = Cluster(
            id: id,
            settings: settings,
            endpoints: [Endpoint(address: address)]
        )
        snapshot.certificates[secret] = Certificate(key: secret, chainPEM: [1], keyPEM: [2])
        let plain = rules(id)
        let shown = EngineContribution.presenting(secret, in: plain, from: snapshot)
        var contribution = EngineContribution()
        contribution.addClusters(of: plain + shown, from: snapshot)
        let other = id.presenting(secret)
        #expect(contribution.clusters.keys.sorted() == [id, other])
        #expect(other.description == "\(id) as ns/own" && other.plain == id)
        #expect(contribution.clusters[other]?.settings.tls?.certificate == secret)
        #expect(contribution.clusters[other]?.endpoints.map(\.address) == [address])
        #expect(contribution.clusters[id]?.settings.tls?.certificate == nil)
        #expect(contribution.certificates[secret] != nil)
        // What a health check finds holds for both.
        let pool = try WorkerPool(count: 1, accessLog: nil, seed: 1)
        try pool.start()
        defer { pool.stop() }
        let assembler = EngineAssembler(pool: pool, factory: NoFilters())
        _ = await assembler.update("test", contribution)
        await assembler.setHealth(id, address, isHealthy: false)
        #expect(await assembler.conditions()[id]?[address]?.unhealthyCount == 2)
    }

    @Test func clustersWithoutTLSOrWithACertificateOfTheirOwnAreLeftAsTheyAre() {
        let secret = ObjectKey(.secret, namespace: "ns", name: "own")
        var snapshot = MeshSnapshot()
        snapshot.clusters[id] = Cluster(id: id)
        let named = ClusterID(namespace: "ns", name: "named", port: 1)
        var settings = BackendSettings()
        settings.tls = BackendTLSSettings(host: "a.example")
        settings.tls?.certificate = ObjectKey(.secret, namespace: "ns", name: "policy")
        snapshot.clusters[named] = Cluster(id: named, settings: settings)
        for id in [id, named] {
            let rules = EngineContribution.presenting(secret, in: rules(id), from: snapshot)
            #expect(rules.first?.rule.backends.first?.target == .cluster(id))
        }
    }

    @Test func theNodesPlaceIsThatOfTheSnapshot() {
        var snapshot = MeshSnapshot()
        snapshot.nodeName = "n2"
        snapshot.nodes = [
            Node(name: "n1", addresses: [], zone: "a"), Node(name: "n2", addresses: [], zone: "b"),
            Node(name: "n3", addresses: [], zone: "b"),
        ]
        #expect(
            EngineLocality(snapshot)
                == EngineLocality(zone: "b", nodeCounts: ["a": 1, "b": 2])
        )
        snapshot.nodeName = "n9"
        #expect(EngineLocality(snapshot).zone.isEmpty)
    }
}
