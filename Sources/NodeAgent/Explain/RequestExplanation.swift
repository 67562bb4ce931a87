import Addressing
import DataPlane
import MeshModel
import Telemetry

/// Says what would become of a request: the answer of the compiled tables, and why no other rule
/// takes it.
struct RequestExplanation {
    /// What is asked.
    let question: RequestQuestion
    /// The snapshot in force.
    let snapshot: MeshSnapshot
    /// The entry point it would come to; `nil` where nothing listens for it.
    let entryName: String?
    /// The entry point as it was compiled.
    let entry: EngineContribution.Entry?
    /// What the tables say.
    let finding: RequestFinding?
    /// Slots of listeners by name.
    let listenerNames: [String: Int32]

    /// The document of `/explain?request=`.
    var text: String {
        var json = JSONWriter()
        json.object { json in
            json.string("request", "\(question.method) \(question.host):\(question.port)")
            json.string("target", question.target)
            guard let entryName, let entry, let finding else {
                json.string("answer", "no listener")
                json.string("why", absence)
                return
            }
            json.string("entry", entryName)
            json.integer("tableVersion", finding.viewVersion)
            guard let host = host(of: entry) else {
                answer(404, "no host of this entry point is \(question.host)", &json)
                json.strings("hosts", entry.hosts.map(\.pattern.description))
                return
            }
            json.string("listener", host.listener)
            json.string("host", host.pattern.description)
            if let refusal = finding.refusal {
                answer(refusal.status, refusal.reason, &json)
                return
            }
            json.string("path", finding.path)
            let rules = host.rules
            let taken = rules.firstIndex {
                $0.routeName == finding.route
                    && MatchReason.text($0.match, question, path: finding.path) == nil
            }
            if let taken {
                decide(rules[taken], &json)
            } else {
                answer(404, "no rule takes it", &json)
            }
            others(rules, taken, &json)
        }
        return json.text
    }

    /// Which entry point a request comes to: that of the Service whose ClusterIP it is sent to, else
    /// that of a listener.
    static func entryName(_ question: RequestQuestion, _ snapshot: MeshSnapshot) -> String? {
        if let address = question.address {
            for service in snapshot.services.values where service.clusterIPs.contains(address) {
                let port = service.ports.first { $0.number == question.port }
                if let port, port.appProtocol != .tcp { return "mesh \(port.cluster)" }
            }
        }
        let wanted = question.isTLS ? ListenerProtocol.https : .http
        let listeners = snapshot.listeners.filter {
            $0.port == question.port && $0.listenerProtocol == wanted
        }
        for listener in listeners {
            guard let address = question.address, !listener.addresses.isEmpty else { continue }
            if listener.addresses.contains(address) {
                return SocketAddress(address, listener.port).description
            }
        }
        let open = listeners.first { question.address == nil || $0.addresses.isEmpty }
        return open.map { SocketAddress($0.addresses.first ?? .anyIPv4, $0.port).description }
    }

    private var absence: String {
        if let entryName {
            return "expected \(entryName) to be in force, found nothing: no pod of this node is "
                + "captured, or the layer has not applied it"
        }
        let scheme = question.isTLS ? "HTTPS" : "HTTP"
        let ports = snapshot.listeners.map {
            "\($0.id) \($0.listenerProtocol.rawValue) \($0.port)"
        }
        let known = ports.isEmpty ? "there are none" : ports.joined(separator: ", ")
        return "expected a listener of \(scheme) on port \(question.port); \(known)"
    }

    /// The virtual host that the tables found.
    private func host(of entry: EngineContribution.Entry) -> EngineContribution.Host? {
        guard let finding, finding.listener >= 0 else { return nil }
        let name = question.host.hasSuffix(".") ? String(question.host.dropLast()) : question.host
        return entry.hosts.filter {
            $0.pattern.covers(.exact(name)) && listenerNames[$0.listener] == finding.listener
        }.min { HostPattern.isMoreSpecific($0.pattern, $1.pattern) }
    }

