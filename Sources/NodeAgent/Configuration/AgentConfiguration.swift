import Addressing
import DataPlane
import Logging
import Sidecar
import Telemetry

/// What the agent's own file says: only what belongs to the node.
struct AgentConfiguration: Equatable, Sendable {
    /// Where objects come from.
    enum Source: Equatable, Sendable, CustomStringConvertible {
        /// A watched directory of manifests.
        case manifests(directory: String)
        /// An API server by a kubeconfig file.
        case kubeconfig(path: String)
        /// The API server of the cluster this runs in, by its service account.
        case inCluster

        /// The directory, the file, or `inCluster`.
        var description: String {
            switch self {
            case .manifests(let directory): directory
            case .kubeconfig(let path): path
            case .inCluster: "inCluster"
            }
        }
    }

    /// Where access log lines go.
    enum AccessLog: Equatable, Sendable {
        case standardOutput
        case file(path: String)
        case off
    }

    /// How requests are traced.
    struct Tracing: Equatable, Sendable {
        /// Who takes the spans.
        var collector: OTLPEndpoint
        /// Of traces that begin here, how many in a million are kept.
        var samplesPerMillion: UInt32
    }

    /// Which interfaces carry the packet program.
    enum Interfaces: Equatable, Sendable {
        /// Those of the default routes.
        case auto
        /// By name; none: the packet layer is off.
        case named([String])
    }

    /// How the packet program is attached.
    enum PacketMode: String, Equatable, Sendable, CaseIterable {
        case auto
        case native
        case generic
        case off
    }

    /// The default of both domains.
    static let defaultDomain = "cluster.local"

    /// The node's name; default: the host name.
    var nodeName: String
    /// The node's own addresses; `nil`: those of its interfaces.
    var nodeAddresses: [IPAddress]?
    /// Where objects come from.
    var source: Source
    /// Worker threads, 1...64; default: see `WorkerCount`.
    var workerCount: Int
    /// Whether Gateways are served.
    var ingressIsEnabled = true
    /// Addresses that Gateways may be given; see `settingsWithoutEffect`.
    var addressPool: [IPPrefix] = []
    /// Where access log lines go.
    var accessLog = AccessLog.standardOutput
    /// How they are written; `nil`: as JSON.
    var accessLogFormat: LogFormat?
    /// Who takes them besides; `nil`: nobody.
    var accessLogCollector: OTLPEndpoint?
    /// A file of PEM with the authorities that collectors are verified by; `nil`: the system's.
    var exportAuthorities: String?
    /// How requests are traced; `nil`: not at all.
    var tracing: Tracing?
    /// Whether pods are captured.
    var captureIsEnabled = true
    /// What becomes of a captured pod's traffic when the agent cannot carry it.
    var failMode = CaptureFailMode.closed
    /// The SPIFFE trust domain of this mesh; see `settingsWithoutEffect`.
    var trustDomain = AgentConfiguration.defaultDomain
    /// The DNS domain of the cluster's Services; see `settingsWithoutEffect`.
    var clusterDomain = AgentConfiguration.defaultDomain
    /// Interfaces of the packet layer.
    var packetInterfaces = Interfaces.named([])
    /// How the packet program is attached.
    var packetMode = PacketMode.auto
    /// Where BPF objects are pinned.
    var pinDirectory = "/sys/fs/bpf/martlet"
    /// Where the status endpoint listens on TCP; `nil`: nowhere.
    var statusAddress: SocketAddress? = SocketAddress(.loopbackIPv4, 15_020)
    /// Where the status endpoint listens locally.
    var statusSocket: String
    /// The bearer token that TCP mutations need; `nil`: none are taken on TCP.
    var statusToken: String?
    /// Least level of log lines.
    var logLevel = Logger.Level.info
    /// How log lines are written.
    var logFormat = LogOutput.Format.text

    /// Whether the packet layer is asked for at all.
    var packetLayerIsWanted: Bool {
        packetMode != .off && packetInterfaces != .named([])
    }

    /// The directory of the node's lock, socket and state.
    var runtimeDirectory: String { AgentConfiguration.runtimeDirectory(node: nodeName) }

    /// Where a node keeps what outlives a reboot.
    static func stateDirectory(node: String) -> String { "/var/lib/martlet/\(node)" }

    /// Where a node's accepted objects are kept for a restart.
    static func mirrorDirectory(node: String) -> String { "\(stateDirectory(node: node))/mirror" }

    /// Where captured namespaces are noted.
    var captureRecordPath: String { AgentConfiguration.captureRecordPath(node: nodeName) }

    /// Where a node's captured namespaces are noted.
    static func captureRecordPath(node: String) -> String {
        "\(runtimeDirectory(node: node))/captured"
    }

    /// The runtime directory of a node.
    static func runtimeDirectory(node: String) -> String { "/run/martlet/\(node)" }

    /// The directory that holds a path.
    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// The defaults of a node; the source still has to be named.
    init(nodeName: String, source: Source, workerCount: Int) {
        self.nodeName = nodeName
        self.source = source
        self.workerCount = workerCount
        statusSocket = "\(AgentConfiguration.runtimeDirectory(node: nodeName))/status.sock"
    }
}
