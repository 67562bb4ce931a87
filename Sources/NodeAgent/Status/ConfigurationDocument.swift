import Addressing
import DataPlane
import MeshModel
import Telemetry

/// The document of `/config`: what is in force, and every limit. Secrets, plugin configurations and
/// the values that header filters set are left out.
struct ConfigurationDocument {
    /// The snapshot in force.
    let snapshot: MeshSnapshot
    /// What the workers know of endpoints in use.
    let conditions: [ClusterID: [SocketAddress: EndpointCondition]]
    /// What of it is asked for.
    let selection: ConfigurationSelection
    /// What health checks found of the endpoints that are checked.
    let health: [HealthBoard.Key: Bool]
    /// Every limit with how often it was reached.
    let limits: [(limit: Limit, reachedCount: UInt64)]
    /// What was counted of endpoints.
    var endpoints: [EndpointCounts] = []

    /// The text.
    var text: String {
        let listeners = snapshot.listeners.filter(isSelected)
        let routeKeys = selectedRoutes(listeners)
        let httpRoutes = snapshot.httpRoutes.values.filter { routeKeys.contains($0.key) }
        let tcpRoutes = snapshot.tcpRoutes.values.filter { routeKeys.contains($0.key) }
        let clusters = selectedClusters(httpRoutes, tcpRoutes)
        var json = JSONWriter()
        json.object { json in
            json.integer("snapshotVersion", snapshot.version)
            json.array("listeners") { json in
                for listener in listeners { write(listener, &json) }
            }
            json.array("routes") { json in
                for route in httpRoutes.sorted(by: { $0.key < $1.key }) { write(route, &json) }
                for route in tcpRoutes.sorted(by: { $0.key < $1.key }) { write(route, &json) }
            }
            json.array("clusters") { json in
                for cluster in clusters.sorted(by: { $0.id < $1.id }) { write(cluster, &json) }
            }
            if isWhole { writeRest(&json) }
        }
        return json.text
    }

    // MARK: Selection

    private var isWhole: Bool {
        selection == ConfigurationSelection()
    }

    private func isSelected(_ listener: Listener) -> Bool {
        if let wanted = selection.listener { return listener.id.description == wanted }
        return isWhole
    }

    private func selectedRoutes(_ listeners: [Listener]) -> Set<ObjectKey> {
        let all = Set(snapshot.httpRoutes.keys).union(snapshot.tcpRoutes.keys)
        if let wanted = selection.route { return all.filter { $0.path == wanted } }
        if isWhole { return all }
        return Set(listeners.flatMap { $0.attachments.map(\.route) })
    }

    private func selectedClusters(_ http: [HTTPRoute], _ tcp: [TCPRoute]) -> [Cluster] {
        if isWhole { return Array(snapshot.clusters.values) }
        if let wanted = selection.cluster {
            return snapshot.clusters.values.filter { $0.id.description == wanted }
        }
        let backends = http.flatMap { $0.rules.flatMap(\.backends) } + tcp.flatMap(\.backends)
        let identifiers = Set(
            backends.compactMap { backend -> ClusterID? in
                guard case .cluster(let id) = backend.target else { return nil }
                return id
            }
        )
        return snapshot.clusters.values.filter { identifiers.contains($0.id) }
    }

    // MARK: Parts

    private func write(_ listener: Listener, _ json: inout JSONWriter) {
        json.object { json in
            json.string("name", listener.id.description)
            json.string("protocol", listener.listenerProtocol.rawValue)
            json.integer("port", listener.port)
            json.strings("addresses", listener.addresses.map(\.description))
            json.string("host", listener.host.description)
            json.strings("certificates", listener.certificates.map(\.path))
            json.array("routes") { json in
                for attachment in listener.attachments {
                    json.object { json in
                        json.string("route", attachment.route.description)
                        json.strings("hosts", attachment.hosts.map(\.description))
                    }
                }
            }
            write(listener.plugins, &json)
            SettingsDocument.write(listener.settings, &json)
        }
    }

    private func write(_ route: HTTPRoute, _ json: inout JSONWriter) {
        json.object { json in
            json.string("route", route.key.path)
            json.string("kind", route.key.kind.rawValue)
            json.array("rules") { json in
                for rule in route.rules { write(rule, &json) }
            }
            write(route.plugins, &json)
        }
    }

    private func write(_ route: TCPRoute, _ json: inout JSONWriter) {
        json.object { json in
            json.string("route", route.key.path)
            json.string("kind", route.key.kind.rawValue)
            json.array("rules") { json in
                json.object { json in write(route.backends, &json) }
            }
            write([PluginBinding](), &json)
        }
    }

    private func write(_ rule: HTTPRouteRule, _ json: inout JSONWriter) {
        json.object { json in
            json.array("matches") { json in
                for match in rule.matches { write(match, &json) }
            }
            write("requestHeaders", rule.requestHeaders, &json)
            write("responseHeaders", rule.responseHeaders, &json)
            write(rule.backends, &json)
            write("requestTimeoutSeconds", rule.requestTimeout, &json)
            write("backendRequestTimeoutSeconds", rule.backendRequestTimeout, &json)
            if let retries = rule.retries { SettingsDocument.write(retries, &json) }
            if let tie = rule.persistence { SettingsDocument.write(tie, &json) }
            json.array("mirrors") { json in
                for mirror in rule.mirrors { write(mirror, &json) }
            }
            RouteChangeDocument.write(rule.change, &json)
            RouteChangeDocument.write(rule.crossOrigin, &json)
            json.string("fault", rule.fault)
        }
    }

