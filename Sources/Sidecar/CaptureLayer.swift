import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel
import Telemetry

/// The layer that captures pods: brings each wish into its pod's namespace step by step, proves
/// it, keeps it so, and takes it back without breaking a connection.
package actor CaptureLayer: SnapshotConsumer {
    /// `capture`.
    nonisolated package let layer = Layer.capture
    let pool: WorkerPool
    private let assembler: EngineAssembler
    let thread: NamespaceThread
    let tools: @Sendable (Worker) -> CaptureTools?
    let record: CaptureRecord
    let failMode: CaptureFailMode
    let drift: DriftMonitor
    let turnsPerAudit: Int
    let leaveMax: Duration
    /// Pods let go of whose connections had not ended when they were cleaned up.
    nonisolated package let overdueDepartures = SharedCounter()
    let didStep: @Sendable (CaptureStep) -> Void
    var pods: [ObjectKey: CapturePod] = [:]
    private var nextSlot: Int32 = 0
    var freeSlots: [Int32] = []
    private var refused: [ObjectKey: CaptureStatus] = [:]
    /// Namespaces that hold what nobody wants any more, with what keeps it there.
    var leftovers: [UInt64: String] = [:]
    /// Why the record cannot be read.
    var recordFault: String?
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// How long a pod's connections are waited for when it is let go of.
    package static let leaveDefault = Duration.seconds(30)

    /// Makes the layer; `run` must be called for retries, repairs and departures.
    ///
    /// - Parameters:
    ///   - record: where namespaces with rules of ours are noted. What an earlier agent noted and
    ///     nobody wants captured any more is taken away with the first snapshot.
    ///   - failMode: what happens to pods' connections when this process is gone.
    ///   - drift: hears of changes inside pods.
    ///   - auditPeriod: every pod is looked at this often, told of changes or not.
    ///   - leaveMax: a pod let go of is cleaned up after this, open connections or not.
    ///   - didStep: told of each step when it is done, on any thread.
    ///   - tools: the dispatcher and the relay of a worker, on its thread.
    package init(
        pool: WorkerPool,
        assembler: EngineAssembler,
        record: CaptureRecord,
        failMode: CaptureFailMode,
        drift: DriftMonitor,
        auditPeriod: Duration = .seconds(10),
        leaveMax: Duration = CaptureLayer.leaveDefault,
        didStep: @escaping @Sendable (CaptureStep) -> Void = { _ in },
        tools: @escaping @Sendable (Worker) -> CaptureTools?
    ) throws(Errno) {
        self.pool = pool
        self.assembler = assembler
        self.tools = tools
        self.record = record
        self.failMode = failMode
        self.drift = drift
        self.leaveMax = leaveMax
        turnsPerAudit = max(1, Int(auditPeriod / CaptureLayer.turn))
        self.didStep = didStep
        thread = try NamespaceThread()
    }

    /// Status of every pod that is or was to be captured, sorted.
    package var statuses: [CaptureStatus] {
        let now = Clock.monotonicNanoseconds()
        return (pods.values.map { $0.status(at: now) } + refused.values).sorted { $0.pod < $1.pod }
    }

    /// What is not as it should be, one sentence each.
    package var faults: [String] {
        let left = leftovers.sorted { $0.key < $1.key }.map {
            "network namespace \($0.key) still holds rules of an earlier capture: \($0.value)"
        }
        let ofPods = statuses.filter(\.isFaulty).map { "\($0.pod): \($0.reason)" }
        return ofPods + left + [recordFault].compactMap(\.self)
    }

    // MARK: Snapshots

    /// Puts a snapshot's wishes in force.
    package func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
        await exclusively { await bring(snapshot) }
    }

    /// Pods are worked on by one piece of work at a time: an actor alone lets pieces interleave
    /// where they wait. At most the applier and `run` wait here.
    func exclusively<Value: Sendable>(_ body: () async -> Value) async -> Value {
        if isBusy { await withCheckedContinuation { waiting.append($0) } }
        isBusy = true
        let value = await body()
        if waiting.isEmpty { isBusy = false } else { waiting.removeFirst().resume() }
        return value
    }

    private func bring(_ snapshot: MeshSnapshot) async -> AppliedReport {
        let wanted = snapshot.workloads.filter {
            if case .enabled = $0.value.capture { true } else { false }
        }
        noteRefused(snapshot)
        if !wanted.isEmpty || !pods.isEmpty { await setDestinations(snapshot) }
        for (key, pod) in pods where wanted[key] == nil && pod.leaveSinceNanoseconds == nil {
            await beginLeaving(key)
        }
        for (key, workload) in wanted { await take(key, workload) }
        await removeLeftovers()
        return AppliedReport(version: snapshot.version, faults: faults)
    }

    private func noteRefused(_ snapshot: MeshSnapshot) {
        refused = [:]
        for (key, workload) in snapshot.workloads {
            guard case .refused(let reason) = workload.capture else { continue }
            refused[key] = CaptureStatus(
                pod: key,
                uid: workload.uid,
                state: .refused,
                reason: reason
            )
        }
    }

    private func setDestinations(_ snapshot: MeshSnapshot) async {
        let plan = ServicePlan(snapshot)
        _ = await assembler.update("mesh", plan.contribution)
        let names = await assembler.slotNames
        var destinations: [SocketAddress: CapturedDestination] = [:]
        for (address, endpoints) in plan.endpoints { destinations[address] = .endpoints(endpoints) }
        for (address, name) in plan.entries {
            if let entry = names.entries[name] { destinations[address] = .http(entry: entry) }
        }
        let all = destinations
        let tools = self.tools
        _ = await pool.perform { tools($0)?.dispatcher.set(destinations: all) }
    }

    // MARK: Pods

    func take(_ key: ObjectKey, _ workload: Workload) async {
        guard case .enabled(let exclusions) = workload.capture else { return }
        if let old = pods[key], !isSame(old, workload) { await discard(key) }
        var pod = pods[key] ?? CapturePod(workload, exclusions, slot: takeSlot())
        pod.update(workload, exclusions)
        pods[key] = pod
        if pod.status.state == .pending { await attempt(key) }
    }

    /// Whether a workload runs where the pod in hand does. A pod made anew under an old name has
    /// another UID and another namespace. One that cannot be found for the moment stays in hand:
    /// its rules hold.
    private func isSame(_ pod: CapturePod, _ workload: Workload) -> Bool {
        let isUnchanged =
            pod.workload.uid == workload.uid
            && pod.workload.networkNamespace == workload.networkNamespace
            && pod.workload.addresses == workload.addresses
        guard !isUnchanged, pod.namespace >= 0 else { return true }
        do throws(CaptureError) {
            let found = try PodLocator.open(workload)
            return found.inode == pod.inode
        } catch {
            return pod.workload.uid == workload.uid
        }
    }

    private func takeSlot() -> Int32 {
        if let free = freeSlots.popLast() { return free }
        nextSlot += 1
        return nextSlot
    }

    // MARK: The namespace thread

    func inside<Value: Sendable>(
        _ namespace: Int32,
        _ body: @escaping @Sendable () throws(NetlinkError) -> Value
    ) async throws(CaptureError) -> Value {
        switch await thread.run(in: namespace, body) {
        case .success(.success(let value)): return value
        case .success(.failure(let error)): throw CaptureError(error.description)
        case .failure(let error): throw CaptureError("cannot enter the namespace: \(error)")
        }
    }
}

/// What capture uses of one worker.
package struct CaptureTools {
    /// Takes redirected connections.
    package let dispatcher: CaptureDispatcher
    /// Carries those that are not HTTP.
    package let relay: TCPRelay

    /// Makes tools.
    package init(dispatcher: CaptureDispatcher, relay: TCPRelay) {
        self.dispatcher = dispatcher
        self.relay = relay
    }
}
