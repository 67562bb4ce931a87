import Addressing
import DataPlane
import MeshModel

/// What captured pods reach by ClusterIP: entry points for HTTP ports, endpoints for others. Pure.
struct ServicePlan: Sendable {
    var contribution = EngineContribution()
    /// Entry points by the address dialled.
    var entries: [SocketAddress: String] = [:]
    /// Endpoints by the address dialled.
    var endpoints: [SocketAddress: [SocketAddress]] = [:]

    init(_ snapshot: MeshSnapshot) {
        for service in snapshot.services.values.sorted(by: { $0.key < $1.key })
        where !service.clusterIPs.isEmpty {
            for port in service.ports { add(service, port, snapshot) }
        }
    }

    private mutating func add(_ service: Service, _ port: Service.Port, _ snapshot: MeshSnapshot) {
        let addresses = service.clusterIPs.map { SocketAddress($0, port.number) }
        guard port.appProtocol != .tcp else {
            let usable = snapshot.clusters[port.cluster]?.usableEndpoints.map(\.address) ?? []
            for address in addresses { endpoints[address] = usable }
            return
        }
        let name = "mesh \(port.cluster)"
        let routes = port.routes.compactMap { snapshot.httpRoutes[$0] }
        let origin = RouteOrigin(port: port.number)
        var rules = EngineContribution.rules(of: routes, at: origin)
        if rules.isEmpty {
            rules = [
                EngineContribution.Rule(
                    match: HTTPMatch(),
                    rule: HTTPRouteRule(
                        backends: [RouteBackend(target: .cluster(port.cluster))]
                    ),
                    routeName: name,
                    plugins: [],
                    origin: origin
                )
            ]
        }
        contribution.addClusters(of: rules, from: snapshot)
        contribution.entries[name] = .init(
            isEdge: false,
            hosts: [.init(pattern: .any, listener: name, rules: rules)],
            listener: name
        )
        for address in addresses { entries[address] = name }
    }
}
