import DataPlane
import LinuxSystem
import Telemetry

/// The exporters that a node's configuration asks for.
struct AgentExporters: Sendable {
    /// Streams that all exporters have at once.
    private static let streamMax = 16

    /// Of the access log's lines.
    let logs: OTLPExporter?
    /// Of finished spans.
    let traces: OTLPExporter?

    /// Makes them; they send nothing until they run.
    ///
    /// - Parameter context: by whom collectors that speak TLS are verified.
    init(
        _ configuration: AgentConfiguration,
        _ limits: AgentLimits,
        _ context: TLSContext?,
        on control: EventLoop
    ) {
        let host = LoopBound(
            StreamHost(loop: control, streamMax: AgentExporters.streamMax),
            to: control
        )
        let make = { (signal: OTLPSignal, endpoint: OTLPEndpoint?) in
            endpoint.map {
                OTLPExporter(
                    signal,
                    to: $0,
                    node: configuration.nodeName,
                    host: host,
                    context: context,
                    waitingByteLimit: limits.exportWaitingByteLimit
                )
            }
        }
        logs = make(.logs, configuration.accessLogCollector)
        traces = make(.traces, configuration.tracing?.collector)
    }

    /// Reads by whom collectors that speak TLS are verified.
    ///
    /// - Returns: `nil` where none does.
    static func context(
        _ configuration: AgentConfiguration
    ) throws(AgentRefusal) -> TLSContext? {
        let collectors = [configuration.accessLogCollector, configuration.tracing?.collector]
        guard collectors.contains(where: { $0?.isTLS == true }) else { return nil }
        var authorities: [UInt8] = []
        if let path = configuration.exportAuthorities {
            do {
                authorities = try FileSystem.read(path)
            } catch {
                throw AgentRefusal("export.authorities: expected a file, found \(error): \(path)")
            }
        }
        do {
            return try TLSContext.client(authoritiesPEM: authorities)
        } catch {
            throw AgentRefusal("export.authorities: \(error)")
        }
    }

    /// Those there are.
    var all: [OTLPExporter] { [logs, traces].compactMap(\.self) }

    /// What workers hand them.
    func telemetry(_ configuration: AgentConfiguration) -> EngineTelemetry {
        var telemetry = EngineTelemetry()
        telemetry.logFormat = configuration.accessLogFormat
        if let logs { telemetry.lines = { logs.put($0) } }
        if let traces { telemetry.spans = { traces.put($0) } }
        telemetry.samplesPerMillion = configuration.tracing?.samplesPerMillion ?? 0
        return telemetry
    }
}
