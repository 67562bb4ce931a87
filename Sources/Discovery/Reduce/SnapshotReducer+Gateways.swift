import Addressing
import MeshModel

/// Gateways, their listeners, and what attaches to them.
extension SnapshotReducer {
    /// The name by which GatewayClasses choose this implementation.
    static let controllerName = "martlet.mesh/node-agent"

    /// A listener on its way into the snapshot.
    struct Candidate {
        var listener: Listener
        var gateway: KubernetesObject
        var content: GatewayContent.Listener
        var isUsable: Bool
    }

    mutating func reduceGateways() {
        let classes = ownClasses()
        var candidates: [Candidate] = []
        let gateways = store.sorted(.gateway).filter {
            guard case .gateway(let content) = $0.content else { return false }
            return classes.contains(content.className)
        }.sorted {
            ($0.meta.createdAt, $0.key.namespace, $0.key.name)
                < ($1.meta.createdAt, $1.key.namespace, $1.key.name)
        }
        for gateway in gateways {
            conditions[gateway.key] = [.accepted()]
            candidates += self.candidates(of: gateway)
        }
        markConflicts(&candidates)
        resolveCertificates(&candidates)
        for gateway in gateways { resolveEndpointCertificate(gateway, &candidates) }
        reduceListenerPolicies(&candidates)
        attachRoutes(&candidates)
        attachPlugins(&candidates)
        for candidate in candidates { conclude(candidate) }
        snapshot.listeners = candidates.filter(\.isUsable).map(\.listener).sorted { $0.id < $1.id }
        for gateway in gateways { concludeGateway(gateway) }
        reportMissingClasses()
    }

    private mutating func reportMissingClasses() {
        for gateway in store.sorted(.gateway) where conditions[gateway.key] == nil {
            guard case .gateway(let content) = gateway.content else { continue }
            let key = ObjectKey(.gatewayClass, name: content.className)
            guard store.objects[key] == nil else { continue }
            conditions[gateway.key] = [
                Condition(
                    type: "Accepted",
                    status: .unknown,
                    reason: "Pending",
                    message: "\(key) is not there"
                )
            ]
        }
    }

    private mutating func ownClasses() -> Set<String> {
        var names: Set<String> = []
        for object in store.sorted(.gatewayClass) {
            guard case .gatewayClass(let controller) = object.content else { continue }
            guard controller == SnapshotReducer.controllerName else { continue }
            names.insert(object.key.name)
            conditions[object.key] = [.accepted()]
        }
        return names
    }

    private mutating func candidates(of gateway: KubernetesObject) -> [Candidate] {
        guard case .gateway(let content) = gateway.content else { return [] }
        return content.listeners.map { listener in
            let id = ListenerID(
                namespace: gateway.key.namespace,
                gateway: gateway.key.name,
                name: listener.name
            )
            let isSpoken = listener.listenerProtocol != nil
            if !isSpoken {
                addListener(
                    gateway.key,
                    listener.name,
                    "Accepted",
                    .no,
                    "UnsupportedProtocol",
                    "expected HTTP, HTTPS or TCP, found \"\(listener.protocolName)\""
                )
            }
            refuseKinds(gateway.key, listener)
            return Candidate(
                listener: Listener(
                    id: id,
                    addresses: content.addresses,
                    port: listener.port,
                    listenerProtocol: listener.listenerProtocol ?? .tcp,
                    host: HostPattern(listener.hostname)
                ),
                gateway: gateway,
                content: listener,
                isUsable: isSpoken
            )
        }
    }

    /// Kinds of routes that a listener's protocol does not carry.
    private mutating func refuseKinds(_ gateway: ObjectKey, _ listener: GatewayContent.Listener) {
        guard let spoken = listener.listenerProtocol else { return }
        let carried = (spoken == .tcp ? [ObjectKind.tcpRoute] : [.httpRoute, .grpcRoute])
            .map(\.rawValue)
        let others = listener.allowedKinds.filter { !carried.contains($0) }
        guard !others.isEmpty else { return }
        addListener(
            gateway,
            listener.name,
            "ResolvedRefs",
            .no,
            "InvalidRouteKinds",
            "expected kinds of \(carried.joined(separator: " or ")), found \(others.joined(separator: ", "))"
        )
    }

