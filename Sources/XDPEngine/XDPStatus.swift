import CMeshMaps
import MeshModel

/// Where and how the shield is to run.
package struct XDPConfiguration: Equatable, Sendable {
    /// Which interfaces.
    package enum Interfaces: Equatable, Sendable {
        /// None: the shield is off.
        case none
        /// Those of the default routes.
        case automatic
        case named([String])
    }

    /// How it is attached.
    package enum Mode: String, Equatable, Sendable {
        /// Native where the driver can, else generic.
        case automatic = "auto"
        case native
        case generic
        case off
    }

    /// Default: none.
    package var interfaces: Interfaces
    /// Default: automatic.
    package var mode: Mode
    /// Where pins live; default `/sys/fs/bpf/martlet`.
    package var pinDirectory: String
    /// The node's name.
    package var nodeName: String
    /// The layout of maps; other than the built one in tests alone.
    var layout = Int(MESH_LAYOUT_VERSION)
    /// Entries of maps, by name, where they are to hold others than they are built for.
    package var mapEntries: [String: UInt32] = [:]

    /// Makes a configuration.
    package init(
        interfaces: Interfaces = .none,
        mode: Mode = .automatic,
        pinDirectory: String = "/sys/fs/bpf/martlet",
        nodeName: String
    ) {
        self.interfaces = interfaces
        self.mode = mode
        self.pinDirectory = pinDirectory
        self.nodeName = nodeName
    }
}

/// Something of the packet layer that is off, and why.
package struct XDPFault: Equatable, Hashable, Sendable, CustomStringConvertible {
    /// What is off: `xdp`, `interface eth0`, `pins`, an object.
    package var part: String
    /// What was expected and what came.
    package var reason: String

    /// `part: reason`.
    package var description: String { "\(part): \(reason)" }
}

/// What the packet layer is and has seen.
package struct XDPStatus: Equatable, Sendable {
    /// The shield on one interface.
    package struct Interface: Equatable, Sendable {
        /// The interface's name.
        package var name: String
        /// The interface's index.
        package var index: UInt32
        /// How it is attached.
        package var mode: AttachMode
        /// The program's kernel number.
        package var programID: UInt32
        /// The link's kernel number.
        package var linkID: UInt32
    }

    /// Interfaces that the shield is on, by name.
    package var interfaces: [Interface]
    /// Why the shield is off; `nil` where it is on.
    package var offReason: String?
    /// Packets by what became of them; every reason is there while the shield is loaded.
    package var reasons: [PacketReason: PacketTally]
    /// Packets that each SourcePolicy dropped or, in a dry run, would have, by the policy's name.
    package var policies: [String: PacketTally]
    /// Entries in the block maps, those not yet swept included.
    package var blockCount: Int
    /// What is off, and why.
    package var faults: [XDPFault]
    /// The last snapshot version that was applied; 0: none.
    package var appliedVersion: UInt64
    /// Counts the agents that have written to this node's maps.
    package var generation: UInt64
    /// Where the pins are; `nil`: nothing is pinned.
    package var pinPath: String?
}

/// What the packet layer saw of sources. May be asked on any thread: one system call each.
package struct SourceCounters: Sendable {
    let sources: KernelMap
}
