import Addressing
import MeshModel

/// Routes: to which listeners and Services they attach, and where they lead.
extension SnapshotReducer {
    mutating func attachRoutes(_ candidates: inout [Candidate]) {
        for kind in [ObjectKind.httpRoute, .grpcRoute] {
            for object in store.sorted(kind) {
                guard let content = object.content.httpRoute else { continue }
                attach(object, content, fault: nil, &candidates)
            }
            for (object, reason) in store.neverValid(kind) {
                guard let content = object.content.httpRoute else { continue }
                attachNeverValid(object, content, reason, &candidates)
            }
        }
        for object in store.sorted(.tcpRoute) {
            guard case .tcpRoute(let content) = object.content else { continue }
            attach(object, content, &candidates)
        }
        for index in candidates.indices {
            candidates[index].listener.attachments.sort { $0.route < $1.route }
        }
    }

    /// A route that never was valid answers 500 to the requests that are its own as far as it can
    /// be read; matches that cannot be read take none.
    private mutating func attachNeverValid(
        _ object: KubernetesObject,
        _ content: HTTPRouteContent,
        _ reason: String,
        _ candidates: inout [Candidate]
    ) {
        var readable = content
        readable.hostnames = content.hostnames.filter(HostName.isValid)
        readable.rules = content.rules.filter { !$0.matches.isEmpty }
        guard !readable.rules.isEmpty, readable.hostnames.isEmpty == content.hostnames.isEmpty
        else { return }
        attach(object, readable, fault: reason, &candidates)
    }

    private mutating func attach(
        _ object: KubernetesObject,
        _ content: HTTPRouteContent,
        fault: String?,
        _ candidates: inout [Candidate]
    ) {
        var unresolved: ReferenceFailure?
        var rules = content.rules.enumerated().map { rule($1, $0, object.key, &unresolved) }
        for index in rules.indices { rules[index].fault = fault }
        if object.key.kind == .grpcRoute { speakHTTP2(to: rules) }
        snapshot.httpRoutes[object.key] = HTTPRoute(
            key: object.key,
            createdAt: object.meta.createdAt,
            rules: rules
        )
        for parent in content.parents {
            if parent.kind == "Service" {
                attachToService(object, parent, unresolved)
                continue
            }
            let hosts = content.hostnames.map { HostPattern($0) }
            let outcome = attach(object, parent, hosts, [.http, .https], &candidates)
            conclude(object.key, parent, outcome, unresolved)
        }
    }

    private mutating func attach(
        _ object: KubernetesObject,
        _ content: TCPRouteContent,
        _ candidates: inout [Candidate]
    ) {
        var unresolved: ReferenceFailure?
        let backends = content.backends.map { backend($0, object.key, &unresolved) }
        snapshot.tcpRoutes[object.key] = TCPRoute(
            key: object.key,
            createdAt: object.meta.createdAt,
            backends: backends
        )
        for parent in content.parents {
            let outcome = attach(object, parent, [], [.tcp], &candidates)
            conclude(object.key, parent, outcome, unresolved)
        }
    }

    /// Backends of a GRPCRoute are spoken to by HTTP/2 where their Service says nothing of its
    /// protocol.
    private mutating func speakHTTP2(to rules: [HTTPRouteRule]) {
        for rule in rules {
            for target in rule.backends.map(\.target) + rule.mirrors.map(\.target) {
                guard case .cluster(let id) = target, snapshot.clusters[id]?.appProtocol == .tcp
                else { continue }
                snapshot.clusters[id]?.appProtocol = .http2
            }
        }
    }

    private func rule(
        _ rule: HTTPRouteContent.Rule,
        _ index: Int,
        _ key: ObjectKey,
        _ unresolved: inout ReferenceFailure?
    ) -> HTTPRouteRule {
        HTTPRouteRule(
            matches: rule.matches,
            requestHeaders: rule.requestHeaders,
            responseHeaders: rule.responseHeaders,
            backends: rule.backends.map { backend($0, key, &unresolved) },
            requestTimeout: rule.requestTimeout,
            backendRequestTimeout: rule.backendRequestTimeout,
            retries: rule.retries,
            mirrors: rule.mirrors.map { mirror($0, key, &unresolved) },
            change: rule.change,
            crossOrigin: rule.crossOrigin,
            persistence: rule.persistence.map { Self.named($0, key, index) }
        )
    }

