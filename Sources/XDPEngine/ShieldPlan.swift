import Addressing
import CMeshMaps
import MeshModel

/// What the packet layer is to do.
package struct DesiredShield: Equatable, Sendable {
    /// SourcePolicies.
    package var policies: [SourcePolicy]
    /// Listeners of Gateways.
    package var listeners: [Listener]
    /// Every address of this node; blocks apply to packets to them alone.
    package var nodeAddresses: [IPAddress]
    /// The never-list.
    package var protected: ProtectedSources

    /// Makes a wish.
    package init(
        policies: [SourcePolicy] = [],
        listeners: [Listener] = [],
        nodeAddresses: [IPAddress] = [],
        protected: ProtectedSources = ProtectedSources()
    ) {
        self.policies = policies
        self.listeners = listeners
        self.nodeAddresses = nodeAddresses
        self.protected = protected
    }
}

/// The contents of the shield's maps that follow from a wish. Pure: the same wish gives the same
/// plan.
struct ShieldPlan: Equatable {
    struct Destination: Hashable {
        var address: IPAddress
        /// 0 with protocol 0: the address itself.
        var port: UInt16
        var protocolNumber: UInt8
    }

    struct Scope: Hashable, Comparable {
        var listener: UInt64
        var gateway: UInt64

        static func < (left: Scope, right: Scope) -> Bool {
            (left.gateway, left.listener) < (right.gateway, right.listener)
        }
    }

    struct Deny: Equatable {
        /// Nanoseconds; 0: none.
        var ttlNanoseconds: UInt64
        var policy: UInt64
        var dryRun: Bool
    }

    struct Rate: Equatable {
        var perSecond: UInt32
        var policy: UInt64
        var dryRun: Bool
    }

    var allow: [IPPrefix: UInt32] = [:]
    var deny: [IPPrefix: Deny] = [:]
    var destinations: [Destination: [Scope]] = [:]
    var policyNames: [UInt64: String] = [:]
    var packetRate: Rate?
    var synRate: Rate?
    /// What could not be planned, one sentence each.
    var faults: [String] = []
    /// Listeners without a place among those of their address and port.
    private(set) var refusedScopeCount: UInt64 = 0

    private static let tcp: UInt8 = 6
    private static let scopeCountMax = Int(MESH_SCOPES_PER_DESTINATION_MAX)
    /// Neighbour discovery comes from link-local addresses: without it nothing reaches the node.
    private static let neighbourDiscovery = IPPrefix(
        IPAddress(high: 0xfe80 << 48, low: 0),
        length: 10
    )

    init(_ desired: DesiredShield) {
        let policies = desired.policies.sorted { $0.key < $1.key }
        for policy in policies { policyNames[ScopeName.policy(policy.key)] = policy.key.path }
        planAllow(desired, policies)
        for policy in policies { planDeny(policy) }
        dropShadowedDenies()
        packetRate = strictest(policies, \.packetsPerSecond)
        synRate = strictest(policies, \.synPerSecond)
        planDestinations(desired)
    }

    private mutating func planAllow(_ desired: DesiredShield, _ policies: [SourcePolicy]) {
        for entry in desired.protected.entries { allow[entry.prefix] = 2 }
        if let prefix = ShieldPlan.neighbourDiscovery { allow[prefix] = 2 }
        for policy in policies {
            for prefix in policy.allow + policy.trustedSources where allow[prefix] == nil {
                allow[prefix] = 1
            }
        }
    }

    private mutating func planDeny(_ policy: SourcePolicy) {
        for entry in policy.deny {
            guard entry.source.length > 0 else {
                faults.append("\(policy.key): \(entry.source) may never be denied: it is everybody")
                continue
            }
            let deny = Deny(
                ttlNanoseconds: entry.ttl.map { UInt64(clamping: $0.nanoseconds) } ?? 0,
                policy: ScopeName.policy(policy.key),
                dryRun: policy.dryRun
            )
            if let other = self.deny[entry.source], ShieldPlan.covers(other, deny) { continue }
            self.deny[entry.source] = deny
        }
    }

    /// Whether `first` drops all that `second` drops, on the same or a narrower prefix.
    private static func covers(_ first: Deny, _ second: Deny) -> Bool {
        guard !first.dryRun || second.dryRun else { return false }
        return first.ttlNanoseconds == 0
            || (second.ttlNanoseconds != 0 && first.ttlNanoseconds >= second.ttlNanoseconds)
    }

    /// The longest prefix alone decides in the kernel: one that ends sooner than a wider one around
    /// it would open a hole when it ends.
    private mutating func dropShadowedDenies() {
        let all = deny
        let lengths = Set(all.keys.map(\.length)).sorted()
        for (prefix, entry) in all {
            for length in lengths.prefix(while: { $0 < prefix.length }) {
                guard let wider = IPPrefix(prefix.base, length: length), let around = all[wider],
                    ShieldPlan.covers(around, entry)
                else { continue }
                deny[prefix] = nil
                break
            }
        }
    }

    private func strictest(
        _ policies: [SourcePolicy],
        _ rate: KeyPath<SourcePolicy, UInt32?>
    ) -> Rate? {
        let rates = policies.compactMap { policy -> Rate? in
            policy[keyPath: rate].map {
                Rate(
                    perSecond: max(1, $0),
                    policy: ScopeName.policy(policy.key),
                    dryRun: policy.dryRun
                )
            }
        }
        let enforced = rates.filter { !$0.dryRun }
        return (enforced.isEmpty ? rates : enforced).min { $0.perSecond < $1.perSecond }
    }

    private mutating func planDestinations(_ desired: DesiredShield) {
        let node = Set(desired.nodeAddresses)
        for address in node {
            destinations[Destination(address: address, port: 0, protocolNumber: 0)] = []
        }
        for listener in desired.listeners.sorted(by: { $0.id < $1.id }) {
            let wanted = listener.addresses.filter { !$0.isUnspecified }
            let scope = Scope(
                listener: ScopeName.listener(gateway: listener.id.gatewayKey, port: listener.port),
                gateway: ScopeName.gateway(listener.id.gatewayKey)
            )
            for address in wanted.isEmpty ? Array(node) : wanted {
                destinations[Destination(address: address, port: 0, protocolNumber: 0)] = []
                let place = Destination(
                    address: address,
                    port: listener.port,
                    protocolNumber: ShieldPlan.tcp
                )
                add(scope, of: listener.id, to: place)
            }
        }
    }

    private mutating func add(_ scope: Scope, of listener: ListenerID, to place: Destination) {
        var scopes = destinations[place] ?? []
        guard !scopes.contains(scope) else { return }
        guard scopes.count < ShieldPlan.scopeCountMax else {
            refusedScopeCount += 1
            faults.append(
                "listener \(listener): \(place.address) port \(place.port) is shared by more than "
                    + "\(ShieldPlan.scopeCountMax) Gateways; its blocks hold in user space only"
            )
            return
        }
        scopes.append(scope)
        destinations[place] = scopes.sorted()
    }
}

extension Duration {
    /// Whole nanoseconds, clamped.
    fileprivate var nanoseconds: Int64 {
        let parts = components
        let (scaled, overflow) = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return parts.seconds < 0 ? 0 : Int64.max }
        return max(0, scaled + parts.attoseconds / 1_000_000_000)
    }
}