    /// Within one Gateway no conflicting listener wins; across Gateways the older does.
    private mutating func markConflicts(_ candidates: inout [Candidate]) {
        let all = candidates
        for index in all.indices where all[index].isUsable {
            let rival = all.indices.first {
                $0 != index && all[$0].isUsable && all[$0].gateway.key == all[index].gateway.key
                    && Self.conflict(all[$0].listener, all[index].listener) != nil
            }
            if let rival { markConflicted(&candidates[index], with: all[rival]) }
        }
        for index in candidates.indices where candidates[index].isUsable {
            let rival = candidates.indices.first {
                $0 < index && candidates[$0].isUsable
                    && Self.conflict(candidates[$0].listener, candidates[index].listener) != nil
            }
            if let rival {
                let winner = candidates[rival]
                markConflicted(&candidates[index], with: winner)
            }
        }
    }

    private mutating func markConflicted(_ loser: inout Candidate, with rival: Candidate) {
        guard let reason = Self.conflict(loser.listener, rival.listener) else { return }
        loser.isUsable = false
        addListener(
            loser.gateway.key,
            loser.content.name,
            "Conflicted",
            .yes,
            reason,
            "the listener conflicts with \(rival.listener.id)"
        )
    }

    private static func conflict(_ left: Listener, _ right: Listener) -> String? {
        guard left.port == right.port else { return nil }
        let share =
            left.addresses.isEmpty || right.addresses.isEmpty
            || !Set(left.addresses).isDisjoint(with: right.addresses)
        guard share else { return nil }
        guard left.listenerProtocol == right.listenerProtocol else { return "ProtocolConflict" }
        if left.listenerProtocol == .tcp { return "ProtocolConflict" }
        return left.host == right.host ? "HostnameConflict" : nil
    }

    // MARK: Certificates

    private mutating func resolveCertificates(_ candidates: inout [Candidate]) {
        for index in candidates.indices
        where candidates[index].isUsable && candidates[index].listener.listenerProtocol == .https {
            let candidate = candidates[index]
            var resolved: [ObjectKey] = []
            var fault: (reason: String, message: String)?
            for reference in candidate.content.certificates {
                switch certificate(reference, from: candidate.gateway.key) {
                case .success(let certificate):
                    snapshot.certificates[certificate.key] = certificate
                    resolved.append(certificate.key)
                case .failure(let failure): fault = (failure.reason, failure.message)
                }
            }
            candidates[index].listener.certificates = resolved
            if candidate.content.certificates.isEmpty {
                fault = ("InvalidCertificateRef", "expected a certificateRef, found none")
            }
            if let fault {
                addListener(
                    candidate.gateway.key,
                    candidate.content.name,
                    "ResolvedRefs",
                    .no,
                    fault.reason,
                    fault.message
                )
            }
            if resolved.isEmpty { candidates[index].isUsable = false }
        }
    }

    /// Takes what a Gateway shows to endpoints into its listeners.
    private mutating func resolveEndpointCertificate(
        _ gateway: KubernetesObject,
        _ candidates: inout [Candidate]
    ) {
        guard case .gateway(let content) = gateway.content,
            let reference = content.endpointCertificate
        else { return }
        switch certificate(reference, from: gateway.key) {
        case .success(let found):
            snapshot.certificates[found.key] = found
            for index in candidates.indices where candidates[index].gateway.key == gateway.key {
                candidates[index].listener.endpointCertificate = found.key
            }
            conditions[gateway.key, default: []].append(.resolved(subject: ""))
        case .failure(let failure):
            let isForbidden = failure.reason == "RefNotPermitted"
            conditions[gateway.key, default: []].append(
                Condition(
                    type: "ResolvedRefs",
                    status: .no,
                    reason: isForbidden ? failure.reason : "InvalidClientCertificateRef",
                    message: failure.message
                )
            )
        }
    }

    struct ReferenceFailure: Error {
        var reason: String
        var message: String
    }