    /// A session without a name has one that tells rules apart, and tells nothing else.
    private static func named(
        _ persistence: SessionAffinity,
        _ key: ObjectKey,
        _ index: Int
    ) -> SessionAffinity {
        // FNV-1a.
        let hash = "\(key.path)/\(index)".utf8.reduce(0x811c_9dc5 as UInt32) {
            ($0 ^ UInt32($1)) &* 0x0100_0193
        }
        let name = "martlet-session-" + String(hash, radix: 16)
        var named = persistence
        switch persistence.kind {
        case .cookie(let own, let path, let lifetime) where own.isEmpty:
            named.kind = .cookie(name: name, path: path, lifetime: lifetime)
        case .header(let own) where own.isEmpty: named.kind = .header(name)
        case .cookie, .header, .source: break
        }
        return named
    }

    private func mirror(
        _ mirror: HTTPRouteContent.Mirror,
        _ route: ObjectKey,
        _ unresolved: inout ReferenceFailure?
    ) -> RouteMirror {
        let target: RouteBackend.Target
        switch cluster(mirror.reference, from: route) {
        case .success(let id): target = .cluster(id)
        case .failure(let failure):
            unresolved = failure
            target = .invalid(reason: failure.message)
        }
        return RouteMirror(
            target: target,
            numerator: mirror.numerator,
            denominator: mirror.denominator
        )
    }

    private func backend(
        _ backend: HTTPRouteContent.Backend,
        _ route: ObjectKey,
        _ unresolved: inout ReferenceFailure?
    ) -> RouteBackend {
        let target: RouteBackend.Target
        switch cluster(backend.reference, from: route) {
        case .success(let id): target = .cluster(id)
        case .failure(let failure):
            unresolved = failure
            target = .invalid(reason: failure.message)
        }
        return RouteBackend(
            target: target,
            weight: backend.weight,
            requestHeaders: backend.requestHeaders,
            responseHeaders: backend.responseHeaders,
            change: backend.change
        )
    }

    private func cluster(
        _ reference: ObjectReference,
        from route: ObjectKey
    ) -> Result<ClusterID, ReferenceFailure> {
        guard reference.kind == "Service", reference.group.isEmpty else {
            return .failure(
                .init(
                    reason: "InvalidKind",
                    message: "expected a Service, found \(reference.group) \(reference.kind)"
                )
            )
        }
        let namespace = reference.namespace ?? route.namespace
        let key = ObjectKey(.service, namespace: namespace, name: reference.name)
        guard isGranted(from: route, to: key) else {
            return .failure(
                .init(
                    reason: "RefNotPermitted",
                    message: "no ReferenceGrant in \(namespace) lets \(route) use \(key)"
                )
            )
        }
        guard case .service(let content)? = store[key]?.content else {
            return .failure(.init(reason: "BackendNotFound", message: "\(key) is not there"))
        }
        guard let port = reference.port,
            content.ports.contains(where: { $0.number == port && $0.isTCP })
        else {
            return .failure(
                .init(
                    reason: "BackendNotFound",
                    message:
                        "\(key) has no TCP port \(reference.port.map { String($0) } ?? "given")"
                )
            )
        }
        let id = ClusterID(namespace: namespace, name: reference.name, port: port)
        if let reason = clusterFaults[id] {
            return .failure(.init(reason: "InvalidBackendTLS", message: reason))
        }
        return .success(id)
    }

    // MARK: Parents

    private enum Attachment {
        case attached
        case refused(reason: String, message: String)
        /// The parent is not a Gateway of ours.
        case foreign
    }

