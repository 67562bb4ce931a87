import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel
import TestSupport

@testable import Sidecar

/// Workers with their capture tools, as an agent has them.
final class CaptureHarness: Sendable {
    let pool: WorkerPool
    let layer: CaptureLayer
    private let task: Task<Void, Never>

    struct NoFilters: FilterFactory {
        func chains(
            for lists: [[PluginBinding]],
            worker: Int,
            store: FilterStore
        ) -> [FilterChain] { [] }
    }

    /// Starts workers and a layer that looks after its pods.
    ///
    /// - Parameter auditPeriod: so long unless given that only what is told of is repaired.
    init(
        record: String,
        failMode: CaptureFailMode = .closed,
        drift: DriftMonitor? = nil,
        auditPeriod: Duration = .seconds(3_600),
        didStep: @escaping @Sendable (CaptureStep) -> Void = { _ in }
    ) throws {
        let tools = ToolTable()
        var gates: [NamespaceGate] = []
        for _ in 0..<2 { gates.append(try NamespaceGate()) }
        let made = gates
        pool = try WorkerPool(count: 2, accessLog: nil, seed: 1) { worker in
            let gate = made[worker.number]
            worker.proxy.gate = gate
            worker.proxy.originMark = CaptureConstants.ownMark
            let relay = TCPRelay(loop: worker.loop, gate: gate)
            tools.set(
                worker.number,
                CaptureTools(
                    dispatcher: CaptureDispatcher(worker: worker, relay: relay),
                    relay: relay
                )
            )
        }
        try pool.start()
        let layer = try CaptureLayer(
            pool: pool,
            assembler: EngineAssembler(pool: pool, factory: NoFilters()),
            record: CaptureRecord(path: record),
            failMode: failMode,
            drift: drift ?? DriftMonitor(),
            auditPeriod: auditPeriod,
            didStep: didStep
        ) {
            tools.get($0.number)
        }
        self.layer = layer
        task = Task { await layer.run() }
    }

    deinit {
        task.cancel()
        pool.stop()
    }

    /// Applies a snapshot.
    @discardableResult
    func apply(_ snapshot: MeshSnapshot) async -> AppliedReport {
        await layer.apply(snapshot, delta: SnapshotDelta(from: MeshSnapshot(), to: snapshot))
    }

    /// Waits, for 10 s at most, until the one pod's status is as asked for; `nil`: until it is gone.
    func status(
        until isReached: (CaptureStatus?) -> Bool
    ) async throws -> CaptureStatus? {
        for _ in 0..<200 {
            let status = await layer.statuses.first
            if isReached(status) { return status }
            try await Task.sleep(for: .milliseconds(50))
        }
        return await layer.statuses.first
    }
}

extension MeshSnapshot {
    /// A snapshot with one pod alone.
    ///
    /// - Parameter namespace: empty where the pod is to be found by its processes.
    static func pod(
        in namespace: String,
        _ capture: Workload.Capture,
        uid: String = "uid-1",
        addresses: [String] = ["10.77.1.2", "fd77::2"],
        version: UInt64 = 1
    ) -> MeshSnapshot {
        var snapshot = MeshSnapshot()
        snapshot.version = version
        let key = ObjectKey(.pod, namespace: "default", name: "app")
        snapshot.workloads[key] = Workload(
            key: key,
            uid: uid,
            addresses: addresses.compactMap { IPAddress($0) },
            networkNamespace: namespace,
            capture: capture
        )
        return snapshot
    }
}

extension PodFixture {
    /// A snapshot with the fixture's pod alone.
    func snapshot(_ capture: Workload.Capture, version: UInt64 = 1) -> MeshSnapshot {
        .pod(in: pod, capture, version: version)
    }

    /// An agent whose record is the fixture's.
    func harness(
        failMode: CaptureFailMode = .closed,
        drift: DriftMonitor? = nil,
        auditPeriod: Duration = .seconds(3_600)
    ) throws -> CaptureHarness {
        try CaptureHarness(
            record: record,
            failMode: failMode,
            drift: drift,
            auditPeriod: auditPeriod
        )
    }

    /// Runs work in a namespace, as an agent does.
    @discardableResult
    func inside<Value: Sendable>(
        _ namespace: String,
        _ body: @escaping @Sendable () throws(NetlinkError) -> Value
    ) async throws -> Value {
        let thread = try NamespaceThread()
        defer { thread.stop() }
        let opened = try NetworkNamespace(path: NetworkNamespace.path(of: namespace))
        return try await thread.run(in: opened.rawValue, body).get().get()
    }

    /// Everything of ours that the pod's namespace holds, one line each.
    var traces: [String] {
        let commands = [
            "nft list tables", "ip -4 rule show priority 32764", "ip -6 rule show priority 32764",
            "ip -4 route show table 100", "ip -6 route show table 100",
            "ss -Hltn '( sport = :15001 or sport = :15006 )'",
        ]
        return commands.flatMap { command in
            run(in: pod, command).output.split(separator: "\n").map(String.init)
        }.filter { !$0.contains("FIB table does not exist") && !$0.contains("Dump terminated") }
    }
}

/// Tools by worker number, filled before the workers run.
private final class ToolTable: @unchecked Sendable {
    // SAFETY: written before the workers start, read on their threads afterwards.
    private var tools: [Int: CaptureTools] = [:]

    func set(_ number: Int, _ made: CaptureTools) { tools[number] = made }

    func get(_ number: Int) -> CaptureTools? { tools[number] }
}
