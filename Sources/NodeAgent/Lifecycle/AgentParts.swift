import Addressing
import DataPlane
import Discovery
import LinuxSystem
import MeshModel
import Sidecar
import XDPEngine

/// Makes the parts of an agent that follow from its configuration alone.
struct AgentParts {
    private let configuration: AgentConfiguration
    private let limits: AgentLimits
    /// The node's addresses: as configured, else those of its interfaces.
    let nodeAddresses: [IPAddress]
    /// The packet layer, off until it starts.
    let engine: XDPEngine
    /// What may never be blocked, as of now.
    let protection: @Sendable () -> ProtectionSources

    /// How the API server is reached; `nil` in manifest mode.
    private let cluster: ClusterConfiguration?

    /// Makes them; nothing of the system is changed.
    init(_ configuration: AgentConfiguration, _ limits: AgentLimits) throws(AgentRefusal) {
        self.configuration = configuration
        self.limits = limits
        let cluster = try AgentParts.cluster(configuration.source)
        self.cluster = cluster
        let apiEndpoints = AgentParts.addresses(of: cluster)
        let nodeAddresses = configuration.nodeAddresses ?? NetworkInterface.addresses()
        self.nodeAddresses = nodeAddresses
        let protection = { @Sendable in
            ProtectionSources.current(nodeAddresses: nodeAddresses, apiEndpoints: apiEndpoints)
        }
        self.protection = protection
        engine = XDPEngine(AgentParts.packetLayer(configuration, limits)) { snapshot in
            DesiredShield(
                policies: snapshot.sourcePolicies.values.sorted { $0.key < $1.key },
                listeners: snapshot.listeners,
                nodeAddresses: nodeAddresses,
                protected: protection().protectedSources(snapshot)
            )
        }
    }

    /// The packet layer's own configuration.
    static func packetLayer(
        _ configuration: AgentConfiguration,
        _ limits: AgentLimits
    ) -> XDPConfiguration {
        let interfaces: XDPConfiguration.Interfaces
        switch configuration.packetInterfaces {
        case .auto: interfaces = .automatic
        case .named(let names): interfaces = names.isEmpty ? .none : .named(names)
        }
        var layer = XDPConfiguration(
            interfaces: interfaces,
            mode: XDPConfiguration.Mode(rawValue: configuration.packetMode.rawValue) ?? .automatic,
            pinDirectory: configuration.pinDirectory,
            nodeName: configuration.nodeName
        )
        layer.mapEntries = limits.packetMaps
        return layer
    }

    /// Where snapshots come from; connections to an API server live on the control loop.
    func source(
        on control: LoopBound<EventLoop>
    ) throws(AgentRefusal) -> any SnapshotSource {
        if let cluster { return kubernetesSource(cluster, on: control) }
        guard case .manifests(let directory) = configuration.source,
            FileSystem.kind(of: directory) == .directory
        else {
            throw AgentRefusal(
                "sources.manifests: expected a directory, found none: \(configuration.source)"
            )
        }
        return ManifestSource(path: directory, settings: settings)
    }

    private static func cluster(
        _ source: AgentConfiguration.Source
    ) throws(AgentRefusal) -> ClusterConfiguration? {
        do throws(ClusterFault) {
            switch source {
            case .manifests: return nil
            case .kubeconfig(let path): return try Kubeconfig.load(path)
            case .inCluster:
                return try ServiceAccountFiles.configuration(environment: ThisProcess.environment)
            }
        } catch {
            throw AgentRefusal("sources.kubernetes: \(error)")
        }
    }

    /// The addresses of the API server as of now, for the never-list; none where its name cannot
    /// be resolved.
    private static func addresses(of cluster: ClusterConfiguration?) -> [IPAddress] {
        guard let host = cluster?.server.host else { return [] }
        if let address = IPAddress(host) { return [address] }
        return (try? NameLookup.addresses(of: host)) ?? []
    }

    private func kubernetesSource(
        _ cluster: ClusterConfiguration,
        on control: LoopBound<EventLoop>
    ) -> KubernetesSource {
        let host = control.binding(StreamHost(loop: control.ownedByThisThread))
        return KubernetesSource(
            client: APIClient(cluster, credentials: CredentialStore(cluster), host: host),
            settings: settings,
            mirrorDirectory: AgentConfiguration.mirrorDirectory(node: configuration.nodeName)
        )
    }

    /// What reducing needs to know of this node.
    var settings: ReduceSettings {
        var isManifestMode = false
        if case .manifests = configuration.source { isManifestMode = true }
        return .registered(nodeName: configuration.nodeName, isManifestMode: isManifestMode)
    }

    /// The capture of pods, or why it is off.
    func capture(
        _ workers: WorkerParts,
        _ assembler: EngineAssembler
    ) -> (layer: CaptureLayer?, fault: String?) {
        guard configuration.captureIsEnabled else { return (nil, "capture.enabled is false") }
        let needed = Capability.allCases.filter { !$0.isHeld }
        guard needed.isEmpty else {
            let names = needed.map(\.rawValue).joined(separator: ", ")
            return (nil, "expected the capabilities to enter pods, found none of \(names)")
        }
        do {
            let layer = try CaptureLayer(
                pool: workers.pool,
                assembler: assembler,
                record: CaptureRecord(path: configuration.captureRecordPath),
                failMode: configuration.failMode,
                drift: DriftMonitor(),
                leaveMax: limits.captureLeave,
                tools: workers.captureTools
            )
            return (layer, nil)
        } catch {
            return (nil, "expected a namespace thread and netlink, found \(error)")
        }
    }

    /// The layers that are on, in lanes that do not wait for each other.
    func lanes(
        ingress: any SnapshotConsumer,
        capture: CaptureLayer?
    ) -> [[any SnapshotConsumer]] {
        var lanes: [[any SnapshotConsumer]] = []
        if configuration.ingressIsEnabled { lanes.append([ingress]) }
        if let capture { lanes.append([capture]) }
        if configuration.packetLayerIsWanted { lanes.append([engine]) }
        return lanes
    }
}

/// What the kernel must allow for capture (`capabilities(7)`), by bit.
private enum Capability: String, CaseIterable {
    case networkAdministration = "CAP_NET_ADMIN"
    case systemAdministration = "CAP_SYS_ADMIN"

    var isHeld: Bool {
        switch self {
        case .networkAdministration: ThisProcess.capabilities >> 12 & 1 == 1
        case .systemAdministration: ThisProcess.capabilities >> 21 & 1 == 1
        }
    }
}
