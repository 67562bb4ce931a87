import DataPlane
import L4Proxy
import Sidecar

/// Every bound of an agent that is a setting of its parts; `LimitList` shows them at `/config`.
struct AgentLimits: Sendable {
    /// One worker's HTTP engine.
    var engine = EngineLimits()
    /// One worker's relay.
    var relay = RelayLimits()
    /// Blocks.
    var blocks = BlockLimits()
    /// The status endpoint.
    var status = StatusBounds()
    /// Sources whose offences are remembered at once, all policies together.
    var offenceSourceMax = 4_096
    /// Bodies that a filter compresses or decompresses at once, per worker.
    var pluginBodyMax = 512
    /// Health checks in hand at a time.
    var healthProbeMax = HealthProbes.probeMax
    /// Bytes of log text, and of spans, that wait for a collector.
    var exportWaitingByteLimit = OTLPExporter.waitingByteLimit
    /// How long a collector is waited for at the end, so that it has the last lines and spans.
    var exportFlush = Duration.seconds(3)
    /// Entries of maps of the packet layer that are to hold others than they are built for.
    var packetMaps: [String: UInt32] = [:]
    /// How long a pod's connections are waited for when its capture ends.
    var captureLeave = CaptureLayer.leaveDefault
    /// Time for exchanges in hand to end at a drain, within the 30 s Kubernetes allows a pod.
    var drainGrace = Duration.seconds(25)
}
