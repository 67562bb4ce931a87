import Addressing
import LinuxSystem
import MeshModel

/// What the node itself must always be able to hear from, gathered for the never-list.
struct ProtectionSources: Equatable, Sendable {
    /// The node's own addresses.
    var nodeAddresses: [IPAddress] = []
    /// Gateways of the default routes.
    var nextHops: [IPAddress] = []
    /// Of `/etc/resolv.conf`.
    var nameServers: [IPAddress] = []
    /// Addresses of the API server.
    var apiEndpoints: [IPAddress] = []

    /// Asks the kernel and the resolver's file.
    static func current(
        nodeAddresses: [IPAddress],
        apiEndpoints: [IPAddress]
    ) -> ProtectionSources {
        let resolver = try? FileSystem.readText("/etc/resolv.conf", byteLimit: 1_048_576)
        return ProtectionSources(
            nodeAddresses: nodeAddresses,
            nextHops: DefaultRoutes.current().nextHops,
            nameServers: NameServers.addresses(resolver ?? ""),
            apiEndpoints: apiEndpoints
        )
    }

    /// What may never be blocked under a snapshot, besides what its policies allow and trust.
    func protectedSources(_ snapshot: MeshSnapshot) -> ProtectedSources {
        var entries: [ProtectedSources.Entry] = []
        let add = { (address: IPAddress, reason: String) in
            entries.append(ProtectedSources.Entry(IPPrefix(host: address), reason: reason))
        }
        for address in nodeAddresses { add(address, "an address of this node") }
        for node in snapshot.nodes {
            for address in node.addresses { add(address, "node \(node.name)") }
        }
        var named: Set<IPAddress> = []
        for workload in snapshot.workloads.values.sorted(by: { $0.key < $1.key }) {
            for address in workload.addresses {
                named.insert(address)
                add(address, "pod \(workload.key.path)")
            }
        }
        for address in snapshot.podAddresses.subtracting(named).sorted() { add(address, "a pod") }
        for address in nextHops { add(address, "next hop of a default route") }
        for address in nameServers { add(address, "name server") }
        for address in apiEndpoints { add(address, "API server") }
        for (id, cluster) in snapshot.clusters
        where id.namespace == "default" && id.name == "kubernetes" {
            for endpoint in cluster.endpoints { add(endpoint.address.ip, "API server") }
        }
        return ProtectedSources(entries)
    }
}
