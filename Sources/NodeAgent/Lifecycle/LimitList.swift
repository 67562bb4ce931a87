import DataPlane
import Discovery
import L4Proxy
import PluginRuntime
import Telemetry
import XDPEngine

/// Every limit of an agent with its counter, as `/config` lists them. What is over a limit is
/// refused, cut or ended, and counted; bounds that only slow down (read rounds, windows, back
/// pressure) are none.
struct LimitList {
    /// A limit with where its count is found in what the workers counted.
    struct Row {
        let limit: Limit
        let count: @Sendable (EngineTotals) -> UInt64
    }

    /// The bounds in force.
    let limits: AgentLimits

    /// Lists everything but the status endpoint, which lists its own.
    func add(to registry: LimitRegistry, of agent: Agent) {
        let totals = agent.totals
        for row in http + http2 + filters + routing + relay + blocks + loops {
            registry.add(row.limit) { row.count(totals) }
        }
        addPlugins(to: registry, agent)
        addPacketLayer(to: registry, agent.engine)
        addTimes(to: registry, agent)
        addLog(to: registry, agent.log)
        addExport(to: registry, agent.exporters)
        for limit in DiscoveryLimits.all { registry.add(limit) }
    }

    // MARK: Making rows

    static func row(
        _ name: String,
        _ unit: String,
        _ value: some BinaryInteger,
        _ counter: EngineCounter,
        _ reason: String
    ) -> Row {
        Row(limit: Limit(name, unit: unit, value: value, reason: reason)) { $0.value(counter) }
    }

    static func row(
        _ name: String,
        _ time: Duration,
        _ counter: EngineCounter,
        _ reason: String
    ) -> Row {
        Row(limit: Limit(name, time: time, reason: reason)) { $0.value(counter) }
    }

    // MARK: Of the control side

    private func addExport(to registry: LimitRegistry, _ exporters: AgentExporters) {
        let waiting = Limit(
            "export.waitingByteLimit",
            unit: "bytes",
            value: limits.exportWaitingByteLimit,
            reason: "Of log text, and of spans, for a collector; what comes after is dropped."
        )
        registry.add(waiting) { exporters.all.reduce(0) { $0 + $1.overflowCount } }
        let flush = Limit(
            "export.flushTimeout",
            time: limits.exportFlush,
            reason: "For a collector to take what is left at the end; then it is lost."
        )
        registry.add(flush) { exporters.all.reduce(0) { $0 + $1.overdueFlushCount } }
    }

    private func addPlugins(to registry: LimitRegistry, _ agent: Agent) {
        let plugins = agent.plugins
        let sources = Limit(
            "plugins.offenceSourceMax",
            unit: "sources",
            value: limits.offenceSourceMax,
            reason: "Sources with offences remembered; the one quiet longest gives way to another."
        )
        registry.add(sources) { plugins.offenceEvictionCount }
        let bodies = plugins.bodies
        let compressions = Limit(
            "plugins.compressedBodyMax",
            unit: "bodies",
            value: limits.pluginBodyMax,
            reason: "At once, per policy and worker; a response more passes as it is."
        )
        registry.add(compressions) { bodies.compressions.value }
        let decompressions = Limit(
            "plugins.decompressedBodyMax",
            unit: "bodies",
            value: limits.pluginBodyMax,
            reason: "At once, per policy and worker; a request more is answered 503."
        )
        registry.add(decompressions) { bodies.decompressions.value }
        let health = agent.health
        let probes = Limit(
            "health.probeMax",
            unit: "checks",
            value: limits.healthProbeMax,
            reason: "In hand at a time, a connection each; one more waits for its turn."
        )
        registry.add(probes) { health.delayed.value }
        let news = agent.blockNews
        let newsMax = Limit(
            "blocks.newsMax",
            unit: "blocks",
            value: limits.blocks.newsMax,
            reason: "Workers never wait for the books; one more is in force and not listed."
        )
        registry.add(newsMax) { news.dropped.value }
    }

    private func addPacketLayer(to registry: LimitRegistry, _ engine: XDPEngine) {
        for map in XDPEngine.boundedMaps {
            let limit = Limit(
                "xdp.\(map.limit)",
                unit: "entries",
                value: engine.entryMax(of: map.name),
                reason: map.reason
            )
            registry.add(limit) { engine.refusedCount(of: map.name) }
        }
        let scopes = Limit(
            "xdp.scopesPerDestinationMax",
            unit: "listeners",
            value: XDPEngine.scopesPerDestinationMax,
            reason: "The program looks at each; blocks of one more hold in user space only."
        )
        registry.add(scopes) { engine.refusedScopeCount }
    }

    private func addLog(to registry: LimitRegistry, _ log: LogOutput) {
        let burst = Limit(
            "log.repeatMax",
            unit: "lines",
            value: RepeatLimiter.burstCount,
            reason: "The same message in 10 s; more are held back and their number told later."
        )
        registry.add(burst) { log.suppressedCount }
        let kinds = Limit(
            "log.kindMax",
            unit: "messages",
            value: RepeatLimiter.kindMax,
            reason: "Different messages remembered; beyond it the older half is forgotten."
        )
        registry.add(kinds) { log.forgottenKindCount }
    }

    private func addTimes(to registry: LimitRegistry, _ agent: Agent) {
        let grace = Limit(
            "agent.drainGrace",
            time: limits.drainGrace,
            reason:
                "For exchanges in hand at a drain; then they are cut, each with its line in the log."
        )
        let overdue = agent.overdueDrains
        registry.add(grace) { overdue.value }
        let leave = Limit(
            "capture.leaveMax",
            time: limits.captureLeave,
            reason: "For a pod's connections when its capture ends; then they are cut."
        )
        let departures = agent.capture?.overdueDepartures
        registry.add(leave) { departures?.value ?? 0 }
    }
}