    private mutating func attach(
        _ object: KubernetesObject,
        _ parent: ObjectReference,
        _ hosts: [HostPattern],
        _ protocols: Set<ListenerProtocol>,
        _ candidates: inout [Candidate]
    ) -> Attachment {
        guard parent.kind == ObjectKind.gateway.rawValue else { return .foreign }
        let namespace = parent.namespace ?? object.key.namespace
        let gateway = ObjectKey(.gateway, namespace: namespace, name: parent.name)
        guard store.objects[gateway] != nil else {
            return .refused(reason: "NoMatchingParent", message: "\(gateway) is not there")
        }
        guard conditions[gateway] != nil else { return .foreign }
        var refusal = Attachment.refused(
            reason: "NoMatchingParent",
            message: "\(gateway) has no such listener"
        )
        var isAttached = false
        for index in candidates.indices where candidates[index].gateway.key == gateway {
            let content = candidates[index].content
            if let section = parent.sectionName, section != content.name { continue }
            if let port = parent.port, port != content.port { continue }
            guard protocols.contains(candidates[index].listener.listenerProtocol),
                content.allowedKinds.isEmpty
                    || content.allowedKinds.contains(object.key.kind.rawValue),
                isAllowed(object.key.namespace, content.allowedNamespaces, gateway.namespace)
            else {
                if !isAttached {
                    refusal = .refused(
                        reason: "NotAllowedByListeners",
                        message: "listener \(content.name) does not admit it"
                    )
                }
                continue
            }
            let matched = HostIntersection.intersect(hosts, candidates[index].listener.host)
            guard !matched.isEmpty else {
                refusal = .refused(
                    reason: "NoMatchingListenerHostname",
                    message: "no host name is one of listener \(content.name)"
                )
                continue
            }
            isAttached = true
            candidates[index].listener.attachments.append(
                .init(route: object.key, hosts: matched)
            )
        }
        return isAttached ? .attached : refusal
    }

    private func isAllowed(
        _ namespace: String,
        _ allowed: GatewayContent.AllowedNamespaces,
        _ gatewayNamespace: String
    ) -> Bool {
        switch allowed {
        case .all: return true
        case .same: return namespace == gatewayNamespace
        case .selector(let labels):
            var own = store[ObjectKey(.namespace, name: namespace)]?.meta.labels ?? [:]
            own["kubernetes.io/metadata.name"] = namespace
            return labels.allSatisfy { own[$0.key] == $0.value }
        }
    }

    /// A route whose parent is a Service applies to captured calls of its ClusterIP (GAMMA).
    private mutating func attachToService(
        _ object: KubernetesObject,
        _ parent: ObjectReference,
        _ unresolved: ReferenceFailure?
    ) {
        let namespace = parent.namespace ?? object.key.namespace
        let key = ObjectKey(.service, namespace: namespace, name: parent.name)
        guard namespace == object.key.namespace else {
            conclude(
                object.key,
                parent,
                .refused(
                    reason: "NotAllowedByListeners",
                    message: "expected a Service of namespace \(object.key.namespace), found \(key)"
                ),
                unresolved
            )
            return
        }
        guard var service = snapshot.services[key] else {
            conclude(
                object.key,
                parent,
                .refused(reason: "NoMatchingParent", message: "\(key) is not there"),
                unresolved
            )
            return
        }
        var isAttached = false
        for index in service.ports.indices {
            if let port = parent.port, port != service.ports[index].number { continue }
            guard service.ports[index].appProtocol != .tcp else { continue }
            service.ports[index].routes.append(object.key)
            isAttached = true
        }
        snapshot.services[key] = service
        conclude(
            object.key,
            parent,
            isAttached
                ? .attached
                : .refused(reason: "NoMatchingParent", message: "\(key) has no such HTTP port"),
            unresolved
        )
    }

    private mutating func conclude(
        _ route: ObjectKey,
        _ parent: ObjectReference,
        _ outcome: Attachment,
        _ unresolved: ReferenceFailure?
    ) {
        var subject = "parent \(parent.kind) \(parent.namespace ?? route.namespace)/\(parent.name)"
        if let section = parent.sectionName { subject += "/\(section)" }
        switch outcome {
        case .foreign: return
        case .attached: conditions[route, default: []].append(.accepted(subject: subject))
        case .refused(let reason, let message):
            conditions[route, default: []].append(
                Condition(
                    subject: subject,
                    type: "Accepted",
                    status: .no,
                    reason: reason,
                    message: message
                )
            )
        }
        guard let unresolved else {
            conditions[route, default: []].append(.resolved(subject: subject))
            return
        }
        conditions[route, default: []].append(
            Condition(
                subject: subject,
                type: "ResolvedRefs",
                status: .no,
                reason: unresolved.reason,
                message: unresolved.message
            )
        )
    }

    // MARK: Plugins

