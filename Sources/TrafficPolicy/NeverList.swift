import Addressing
import MeshModel

/// Sources that neither plugins nor operators may block: protected ones (nodes, pods, next hops, name
/// servers, API endpoints) and those that a SourcePolicy allows or trusts. Compiled for look-up; a
/// plain value that every worker can have a copy of.
package struct NeverList: Equatable, Sendable {
    private var hosts: [IPAddress: String] = [:]
    private var prefixes: [IPPrefix: String] = [:]
    private var prefixLengths: [Int] = []

    /// Compiles the list. The first reason given for a source stands.
    package init(
        protected: ProtectedSources = ProtectedSources(),
        policies: [SourcePolicy] = []
    ) {
        for entry in protected.entries { add(entry.prefix, entry.reason) }
        for policy in policies.sorted(by: { $0.key < $1.key }) {
            for prefix in policy.trustedSources { add(prefix, "trusted by \(policy.key)") }
            for prefix in policy.allow { add(prefix, "allowed by \(policy.key)") }
        }
        prefixLengths = Set(prefixes.keys.map(\.length)).sorted()
    }

    private mutating func add(_ prefix: IPPrefix, _ reason: String) {
        if prefix.isHost {
            hosts[prefix.base] = hosts[prefix.base] ?? reason
        } else {
            prefixes[prefix] = prefixes[prefix] ?? reason
        }
    }

    /// Why an address may not be blocked; `nil`: it may.
    package func reason(for address: IPAddress) -> String? {
        if address.isUnspecified { return "it is no source" }
        if address.isLoopback { return "it is the node itself" }
        if let reason = hosts[address] { return reason }
        for length in prefixLengths {
            guard let prefix = IPPrefix(address, length: length) else { continue }
            if let reason = prefixes[prefix] { return reason }
        }
        return nil
    }

    /// Why a prefix may not be blocked: it is everybody, or holds or lies in a protected source;
    /// `nil`: it may.
    package func reason(for prefix: IPPrefix) -> String? {
        if prefix.length == 0 { return "it is everybody" }
        if prefix.isHost { return reason(for: prefix.base) }
        if prefix.contains(.loopbackIPv4) || prefix.contains(.loopbackIPv6) {
            return "it holds the node itself"
        }
        if let (address, reason) = hosts.first(where: { prefix.contains($0.key) }) {
            return "it holds \(address): \(reason)"
        }
        if let (other, reason) = prefixes.first(where: { prefix.overlaps($0.key) }) {
            return "it overlaps \(other): \(reason)"
        }
        return nil
    }
}
