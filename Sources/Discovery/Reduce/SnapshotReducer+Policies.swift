import MeshModel

/// What policies of all kinds have in common: who of several wins, what becomes of references, and
/// what is told of it.
extension SnapshotReducer {
    /// What is known of a target.
    enum TargetState {
        case found
        /// It is not there, and this is what is missing.
        case missing(String)
        /// It is another implementation's: nothing is told of it.
        case foreign
    }

    /// Gives each target the oldest of its policies and tells the others so (GEP-713).
    mutating func settle(
        _ kind: ObjectKind,
        _ state: (PolicyTarget) -> TargetState
    ) -> [PolicyTarget: KubernetesObject] {
        var winners: [PolicyTarget: KubernetesObject] = [:]
        let policies = store.sorted(kind).sorted {
            ($0.meta.createdAt, $0.key.namespace, $0.key.name)
                < ($1.meta.createdAt, $1.key.namespace, $1.key.name)
        }
        for policy in policies {
            for target in policy.content.policyTargets {
                switch state(target) {
                case .foreign: continue
                case .missing(let what):
                    tell(policy.key, target, "Accepted", .no, "TargetNotFound", what)
                case .found:
                    if let winner = winners[target] {
                        let message = "\(winner.key) is older and has the same target"
                        tell(policy.key, target, "Accepted", .no, "Conflicted", message)
                    } else {
                        winners[target] = policy
                        tell(policy.key, target, "Accepted", .yes, "Accepted", "")
                    }
                }
            }
        }
        return winners
    }

    /// Says of a policy what became of it at a target; in place of what was said before.
    mutating func tell(
        _ policy: ObjectKey,
        _ target: PolicyTarget,
        _ type: String,
        _ status: Condition.Status,
        _ reason: String,
        _ message: String
    ) {
        conditions[policy] = Condition.merging(
            conditions[policy] ?? [],
            with: [
                Condition(
                    subject: target.subject,
                    type: type,
                    status: status,
                    reason: reason,
                    message: message
                )
            ]
        )
    }

    /// Says of a policy whether its references lead anywhere.
    mutating func tellResolved(
        _ policy: ObjectKey,
        _ target: PolicyTarget,
        _ failure: ReferenceFailure?
    ) {
        tell(
            policy,
            target,
            "ResolvedRefs",
            failure == nil ? .yes : .no,
            failure?.reason ?? "ResolvedRefs",
            failure?.message ?? ""
        )
    }

    // MARK: References

    /// The CA certificates of all references, concatenated.
    mutating func authorities(
        _ references: [ObjectReference],
        from owner: ObjectKey
    ) throws(ReferenceFailure) -> [UInt8] {
        var bundle: [UInt8] = []
        for reference in references {
            let (key, bytes) = try value(
                ReferencedKey.authorities,
                of: reference,
                from: owner,
                reason: "InvalidCACertificateRef"
            )
            guard String(decoding: bytes, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----")
            else {
                throw ReferenceFailure(
                    reason: "InvalidCACertificateRef",
                    message: "\(key): expected certificates as PEM in \(ReferencedKey.authorities)"
                )
            }
            if bundle.last != 10 && !bundle.isEmpty { bundle.append(10) }
            bundle += bytes
        }
        return bundle
    }

    /// A value of a ConfigMap or Secret.
    mutating func value(
        _ name: String,
        of reference: ObjectReference,
        from owner: ObjectKey,
        reason: String
    ) throws(ReferenceFailure) -> (ObjectKey, [UInt8]) {
        let kinds: [ObjectKind] = [.configMap, .secret]
        guard reference.group.isEmpty,
            let kind = kinds.first(where: { $0.rawValue == reference.kind })
        else {
            throw ReferenceFailure(
                reason: reason == "InvalidCACertificateRef" ? "InvalidKind" : reason,
                message:
                    "expected a ConfigMap or Secret, found \(reference.group) \(reference.kind)"
            )
        }
        let namespace = reference.namespace ?? owner.namespace
        let key = ObjectKey(kind, namespace: namespace, name: reference.name)
        guard isGranted(from: owner, to: key) else {
            throw ReferenceFailure(
                reason: "RefNotPermitted",
                message: "no ReferenceGrant in \(namespace) lets \(owner) use \(key)"
            )
        }
        if kind == .configMap { usedConfigMaps.insert(key) }
        let values: [String: [UInt8]]
        switch store[key]?.content {
        case .configMap(let found), .secret(_, let found): values = found
        default: throw ReferenceFailure(reason: reason, message: "\(key) is not there")
        }
        guard let bytes = values[name], !bytes.isEmpty else {
            throw ReferenceFailure(reason: reason, message: "\(key): expected \(name)")
        }
        return (key, bytes)
    }
}

extension KubernetesObject.Content {
    /// The targets of a policy that sets something; empty for any other object.
    var policyTargets: [PolicyTarget] {
        switch self {
        case .listenerPolicy(let content), .backendPolicy(let content): content.targets
        case .backendTLSPolicy(let content): content.targets
        default: []
        }
    }
}