    private func answer(_ status: UInt16, _ reason: String, _ json: inout JSONWriter) {
        json.string("answer", "status \(status)")
        json.string("why", reason)
    }

    // MARK: The rule that takes it

    private func decide(_ rule: EngineContribution.Rule, _ json: inout JSONWriter) {
        json.string("route", rule.routeName)
        json.string("match", RequestExplanation.shown(rule.match))
        json.array("plugins") { json in
            for plugin in rule.plugins {
                json.object { json in
                    json.string("name", plugin.name)
                    json.string("policy", plugin.policy.description)
                }
            }
        }
        RouteChangeDocument.write(rule.rule.change, &json)
        if let fault = rule.rule.fault {
            answer(500, fault, &json)
        } else if case .redirect(let redirect)? = rule.rule.change {
            answer(redirect.status, "the rule redirects", &json)
        } else {
            forward(rule.rule.backends.filter { $0.weight > 0 }, &json)
        }
    }

    private func forward(_ backends: [RouteBackend], _ json: inout JSONWriter) {
        let sum = backends.reduce(0) { $0 + $1.weight }
        json.array("backends") { json in
            for backend in backends {
                json.object { json in
                    json.number("share", Double(backend.weight) / Double(sum))
                    write(backend, &json)
                }
            }
        }
        let isUsable = { (backend: RouteBackend) in
            guard case .cluster(let id) = backend.target else { return false }
            return !(snapshot.clusters[id]?.usableEndpoints ?? []).isEmpty
        }
        let isInvalid = backends.allSatisfy {
            if case .invalid = $0.target { true } else { false }
        }
        if isInvalid {
            answer(500, "the rule has no valid backend", &json)
        } else if !backends.contains(where: isUsable) {
            answer(503, "no backend has a usable endpoint", &json)
        } else {
            json.string("answer", "forwarded")
        }
    }

    private func write(_ backend: RouteBackend, _ json: inout JSONWriter) {
        switch backend.target {
        case .invalid(let reason): json.string("fault", reason)
        case .cluster(let id):
            let cluster = snapshot.clusters[id]
            json.string("cluster", id.description)
            json.string("algorithm", cluster?.settings.balancing.algorithm.rawValue)
            let usable = cluster?.usableEndpoints ?? []
            json.strings("endpoints", usable.map(\.address.description))
            json.string("usable", "\(usable.count) of \(cluster?.endpoints.count ?? 0)")
        }
        RouteChangeDocument.write(backend.change, &json)
    }

    // MARK: The others

    private func others(
        _ rules: [EngineContribution.Rule],
        _ taken: Int?,
        _ json: inout JSONWriter
    ) {
        json.array("others") { json in
            for (index, rule) in rules.enumerated() where index != taken {
                json.object { json in
                    json.string("route", rule.routeName)
                    json.string("match", RequestExplanation.shown(rule.match))
                    json.string(
                        "why",
                        MatchReason.text(rule.match, question, path: finding?.path ?? "")
                            ?? "it matches, and the rule that takes it is more specific or older"
                    )
                }
            }
        }
    }

    private static func shown(_ match: HTTPMatch) -> String {
        var parts: [String] = []
        switch match.path {
        case .exact(let path): parts.append("path = \(path)")
        case .prefix(let path): parts.append("path under \(path.isEmpty ? "/" : path)")
        case .pattern(let pattern): parts.append("path ~ \(pattern.text)")
        }
        if let method = match.method { parts.append("method = \(method)") }
        parts += match.headers.map { "header \($0.name) = \($0.value)" }
        parts += match.headerPatterns.map { "header \($0.name) ~ \($0.pattern.text)" }
        parts += match.queryParameters.map { "parameter \($0.name) = \($0.value)" }
        parts += match.queryPatterns.map { "parameter \($0.name) ~ \($0.pattern.text)" }
        return parts.joined(separator: ", ")
    }
}