    private func write(_ mirror: RouteMirror, _ json: inout JSONWriter) {
        json.object { json in
            switch mirror.target {
            case .cluster(let id): json.string("cluster", id.description)
            case .invalid(let reason): json.string("fault", reason)
            }
            json.integer("numerator", mirror.numerator)
            json.integer("denominator", mirror.denominator)
        }
    }

    private func write(_ match: HTTPMatch, _ json: inout JSONWriter) {
        json.object { json in
            switch match.path {
            case .exact(let path): json.string("exact", path)
            case .prefix(let path): json.string("prefix", path.isEmpty ? "/" : path)
            case .pattern(let pattern): json.string("pattern", pattern.text)
            }
            json.string("method", match.method)
            json.strings(
                "headers",
                match.headers.map { "\($0.name)=\($0.value)" }
                    + match.headerPatterns.map { "\($0.name)~\($0.pattern.text)" }
            )
            json.strings(
                "query",
                match.queryParameters.map { "\($0.name)=\($0.value)" }
                    + match.queryPatterns.map { "\($0.name)~\($0.pattern.text)" }
            )
        }
    }

    private func write(_ name: String, _ modifier: HeaderModifier, _ json: inout JSONWriter) {
        json.object(name) { json in
            json.strings("set", modifier.set.map(\.name))
            json.strings("add", modifier.add.map(\.name))
            json.strings("remove", modifier.remove)
        }
    }

    private func write(_ backends: [RouteBackend], _ json: inout JSONWriter) {
        json.array("backends") { json in
            for backend in backends {
                json.object { json in
                    switch backend.target {
                    case .cluster(let id): json.string("cluster", id.description)
                    case .invalid(let reason): json.string("fault", reason)
                    }
                    json.integer("weight", backend.weight)
                    RouteChangeDocument.write(backend.change, &json)
                }
            }
        }
    }

    private func write(_ name: String, _ duration: Duration?, _ json: inout JSONWriter) {
        json.number(name, duration.map { Double($0.wholeNanoseconds) / 1e9 })
    }

    private func write(_ plugins: [PluginBinding], _ json: inout JSONWriter) {
        json.array("plugins") { json in
            for plugin in plugins {
                json.object { json in
                    json.string("name", plugin.name)
                    json.string("policy", plugin.policy.path)
                }
            }
        }
    }

    private func write(_ cluster: Cluster, _ json: inout JSONWriter) {
        let usable = Set(cluster.usableEndpoints.map(\.address))
        let name = cluster.id.description
        let counted = endpoints.filter { $0.cluster == name }
        json.object { json in
            json.string("name", cluster.id.description)
            json.string("protocol", "\(cluster.appProtocol)")
            json.string("algorithm", cluster.settings.balancing.algorithm.rawValue)
            SettingsDocument.write(cluster.settings, &json)
            json.array("endpoints") { json in
                for endpoint in cluster.endpoints {
                    json.object { json in
                        json.string("address", endpoint.address.description)
                        json.bool("ready", endpoint.isReady)
                        json.bool("serving", endpoint.isServing)
                        json.bool("terminating", endpoint.isTerminating)
                        json.bool("usable", usable.contains(endpoint.address))
                        let key = HealthBoard.Key(cluster: cluster.id, address: endpoint.address)
                        json.bool("healthy", health[key])
                        json.string("node", endpoint.nodeName)
                        json.string("zone", endpoint.zone)
                        let address = endpoint.address.description
                        if let counts = counted.first(where: { $0.address == address }) {
                            write(counts.row, &json)
                        }
                        guard let condition = conditions[cluster.id]?[endpoint.address] else {
                            return
                        }
                        json.integer("requests", UInt64(condition.requestCount))
                        json.integer("unhealthyWorkers", UInt64(condition.unhealthyCount))
                        json.integer("ejectingWorkers", UInt64(condition.ejectedCount))
                    }
                }
            }
        }
    }

    private func write(_ row: EndpointRow, _ json: inout JSONWriter) {
        json.integer("tries", row.requestCount)
        json.integer("errors", row.errorCount)
        let count = row.requestCount
        json.number("meanSeconds", count == 0 ? nil : Double(row.nanoseconds) / 1e9 / Double(count))
    }

    private func writeRest(_ json: inout JSONWriter) {
        json.strings("consumers", snapshot.consumers.keys.sorted().map(\.path))
        json.array("policies") { json in
            for policy in snapshot.sourcePolicies.values.sorted(by: { $0.key < $1.key }) {
                write(policy, &json)
            }
        }
        json.array("limits") { json in
            for row in limits {
                json.object { json in
                    json.string("name", row.limit.name)
                    json.string("unit", row.limit.unit)
                    json.key("value")
                    if let whole = Int64(exactly: row.limit.value) {
                        json.integer(whole)
                    } else {
                        json.number(row.limit.value)
                    }
                    json.string("reason", row.limit.reason)
                    json.string("counter", row.limit.counterName)
                    json.integer("reached", row.reachedCount)
                }
            }
        }
    }

    private func write(_ policy: SourcePolicy, _ json: inout JSONWriter) {
        json.object { json in
            json.string("policy", policy.key.description)
            json.strings("allow", policy.allow.map(\.description))
            json.strings("deny", policy.deny.map(\.source.description))
            json.strings("trustedSources", policy.trustedSources.map(\.description))
            json.integer("packetsPerSecond", policy.packetsPerSecond)
            json.integer("synPerSecond", policy.synPerSecond)
            json.integer("pluginBlocksPerMinute", policy.pluginBlocksPerMinute)
            json.bool("dryRun", policy.dryRun)
        }
    }
}
