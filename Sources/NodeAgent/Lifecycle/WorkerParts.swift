import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel
import Sidecar

/// The workers with what other modules bring to each of them, by worker number.
struct WorkerParts: Sendable {
    /// The workers.
    let pool: WorkerPool
    /// The TCP relay of each.
    let relays: [LoopBound<TCPRelay>]
    /// The verdict desk of each.
    let desks: [LoopBound<VerdictDesk>]
    /// What takes captured connections, of each.
    let dispatchers: [LoopBound<CaptureDispatcher>]

    /// Makes workers; they do nothing until the pool starts.
    ///
    /// - Parameters:
    ///   - telemetry: what they tell of exchanges, besides the access log's file.
    ///   - blockMade: hears of blocks that plugins made, on the worker's thread.
    init(
        _ configuration: AgentConfiguration,
        _ limits: AgentLimits,
        telemetry: EngineTelemetry = EngineTelemetry(),
        blockMade: @escaping @Sendable (Block) -> Void
    ) throws(Errno) {
        var relays: [LoopBound<TCPRelay>] = []
        var desks: [LoopBound<VerdictDesk>] = []
        var dispatchers: [LoopBound<CaptureDispatcher>] = []
        var gates: [NamespaceGate] = []
        for _ in 0..<configuration.workerCount { gates.append(try NamespaceGate()) }
        pool = try WorkerPool(
            count: configuration.workerCount,
            limits: limits.engine,
            accessLog: WorkerParts.logPath(configuration.accessLog),
            telemetry: telemetry,
            seed: UInt64.random(in: 0 ... .max)
        ) { worker in
            let relay = TCPRelay(
                loop: worker.loop,
                limits: limits.relay,
                gate: gates[worker.number]
            )
            relay.count = { worker.proxy.counters[$0] &+= 1 }
            let desk = VerdictDesk(limits: limits.blocks, made: blockMade)
            worker.proxy.gate = gates[worker.number]
            worker.proxy.originMark = CaptureConstants.ownMark
            worker.relay = { fd, peer, binding, number in
                let local =
                    binding.local.ip.isUnspecified
                    ? worker.loop.network.localAddress(fd) : binding.local
                relay.adopt(fd, peer: peer, route: number, destination: local)
            }
            worker.admission = { source, listener, _ in
                desk.admission(source, listener: listener)
            }
            worker.proxy.blockSink = { desk.decide($0) }
            worker.proxy.observe = { desk.observation(of: $0) }
            let dispatcher = CaptureDispatcher(worker: worker, relay: relay)
            dispatchers.append(LoopBound(dispatcher, to: worker.loop))
            relays.append(LoopBound(relay, to: worker.loop))
            desks.append(LoopBound(desk, to: worker.loop))
        }
        self.relays = relays
        self.desks = desks
        self.dispatchers = dispatchers
    }

    /// What capture uses of a worker; on the worker's thread.
    var captureTools: @Sendable (Worker) -> CaptureTools? {
        let relays = self.relays
        let dispatchers = self.dispatchers
        return { worker in
            CaptureTools(
                dispatcher: dispatchers[worker.number].ownedByThisThread,
                relay: relays[worker.number].ownedByThisThread
            )
        }
    }

    /// Tells one worker's relay what stands behind a number; on the worker's thread.
    var setRelay: @Sendable (Worker, Int32, RelayRoute?) -> Void {
        let relays = self.relays
        return { worker, number, route in
            relays[worker.number].ownedByThisThread.set(number, route)
        }
    }

    private static func logPath(_ log: AgentConfiguration.AccessLog) -> String? {
        switch log {
        case .standardOutput: "-"
        case .file(let path): path
        case .off: nil
        }
    }
}
