import Addressing
import DataPlane
import L4Proxy
import MeshModel

/// What the Gateways of a snapshot ask of this node: sockets, entry points, certificates. Pure.
package struct ListenerPlan: Sendable {
    /// One listening socket.
    package struct Port: Hashable, Sendable {
        /// Where it listens.
        package var address: SocketAddress
        /// What it speaks.
        package var listenerProtocol: ListenerProtocol
        /// The entry point's name, which is that of the address.
        package var name: String { address.description }
    }

    /// Sockets, sorted by address.
    package var ports: [Port] = []
    /// Entry points and clusters.
    package var contribution = EngineContribution()
    /// Listeners that terminate TLS, by port; the first answers unknown names.
    package var secured: [Port: [Listener]] = [:]
    /// Routes of TCP ports.
    package var relays: [Port: RelayRoute] = [:]
    /// The listener that answers for a port.
    package var listeners: [Port: ListenerID] = [:]

    /// Plans a snapshot.
    package init(_ snapshot: MeshSnapshot) {
        var groups: [Port: [Listener]] = [:]
        for listener in snapshot.listeners {
            for address in ListenerPlan.addresses(of: listener) {
                let port = Port(
                    address: SocketAddress(address, listener.port),
                    listenerProtocol: listener.listenerProtocol
                )
                groups[port, default: []].append(listener)
            }
        }
        for (port, listeners) in groups {
            ports.append(port)
            self.listeners[port] = listeners[0].id
            if port.listenerProtocol == .tcp {
                addRelay(port, listeners[0], snapshot)
            } else {
                addEntry(port, listeners, snapshot)
            }
        }
        ports.sort {
            ($0.address.ip, $0.address.port, $0.listenerProtocol.rawValue)
                < ($1.address.ip, $1.address.port, $1.listenerProtocol.rawValue)
        }
    }

    /// The addresses that a listener is to listen on.
    static func addresses(of listener: Listener) -> [IPAddress] {
        listener.addresses.isEmpty ? [.anyIPv4, .anyIPv6] : listener.addresses
    }

    private mutating func addRelay(_ port: Port, _ listener: Listener, _ snapshot: MeshSnapshot) {
        let routes = listener.attachments.compactMap { snapshot.tcpRoutes[$0.route] }
        let oldest = routes.min {
            ($0.createdAt, $0.key.namespace, $0.key.name)
                < ($1.createdAt, $1.key.namespace, $1.key.name)
        }
        let shares = (oldest?.backends ?? []).filter { $0.weight > 0 }.map { backend in
            guard case .cluster(let id) = backend.target, let cluster = snapshot.clusters[id] else {
                return RelayShare(weight: UInt32(clamping: backend.weight), endpoints: [])
            }
            return RelayShare(
                weight: UInt32(clamping: backend.weight),
                endpoints: cluster.usableEndpoints.map(\.address),
                proxyProtocolVersion: cluster.settings.proxyProtocolVersion
            )
        }
        relays[port] = RelayRoute(
            destination: .endpoints(shares),
            proxyProtocol: listener.settings.proxyProtocol
        )
    }

    private mutating func addEntry(
        _ port: Port,
        _ listeners: [Listener],
        _ snapshot: MeshSnapshot
    ) {
        var hosts: [HostPattern: EngineContribution.Host] = [:]
        // Of two listeners that match a host only the more specific answers for it, as it does for
        // the TLS handshake (GEP-3567, HTTP listener isolation).
        let ordered = listeners.sorted { HostPattern.isMoreSpecific($0.host, $1.host) }
        for listener in ordered {
            let name = listener.id.description
            for (pattern, routes) in ListenerPlan.routesByHost(listener, snapshot)
            where hosts[pattern] == nil
                && ordered.first(where: { $0.host.covers(pattern) })?.id == listener.id
            {
                let rules = EngineContribution.presenting(
                    listener.endpointCertificate,
                    in: EngineContribution.rules(
                        of: routes,
                        plugins: listener.plugins,
                        at: RouteOrigin(
                            isTLS: listener.listenerProtocol == .https,
                            port: listener.port
                        )
                    ),
                    from: snapshot
                )
                contribution.addClusters(of: rules, from: snapshot)
                hosts[pattern] = .init(
                    pattern: pattern,
                    listener: name,
                    rules: rules,
                    settings: listener.settings
                )
            }
            if hosts[listener.host] == nil {
                hosts[listener.host] = .init(
                    pattern: listener.host,
                    listener: name,
                    rules: [],
                    settings: listener.settings
                )
            }
            if port.listenerProtocol == .https { secured[port, default: []].append(listener) }
        }
        contribution.entries[port.name] = .init(
            isEdge: true,
            hosts: hosts.values.sorted { $0.pattern.description < $1.pattern.description },
            listener: listeners[0].id.description,
            plugins: listeners[0].plugins,
            settings: listeners[0].settings
        )
    }

    private static func routesByHost(
        _ listener: Listener,
        _ snapshot: MeshSnapshot
    ) -> [HostPattern: [HTTPRoute]] {
        var routes: [HostPattern: [HTTPRoute]] = [:]
        for attachment in listener.attachments {
            guard let route = snapshot.httpRoutes[attachment.route] else { continue }
            for host in attachment.hosts { routes[host, default: []].append(route) }
        }
        return routes
    }
}
