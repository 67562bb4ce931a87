import Addressing
import CMeshMaps
import LinuxSystem
import MeshModel
import Synchronization
import TrafficPolicy

/// The packet layer of one node: loads the shield, keeps it on its interfaces, and carries wishes
/// into its maps. Calls are synchronous, block for milliseconds at most, and may come from any
/// thread of the control side; they act in the calling thread's network namespace.
package final class XDPEngine: Sendable {
    /// The shield on one interface.
    struct Attachment {
        var link: KernelLink
        var index: UInt32
        var mode: AttachMode
    }

    /// All that changes.
    struct State {
        var object: LoadedObject?
        var pins: PinDirectory?
        var offReason: String? = "it was not started"
        var attachments: [String: Attachment] = [:]
        var faults: [XDPFault] = []
        var planFaults: [XDPFault] = []
        var policyNames: [UInt64: String] = [:]
        var neverList = NeverList()
        var packetRate: ShieldPlan.Rate?
        var synRate: ShieldPlan.Rate?
        var filter: DenyFilter?
        var configFlags: UInt32 = 0
        var appliedVersion: UInt64 = 0
        var generation: UInt64 = 0
        var refusedScopeCount: UInt64 = 0
    }

    let configuration: XDPConfiguration
    let inputs: @Sendable (MeshSnapshot) -> DesiredShield
    let state = Mutex(State())

    /// Makes an engine that is off until `start`.
    ///
    /// - Parameter inputs: what a snapshot asks of the packet layer; node addresses and the
    ///   never-list come from outside it.
    package init(
        _ configuration: XDPConfiguration,
        inputs: @escaping @Sendable (MeshSnapshot) -> DesiredShield = DesiredShield.init(snapshot:)
    ) {
        self.configuration = configuration
        self.inputs = inputs
    }

    /// Loads the shield and puts it on its interfaces, taking over what an earlier agent pinned.
    /// What cannot be done is a fault; the rest runs.
    ///
    /// - Returns: the faults.
    @discardableResult
    package func start() -> [XDPFault] {
        state.withLock { state in
            state = State()
            startLocked(&state)
            return state.faults
        }
    }

    /// Lets go of everything. With `keepPinned` the shield goes on filtering by what is pinned.
    package func stop(keepPinned: Bool) {
        state.withLock { state in
            let pins = state.pins
            state = State()
            state.offReason = "it was stopped"
            if !keepPinned, let pins { try? XDPEngine.removePins(pins) }
        }
    }

    /// Removes every pin and link of this node and turns the shield off.
    package func cleanup() throws(Errno) {
        stop(keepPinned: true)
        try XDPEngine.cleanup(
            pinDirectory: configuration.pinDirectory,
            nodeName: configuration.nodeName
        )
    }

    /// Removes every pin and link of a node, whoever made them. Nothing there is no error.
    package static func cleanup(pinDirectory: String, nodeName: String) throws(Errno) {
        let pins = PinDirectory(
            root: pinDirectory,
            node: nodeName,
            layout: Int(MESH_LAYOUT_VERSION)
        )
        guard FileSystem.isOnBPFFileSystem(pinDirectory) else { return }
        try removePins(pins)
    }

    static func removePins(_ pins: PinDirectory) throws(Errno) {
        for layout in pins.otherLayouts() + [pins.layout] {
            let folder = pins.with(layout: layout)
            for name in folder.linkedInterfaces() { try folder.removeLink(interface: name) }
            try folder.removeAll()
        }
        try FileSystem.removeDirectory(pins.nodePath)
    }
}

extension DesiredShield {
    /// What a snapshot alone says: its policies and listeners, and its nodes and pods as protected.
    package init(snapshot: MeshSnapshot) {
        self.init(
            policies: snapshot.sourcePolicies.values.sorted { $0.key < $1.key },
            listeners: snapshot.listeners
        )
        for node in snapshot.nodes {
            protected.entries += node.addresses.map {
                ProtectedSources.Entry(IPPrefix(host: $0), reason: "node \(node.name)")
            }
        }
        protected.entries += snapshot.podAddresses.sorted().map {
            ProtectedSources.Entry(IPPrefix(host: $0), reason: "pod")
        }
    }
}

extension XDPEngine: SnapshotConsumer {
    /// The packet layer.
    package var layer: Layer { .xdp }

    /// Applies a snapshot; where the shield is off nothing is to be done.
    package func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
        let faults = apply(inputs(snapshot), version: snapshot.version)
        return AppliedReport(version: snapshot.version, faults: faults.map(\.description))
    }
}
