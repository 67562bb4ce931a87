import Addressing

/// A pod of this node.
package struct Workload: Equatable, Sendable {
    /// What a captured pod leaves out.
    package struct Exclusions: Hashable, Sendable {
        /// Inbound destination ports.
        package var inboundPorts: [ClosedRange<UInt16>]
        /// Outbound destination ports.
        package var outboundPorts: [ClosedRange<UInt16>]
        /// Outbound destinations.
        package var outboundPrefixes: [IPPrefix]

        /// Makes exclusions; by default none.
        package init(
            inboundPorts: [ClosedRange<UInt16>] = [],
            outboundPorts: [ClosedRange<UInt16>] = [],
            outboundPrefixes: [IPPrefix] = []
        ) {
            self.inboundPorts = inboundPorts
            self.outboundPorts = outboundPorts
            self.outboundPrefixes = outboundPrefixes
        }
    }

    /// Whether its traffic is to be captured.
    package enum Capture: Equatable, Sendable {
        case disabled
        case enabled(Exclusions)
        /// Asked for, but refused: host network, another mesh, a bad annotation.
        case refused(reason: String)
    }

    /// The Pod.
    package let key: ObjectKey
    /// The pod's UID; in manifest mode, where none is given, derived from namespace and name.
    package var uid: String
    /// Its service account.
    package var serviceAccount: String
    /// Its addresses.
    package var addresses: [IPAddress]
    /// `martlet.mesh/netns`: a name under /run/netns or a path; empty: found by the pod's processes.
    package var networkNamespace: String
    /// Whether its traffic is to be captured.
    package var capture: Capture
    /// Declared container ports by what they speak, for inbound traffic.
    package var httpPorts: [UInt16]

    /// Makes a workload.
    package init(
        key: ObjectKey,
        uid: String,
        serviceAccount: String = "default",
        addresses: [IPAddress],
        networkNamespace: String = "",
        capture: Capture,
        httpPorts: [UInt16] = []
    ) {
        self.key = key
        self.uid = uid
        self.serviceAccount = serviceAccount
        self.addresses = addresses
        self.networkNamespace = networkNamespace
        self.capture = capture
        self.httpPorts = httpPorts
    }
}

/// A node of the cluster.
package struct Node: Hashable, Sendable {
    /// Its name.
    package var name: String
    /// Its addresses.
    package var addresses: [IPAddress]
    /// Its zone (label `topology.kubernetes.io/zone`); empty when unknown.
    package var zone: String

    /// Makes a node.
    package init(name: String, addresses: [IPAddress], zone: String = "") {
        self.name = name
        self.addresses = addresses
        self.zone = zone
    }
}
