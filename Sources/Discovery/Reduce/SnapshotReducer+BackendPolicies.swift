import MeshModel

/// BackendPolicies and BackendTLSPolicies: what they set for clusters.
extension SnapshotReducer {
    mutating func reduceBackendPolicies() {
        let store = store
        let state = { (target: PolicyTarget) -> TargetState in
            guard case .service(let content)? = store[target.key]?.content else {
                return .missing("\(target.key) is not there")
            }
            guard let section = target.section,
                !content.ports.contains(where: { $0.isTCP && $0.name == section })
            else { return .found }
            return .missing("\(target.key) has no TCP port named \(section)")
        }
        let policies = settle(.backendPolicy, state)
        let ofTLS = settle(.backendTLSPolicy, state)
        guard !policies.isEmpty || !ofTLS.isEmpty || hasNeverValid else { return }
        for id in snapshot.clusters.keys.sorted() {
            let targets = self.targets(of: id)
            apply(policies, ofTLS, targets, to: id)
            failUnguarded(policies, ofTLS, targets, id)
            if clusterFaults[id] != nil { snapshot.clusters[id]?.endpoints = [] }
        }
    }

    private var hasNeverValid: Bool {
        !store.neverValid(.backendPolicy).isEmpty || !store.neverValid(.backendTLSPolicy).isEmpty
    }

    /// The targets that reach a cluster, the more general first.
    private func targets(of id: ClusterID) -> [PolicyTarget] {
        let key = ObjectKey(.service, namespace: id.namespace, name: id.name)
        let whole = PolicyTarget(key: key, section: nil)
        guard case .service(let content)? = store[key]?.content,
            let port = content.ports.first(where: { $0.number == id.port && $0.isTCP }),
            !port.name.isEmpty
        else { return [whole] }
        return [whole, PolicyTarget(key: key, section: port.name)]
    }

    private mutating func apply(
        _ policies: [PolicyTarget: KubernetesObject],
        _ ofTLS: [PolicyTarget: KubernetesObject],
        _ targets: [PolicyTarget],
        to id: ClusterID
    ) {
        var patch = BackendPatch()
        var contradicted: (ObjectKey, PolicyTarget, String)?
        var owner: (key: ObjectKey, target: PolicyTarget)?
        for target in targets {
            guard let policy = policies[target], case .backendPolicy(let content) = policy.content
            else { continue }
            var spec = FieldReader(content.spec, path: "spec", FieldReader.Faults())
            var next = patch
            next.apply(&spec)
            if let reason = next.contradiction {
                contradicted = (policy.key, target, reason)
                continue
            }
            tellResolved(policy.key, target, nil)
            patch = next
            if content.spec["tls"] != nil { owner = (policy.key, target) }
        }
        if let (key, target, reason) = contradicted {
            tell(key, target, "Accepted", .no, "Invalid", reason)
        }
        let standard = targets.last { ofTLS[$0] != nil }
        if let owner {
            do throws(ReferenceFailure) {
                try resolve(&patch, from: owner.key, verifies: standard == nil)
            } catch {
                tellResolved(owner.key, owner.target, error)
                clusterFaults[id] = "\(owner.key): \(error.message)"
            }
        }
        if let standard, let policy = ofTLS[standard] { apply(policy, standard, &patch, id) }
        snapshot.clusters[id]?.settings = patch.settings
    }

    private mutating func resolve(
        _ patch: inout BackendPatch,
        from owner: ObjectKey,
        verifies: Bool
    ) throws(ReferenceFailure) {
        if verifies { patch.settings.tls?.caPEM = try authorities(patch.authorities, from: owner) }
        guard let reference = patch.certificate else { return }
        let found = try certificate(reference, from: owner).get()
        snapshot.certificates[found.key] = found
        patch.settings.tls?.certificate = found.key
    }

    /// A BackendTLSPolicy says whom to believe; our own certificate and the oldest version, for
    /// which it has no field of its own, stay as a BackendPolicy has them.
    private mutating func apply(
        _ policy: KubernetesObject,
        _ target: PolicyTarget,
        _ patch: inout BackendPatch,
        _ id: ClusterID
    ) {
        guard case .backendTLSPolicy(let content) = policy.content else { return }
        var tls = patch.settings.tls ?? BackendTLSSettings(host: content.host)
        tls.host = content.host
        tls.names = content.names
        if let version = content.minimumVersion { tls.minimumVersion = version }
        tls.caPEM = []
        do throws(ReferenceFailure) {
            tls.caPEM = try authorities(content.authorities, from: policy.key)
            tellResolved(policy.key, target, nil)
        } catch {
            tellResolved(policy.key, target, error)
            let reason = "NoValidCACertificate"
            tell(policy.key, target, "Accepted", .no, reason, error.message)
            clusterFaults[id] = "\(policy.key): \(error.message)"
        }
        patch.settings.tls = tls
    }

    /// Where a policy that never was valid was to bring TLS, nothing is sent without it.
    private mutating func failUnguarded(
        _ policies: [PolicyTarget: KubernetesObject],
        _ ofTLS: [PolicyTarget: KubernetesObject],
        _ targets: [PolicyTarget],
        _ id: ClusterID
    ) {
        for (policy, reason) in store.neverValid(.backendPolicy) {
            guard case .backendPolicy(let content) = policy.content, content.guardsTarget,
                targets.contains(where: { content.targets.contains($0) && policies[$0] == nil })
            else { continue }
            clusterFaults[id] = "\(policy.key): \(reason)"
        }
        for (policy, reason) in store.neverValid(.backendTLSPolicy)
        where
            targets.contains(where: {
                policy.content.policyTargets.contains($0) && ofTLS[$0] == nil
            })
        {
            clusterFaults[id] = "\(policy.key): \(reason)"
        }
    }
}