    func certificate(
        _ reference: ObjectReference,
        from gateway: ObjectKey
    ) -> Result<Certificate, ReferenceFailure> {
        let namespace = reference.namespace ?? gateway.namespace
        guard reference.kind == "Secret", reference.group.isEmpty else {
            return .failure(
                .init(
                    reason: "InvalidCertificateRef",
                    message: "expected a Secret, found \(reference.group) \(reference.kind)"
                )
            )
        }
        let key = ObjectKey(.secret, namespace: namespace, name: reference.name)
        guard isGranted(from: gateway, to: key) else {
            return .failure(
                .init(
                    reason: "RefNotPermitted",
                    message: "no ReferenceGrant in \(namespace) lets \(gateway) use \(key)"
                )
            )
        }
        guard case .secret(_, let values)? = store[key]?.content else {
            return .failure(
                .init(reason: "InvalidCertificateRef", message: "\(key) is not there")
            )
        }
        guard let chain = values["tls.crt"], let keyBytes = values["tls.key"] else {
            return .failure(
                .init(
                    reason: "InvalidCertificateRef",
                    message: "\(key): expected tls.crt and tls.key"
                )
            )
        }
        return .success(Certificate(key: key, chainPEM: chain, keyPEM: keyBytes))
    }

    /// Whether a reference stays in its namespace or a ReferenceGrant lets it leave (GEP-709).
    func isGranted(from: ObjectKey, to: ObjectKey) -> Bool {
        if from.namespace == to.namespace { return true }
        return store.sorted(.referenceGrant).contains { object in
            guard object.key.namespace == to.namespace,
                case .referenceGrant(let grant) = object.content
            else { return false }
            let isFrom = grant.from.contains {
                $0.group == from.kind.group && $0.kind == from.kind.rawValue
                    && $0.namespace == from.namespace
            }
            let isTo = grant.to.contains {
                $0.group == to.kind.group && $0.kind == to.kind.rawValue
                    && ($0.name == nil || $0.name == to.name)
            }
            return isFrom && isTo
        }
    }

    // MARK: Conditions

    mutating func addListener(
        _ gateway: ObjectKey,
        _ name: String,
        _ type: String,
        _ status: Condition.Status,
        _ reason: String,
        _ message: String
    ) {
        conditions[gateway, default: []].append(
            Condition(
                subject: "listener \(name)",
                type: type,
                status: status,
                reason: reason,
                message: message
            )
        )
    }

    private mutating func conclude(_ candidate: Candidate) {
        let key = candidate.gateway.key
        let subject = "listener \(candidate.content.name)"
        let known = Set((conditions[key] ?? []).filter { $0.subject == subject }.map(\.type))
        let isConflicted = known.contains("Conflicted")
        if !known.contains("Accepted") {
            conditions[key, default: []].append(
                isConflicted
                    ? Condition(
                        subject: subject,
                        type: "Accepted",
                        status: .no,
                        reason: "Conflicted"
                    ) : .accepted(subject: subject)
            )
        }
        if !isConflicted {
            conditions[key, default: []].append(
                Condition(
                    subject: subject,
                    type: "Conflicted",
                    status: .no,
                    reason: "NoConflicts"
                )
            )
        }
        if !known.contains("ResolvedRefs") {
            conditions[key, default: []].append(.resolved(subject: subject))
        }
        conditions[key, default: []].append(
            .unprogrammed(subject: subject, isValid: candidate.isUsable)
        )
    }

    /// Whether a Gateway is accepted follows from its listeners; whether it is programmed is for the
    /// layer to say that opens its sockets.
    private mutating func concludeGateway(_ gateway: KubernetesObject) {
        guard case .gateway(let content) = gateway.content else { return }
        let usable = Set(
            snapshot.listeners.filter { $0.id.gatewayKey == gateway.key }.map(\.id.name)
        )
        let faulty = content.listeners.map(\.name).filter { !usable.contains($0) }
        if !faulty.isEmpty {
            let names = faulty.joined(separator: ", ")
            let accepted = Condition(
                type: "Accepted",
                status: usable.isEmpty ? .no : .yes,
                reason: "ListenersNotValid",
                message: "expected listeners that can be used, found some that cannot: \(names)"
            )
            conditions[gateway.key] = Condition.merging(
                conditions[gateway.key] ?? [],
                with: [accepted]
            )
        }
        conditions[gateway.key, default: []].append(.unprogrammed(isValid: !usable.isEmpty))
    }
}

extension Condition {
    /// `Programmed` before a layer has said anything: unknown, or false where none can.
    fileprivate static func unprogrammed(subject: String = "", isValid: Bool) -> Condition {
        Condition(
            subject: subject,
            type: "Programmed",
            status: isValid ? .unknown : .no,
            reason: isValid ? "Pending" : "Invalid",
            message: isValid ? "this node has not applied it yet" : ""
        )
    }
}
