import Addressing
import DataPlane
import Discovery
import Ingress
import LinuxSystem
import Logging
import MeshModel
import PluginRuntime
import Sidecar
import Synchronization
import Telemetry
import XDPEngine

/// The running agent: its parts, in the order they start, and the reverse in which they stop.
final class Agent: Sendable {
    let configuration: AgentConfiguration
    let log: LogOutput
    let logger: Logger
    let nodeAddresses: [IPAddress]
    let metrics = MetricRegistry()
    let limits = LimitRegistry()
    let totals = EngineTotals()
    /// Of the access log and of spans.
    let exporters: AgentExporters
    let engine: XDPEngine
    let plugins: PluginRuntime
    let workers: WorkerParts
    let assembler: EngineAssembler
    let health: HealthChecker
    let ingress: IngressLayer
    let blocks: BlockService
    /// `nil` where capture is off.
    let capture: CaptureLayer?
    private let captureFault: String?
    let progress: LayerProgress
    let source: any SnapshotSource
    let startedAtNanoseconds = Clock.monotonicNanoseconds()
    let snapshot = Mutex(MeshSnapshot())
    let isDraining = Atomic<Bool>(false)
    private let lock: NodeLock
    private let control: LoopBound<EventLoop>
    private let lanes: [[any SnapshotConsumer]]
    /// Blocks that plugins made, on their way to the books.
    let blockNews: BlockNews
    /// Drains that did not end within their grace.
    let overdueDrains = SharedCounter()
    private let bounds: AgentLimits
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// Takes the node's lock and makes every part; nothing listens and nothing is attached yet.
    ///
    /// - Parameters:
    ///   - registry: the plugins there are.
    init(
        _ configuration: AgentConfiguration,
        log: LogOutput,
        limits bounds: AgentLimits = AgentLimits(),
        registry: PluginRegistry = .shipped
    ) throws(AgentRefusal) {
        self.bounds = bounds
        plugins = PluginRuntime(
            registry: registry,
            offenceSourceMax: bounds.offenceSourceMax,
            bodyMax: bounds.pluginBodyMax
        )
        self.configuration = configuration
        self.log = log
        logger = log.logger("agent")
        lock = try NodeLock(
            directory: configuration.runtimeDirectory,
            nodeName: configuration.nodeName
        )
        let parts = try AgentParts(configuration, bounds)
        nodeAddresses = parts.nodeAddresses
        engine = parts.engine
        let collectors = try AgentExporters.context(configuration)
        let news = BlockNews(newsMax: bounds.blocks.newsMax)
        blockNews = news
        do throws(Errno) {
            let loop = try EventLoop()
            control = LoopBound(loop, to: loop)
            exporters = AgentExporters(configuration, bounds, collectors, on: loop)
            workers = try WorkerParts(
                configuration,
                bounds,
                telemetry: exporters.telemetry(configuration)
            ) { news.tell($0) }
        } catch {
            throw AgentRefusal("expected descriptors and a log for the workers, found \(error)")
        }
        source = try parts.source(on: control)
        blocks = BlockService(
            engine: engine,
            desks: workers.desks,
            userspaceMax: bounds.blocks.userspaceMax
        )
        assembler = EngineAssembler(pool: workers.pool, factory: plugins)
        health = HealthChecker(
            probes: control.binding(HealthProbes(loop: control.ownedByThisThread)),
            assembler: assembler,
            probeMax: bounds.healthProbeMax
        )
        ingress = IngressLayer(
            pool: workers.pool,
            assembler: assembler,
            setRelay: workers.setRelay
        )
        let coupled = CoupledIngress(
            ingress: ingress,
            assembler: assembler,
            blocks: blocks,
            engine: engine,
            plugins: plugins,
            health: health,
            workerCount: configuration.workerCount,
            protection: parts.protection
        )
        (capture, captureFault) = parts.capture(workers, assembler)
        lanes = parts.lanes(ingress: coupled, capture: capture)
        progress = LayerProgress(layers: lanes.joined().map(\.layer))
        LimitList(limits: bounds).add(to: limits, of: self)
    }

    // MARK: Life