    /// Gives FilterPolicies to their targets: older policies first, the first of a name wins.
    mutating func attachPlugins(_ candidates: inout [Candidate]) {
        let policies = store.sorted(.filterPolicy).sorted {
            ($0.meta.createdAt, $0.key.namespace, $0.key.name)
                < ($1.meta.createdAt, $1.key.namespace, $1.key.name)
        }
        for pass in [true, false] {
            for policy in policies {
                guard case .filterPolicy(let content) = policy.content,
                    let target = content.target, (target.sectionName != nil) == pass
                else { continue }
                attach(policy, content, target, &candidates)
            }
        }
        for (policy, reason) in store.neverValid(.filterPolicy) {
            guard case .filterPolicy(let content) = policy.content, let target = content.target
            else { continue }
            failTarget(target, of: policy.key, reason, candidates)
        }
    }

    /// What a policy that never was valid was to guard answers 500: it is not let pass unguarded.
    private mutating func failTarget(
        _ target: ObjectReference,
        of policy: ObjectKey,
        _ reason: String,
        _ candidates: [Candidate]
    ) {
        var routes: [ObjectKey] = []
        if let kind = SnapshotReducer.routeKind(target) {
            routes = [ObjectKey(kind, namespace: policy.namespace, name: target.name)]
        } else if target.kind == ObjectKind.gateway.rawValue {
            for candidate in candidates where isTarget(candidate.listener.id, target, policy) {
                routes += candidate.listener.attachments.map(\.route)
            }
        }
        for route in routes {
            guard var failed = snapshot.httpRoutes[route] else { continue }
            for index in failed.rules.indices where failed.rules[index].fault == nil {
                failed.rules[index].fault = "\(policy): \(reason)"
            }
            snapshot.httpRoutes[route] = failed
        }
    }

    /// The kind of route that a policy is for; `nil` where it is for a Gateway.
    private static func routeKind(_ target: ObjectReference) -> ObjectKind? {
        [ObjectKind.httpRoute, .grpcRoute].first { $0.rawValue == target.kind }
    }

    private func isTarget(
        _ listener: ListenerID,
        _ target: ObjectReference,
        _ policy: ObjectKey
    ) -> Bool {
        listener.namespace == policy.namespace && listener.gateway == target.name
            && (target.sectionName == nil || target.sectionName == listener.name)
    }

    private mutating func attach(
        _ policy: KubernetesObject,
        _ content: FilterPolicyContent,
        _ target: ObjectReference,
        _ candidates: inout [Candidate]
    ) {
        var isFound = false
        if let kind = SnapshotReducer.routeKind(target) {
            let key = ObjectKey(kind, namespace: policy.key.namespace, name: target.name)
            if let route = snapshot.httpRoutes[key] {
                snapshot.httpRoutes[key]?.plugins = Self.adding(content.filters, to: route.plugins)
                isFound = true
            }
        } else {
            for index in candidates.indices {
                let listener = candidates[index].listener
                guard isTarget(listener.id, target, policy.key) else { continue }
                candidates[index].listener.plugins = Self.adding(
                    content.filters,
                    to: listener.plugins
                )
                isFound = true
            }
        }
        if !isFound {
            refuse(policy.key, "TargetNotFound", "\(target.kind) \(target.name) is not there")
        } else {
            conditions[policy.key] = [.accepted()]
        }
    }

    private static func adding(_ more: [PluginBinding], to known: [PluginBinding])
        -> [PluginBinding]
    {
        let names = Set(known.map(\.name))
        return known + more.filter { !names.contains($0.name) }
    }
}

/// Which names a route answers on a listener (HTTPRoute.spec.hostnames).
enum HostIntersection {
    static func intersect(_ hosts: [HostPattern], _ listener: HostPattern) -> [HostPattern] {
        guard !hosts.isEmpty else { return [listener] }
        var result: [HostPattern] = []
        for host in hosts {
            if let both = intersect(host, listener), !result.contains(both) { result.append(both) }
        }
        return result
    }

    private static func intersect(_ left: HostPattern, _ right: HostPattern) -> HostPattern? {
        switch (left, right) {
        case (.any, _): return right
        case (_, .any): return left
        case (.exact(let name), .exact(let other)): return name == other ? left : nil
        case (.exact(let name), .wildcard(let suffix)):
            return name.hasSuffix(".\(suffix)") ? left : nil
        case (.wildcard(let suffix), .exact(let name)):
            return name.hasSuffix(".\(suffix)") ? right : nil
        case (.wildcard(let one), .wildcard(let other)):
            if one == other || one.hasSuffix(".\(other)") { return left }
            return other.hasSuffix(".\(one)") ? right : nil
        }
    }
}
