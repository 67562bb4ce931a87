/// A key of the agent's file that is valid and set, and that nothing acts on: said at start and at
/// `/status`, so that nobody takes it for in force.
struct SettingWithoutEffect: Equatable, Sendable, CustomStringConvertible {
    /// The key.
    let key: String
    /// Its value, as written.
    let value: String
    /// Why it has no effect.
    let reason: String

    /// `key: value has no effect: reason`.
    var description: String { "\(key): \(value) has no effect: \(reason)" }
}

extension AgentConfiguration {
    /// Keys that are set to something else than their default and have no effect.
    var settingsWithoutEffect: [SettingWithoutEffect] {
        var found: [SettingWithoutEffect] = []
        if !addressPool.isEmpty {
            let reason =
                "addresses are not allocated; a Gateway without spec.addresses listens on "
                + "every address of the node"
            let pool = addressPool.map(\.description).joined(separator: ", ")
            found.append(.init(key: "ingress.addressPool", value: pool, reason: reason))
        }
        if trustDomain != AgentConfiguration.defaultDomain {
            let reason = "workloads are given no identities"
            found.append(.init(key: "mesh.trustDomain", value: trustDomain, reason: reason))
        }
        if clusterDomain != AgentConfiguration.defaultDomain {
            let reason = "destinations are known by address and port, not by name"
            found.append(.init(key: "mesh.clusterDomain", value: clusterDomain, reason: reason))
        }
        return found
    }
}