    /// Starts everything: status first, so that others can watch the rest come up.
    func start() throws(AgentRefusal) {
        limits.publish(in: metrics)
        totals.publish(in: metrics)
        for exporter in exporters.all { exporter.publish(in: metrics) }
        AgentMetrics.publish(self, in: metrics)
        try startStatus()
        for fault in engine.start() { logger.warning("\(fault)") }
        for setting in configuration.settingsWithoutEffect { logger.warning("\(setting)") }
        for (layer, why) in offLayers.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            logger.notice("\(layer.rawValue) is off: \(why)")
        }
        do {
            try workers.pool.start()
        } catch {
            throw AgentRefusal(
                "expected to start \(configuration.workerCount) workers, found \(error)"
            )
        }
        run { await $0.runSnapshots() }
        run { agent in for await block in agent.blockNews.blocks { await agent.tell(block) } }
        run { await $0.runClock() }
        run { await $0.health.run() }
        for exporter in exporters.all {
            run { agent in
                await exporter.run { agent.logger.warning("gave up exporting \($0)") }
            }
        }
        if let capture { run { _ in await capture.run() } }
        logger.notice(
            "node \(configuration.nodeName) runs with \(configuration.workerCount) workers"
        )
    }

    /// Runs something until it ends or the agent stops.
    private func run(_ body: @escaping @Sendable (Agent) async -> Void) {
        let task = Task { await body(self) }
        tasks.withLock { $0.append(task) }
    }

    /// Layers that are off, and why.
    var offLayers: [Layer: String] {
        var off: [Layer: String] = [:]
        if !configuration.ingressIsEnabled { off[.ingress] = "ingress.enabled is false" }
        if let captureFault { off[.capture] = captureFault }
        if let reason = engine.status().offReason { off[.xdp] = reason }
        return off
    }

    private func startStatus() throws(AgentRefusal) {
        let access = StatusAccess(
            token: configuration.statusToken,
            agentUserID: ThisProcess.userID,
            hostNames: [configuration.nodeName.lowercased(), ThisProcess.hostName.lowercased()]
        )
        let router = StatusRouter(
            subject: self,
            access: access,
            limits: StatusLimits(limits, bounds: bounds.status)
        )
        let loop = control.ownedByThisThread
        let server = StatusServer(loop: loop, router: router)
        do {
            try FileSystem.makeDirectories(
                AgentConfiguration.parent(of: configuration.statusSocket)
            )
            try server.listen(onPath: configuration.statusSocket)
        } catch {
            throw AgentRefusal(
                "status.socket: expected to listen, found \(error): "
                    + configuration.statusSocket
            )
        }
        if let address = configuration.statusAddress {
            do {
                let bound = try server.listen(on: address)
                logger.notice("status endpoint at http://\(bound)/")
            } catch {
                throw AgentRefusal("status.listen: expected to listen, found \(error): \(address)")
            }
        }
        do {
            try LoopThread.start(control, name: "martlet-ctl")
        } catch {
            throw AgentRefusal("expected to start the control loop, found \(error)")
        }
    }

    private func runSnapshots() async {
        let loop = SnapshotLoop(lanes: lanes, progress: progress, logger: logger)
        let snapshots = await source.start()
        await loop.run(snapshots) { snapshot in self.snapshot.withLock { $0 = snapshot } }
    }

    private func tell(_ block: Block) async {
        let fields: Logger.Metadata = [
            "source": "\(block.source)", "owner": "\(block.owner)", "reason": "\(block.reason)",
        ]
        logger.notice(block.dryRun ? "would block" : "blocked", metadata: fields)
        await blocks.note(block)
    }

    /// What has to be done about once a second.
    private func runClock() async {
        await blocks.restore()
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            engine.repair()
            await blocks.sweep()
        }
    }

    /// Stops: no new connections, exchanges in hand end within the grace, then the rest. Rules and
    /// pins stay, so that captured pods stay closed and blocks stay in force.
    func stop() async {
        await drain()
        let deadline = ContinuousClock.now + bounds.drainGrace
        while ContinuousClock.now < deadline, await workers.pool.activeCount() > 0 {
            try? await Task.sleep(for: .milliseconds(50))
        }
        let left = await workers.pool.activeCount()
        if left > 0 {
            overdueDrains.add()
            logger.warning("\(left) connections did not end within the grace")
        }
        await workers.pool.end()
        for task in tasks.withLock(\.self) { task.cancel() }
        workers.pool.stop()
        for exporter in exporters.all { await exporter.flush(within: bounds.exportFlush) }
        engine.stop(keepPinned: true)
        control.stop()
        _ = try? FileSystem.remove(configuration.statusSocket)
        logger.notice("node \(configuration.nodeName) has stopped")
    }
}
