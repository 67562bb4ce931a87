import MeshModel

extension EngineContribution {
    /// The matches of some routes, in the order that breaks ties: older routes first, then by
    /// namespace and name, then rules as written (GEP-724).
    ///
    /// - Parameters:
    ///   - plugins: those of the listener; a route's own override them by name.
    ///   - origin: where clients reach them.
    package static func rules(
        of routes: [HTTPRoute],
        plugins: [PluginBinding] = [],
        at origin: RouteOrigin
    ) -> [Rule] {
        let sorted = routes.sorted {
            ($0.createdAt, $0.key.namespace, $0.key.name)
                < ($1.createdAt, $1.key.namespace, $1.key.name)
        }
        return sorted.flatMap { route in
            let merged = merge(plugins, overriddenBy: route.plugins)
            let name = route.key.kind == .httpRoute ? route.key.path : route.key.description
            return route.rules.enumerated().flatMap { index, rule in
                rule.matches.map { match in
                    Rule(
                        match: match,
                        rule: rule,
                        routeName: "\(name)/\(index)",
                        plugins: merged,
                        origin: origin
                    )
                }
            }
        }
    }

    /// Unites two levels of plugins by name; the more specific level wins whole.
    package static func merge(
        _ general: [PluginBinding],
        overriddenBy specific: [PluginBinding]
    ) -> [PluginBinding] {
        let names = Set(specific.map(\.name))
        return general.filter { !names.contains($0.name) } + specific
    }

    /// The clusters that some rules name, taken from a snapshot.
    package mutating func addClusters(of rules: [Rule], from snapshot: MeshSnapshot) {
        locality = EngineLocality(snapshot)
        for rule in rules {
            let targets = rule.rule.backends.map(\.target) + rule.rule.mirrors.map(\.target)
            for target in targets {
                guard case .cluster(let id) = target else { continue }
                addCluster(id, from: snapshot)
            }
        }
    }

    private mutating func addCluster(_ id: ClusterID, from snapshot: MeshSnapshot) {
        var cluster = snapshot.clusters[id.plain] ?? Cluster(id: id.plain)
        if !id.identity.isEmpty {
            cluster = cluster.identified(as: id)
            cluster.settings.tls?.certificate = snapshot.certificates.keys.first {
                $0.path == id.identity
            }
        }
        clusters[id] = cluster
        if let key = cluster.settings.tls?.certificate {
            certificates[key] = snapshot.certificates[key]
        }
    }

    /// Rules whose clusters that speak TLS are shown a Gateway's certificate; those whose policy
    /// names one are not.
    package static func presenting(
        _ certificate: ObjectKey?,
        in rules: [Rule],
        from snapshot: MeshSnapshot
    ) -> [Rule] {
        guard let certificate else { return rules }
        func presenting(_ target: RouteBackend.Target) -> RouteBackend.Target {
            guard case .cluster(let id) = target,
                let tls = snapshot.clusters[id]?.settings.tls, tls.certificate == nil
            else { return target }
            return .cluster(id.presenting(certificate))
        }
        return rules.map { rule in
            var rule = rule
            for index in rule.rule.backends.indices {
                rule.rule.backends[index].target = presenting(rule.rule.backends[index].target)
            }
            for index in rule.rule.mirrors.indices {
                rule.rule.mirrors[index].target = presenting(rule.rule.mirrors[index].target)
            }
            return rule
        }
    }
}
