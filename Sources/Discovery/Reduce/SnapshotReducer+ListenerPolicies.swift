import MeshModel

/// ListenerPolicies: what they set for listeners.
extension SnapshotReducer {
    mutating func reduceListenerPolicies(_ candidates: inout [Candidate]) {
        let listeners = Dictionary(grouping: candidates, by: \.gateway.key)
            .mapValues { Set($0.map(\.content.name)) }
        let stored = Set(store.sorted(.gateway).map(\.key))
        let state = { (target: PolicyTarget) -> TargetState in
            guard let names = listeners[target.key] else {
                return stored.contains(target.key)
                    ? .foreign : .missing("\(target.key) is not there")
            }
            guard let section = target.section, !names.contains(section) else { return .found }
            return .missing("\(target.key) has no listener \(section)")
        }
        let winners = settle(.listenerPolicy, state)
        for index in candidates.indices { apply(winners, to: &candidates[index]) }
        for (policy, reason) in store.neverValid(.listenerPolicy) {
            guard case .listenerPolicy(let content) = policy.content, content.guardsTarget else {
                continue
            }
            for index in candidates.indices {
                let targets = Self.targets(of: candidates[index].listener.id)
                let target = targets.first { content.targets.contains($0) && winners[$0] == nil }
                if target != nil { close(&candidates[index], "\(policy.key): \(reason)") }
            }
        }
    }

    /// The targets that reach a listener, the more general first.
    private static func targets(of listener: ListenerID) -> [PolicyTarget] {
        [
            PolicyTarget(key: listener.gatewayKey, section: nil),
            PolicyTarget(key: listener.gatewayKey, section: listener.name),
        ]
    }

    private mutating func apply(
        _ winners: [PolicyTarget: KubernetesObject],
        to candidate: inout Candidate
    ) {
        let start = base(of: &candidate)
        var policies = Self.targets(of: candidate.listener.id).compactMap { target in
            winners[target].map { (target: target, object: $0) }
        }
        var patch = Self.patch(policies.map(\.object), over: start)
        // What contradicts itself only together is the fault of the most specific policy.
        while let reason = patch.contradiction ?? patch.omission, let last = policies.popLast() {
            tell(last.object.key, last.target, "Accepted", .no, "Invalid", reason)
            if Self.guardsTarget(last.object) { close(&candidate, "\(last.object.key): \(reason)") }
            patch = Self.patch(policies.map(\.object), over: start)
        }
        guard let owner = policies.last else {
            candidate.listener.settings = patch.settings
            return
        }
        for policy in policies { tellResolved(policy.object.key, policy.target, nil) }
        do throws(ReferenceFailure) {
            try resolve(&patch, from: owner.object.key)
        } catch {
            tellResolved(owner.object.key, owner.target, error)
            close(&candidate, "\(owner.object.key): \(error.message)")
        }
        candidate.listener.settings = patch.settings
    }

    /// What the Gateway itself says of its clients' certificates (GEP-91).
    private mutating func base(of candidate: inout Candidate) -> ListenerPatch {
        var patch = ListenerPatch()
        guard candidate.isUsable, candidate.listener.listenerProtocol == .https,
            case .gateway(let content) = candidate.gateway.content
        else { return patch }
        let own = content.clientValidationByPort[candidate.listener.port]
        guard let validation = own ?? content.clientValidation else { return patch }
        patch.settings.tls.clientCertificate =
            validation.allowsInsecureFallback ? .unverified : .required
        do throws(ReferenceFailure) {
            patch.settings.tls.clientCAPEM = try authorities(
                validation.authorities,
                from: candidate.gateway.key
            )
        } catch {
            let key = candidate.gateway.key
            let isKind = error.reason == "InvalidKind"
            let reason = isKind ? "InvalidCACertificateKind" : error.reason
            addListener(key, candidate.content.name, "ResolvedRefs", .no, reason, error.message)
            close(&candidate, error.message, reason: "NoValidCACertificate")
        }
        return patch
    }

    private static func patch(
        _ policies: [KubernetesObject],
        over start: ListenerPatch
    ) -> ListenerPatch {
        var patch = start
        for policy in policies {
            guard case .listenerPolicy(let content) = policy.content else { continue }
            var spec = FieldReader(content.spec, path: "spec", FieldReader.Faults())
            patch.apply(&spec)
        }
        return patch
    }

    private static func guardsTarget(_ policy: KubernetesObject) -> Bool {
        guard case .listenerPolicy(let content) = policy.content else { return false }
        return content.guardsTarget
    }

    private mutating func resolve(
        _ patch: inout ListenerPatch,
        from owner: ObjectKey
    ) throws(ReferenceFailure) {
        if let references = patch.clientAuthorities, !references.isEmpty {
            patch.settings.tls.clientCAPEM = try authorities(references, from: owner)
        }
        if let reference = patch.staple {
            let reason = "InvalidStapleRef"
            let (_, bytes) = try value(
                ReferencedKey.staple,
                of: reference,
                from: owner,
                reason: reason
            )
            patch.settings.tls.ocspResponse = bytes
        }
    }

    /// A listener that would be open without what was to guard it is not opened.
    private mutating func close(
        _ candidate: inout Candidate,
        _ message: String,
        reason: String = "InvalidPolicy"
    ) {
        guard candidate.isUsable else { return }
        candidate.isUsable = false
        addListener(
            candidate.gateway.key,
            candidate.content.name,
            "Accepted",
            .no,
            reason,
            message
        )
    }
}
