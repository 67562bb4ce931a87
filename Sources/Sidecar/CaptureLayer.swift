import Addressing
import DataPlane
import L4Proxy
import LinuxSystem
import MeshModel

/// The layer that captures pods: brings each wish into its pod's namespace step by step, proves
/// it, keeps it so, and takes it back without breaking a connection.
package actor CaptureLayer: SnapshotConsumer {
    /// A pod let go of is cleaned up after this, open connections or not.
    private static let leaveNanosecondsMax: UInt64 = 30_000_000_000

    /// One pod in hand.
    struct Pod {
        var workload: Workload
        var exclusions: Workload.Exclusions
        var slot: Int32
        var namespace: Int32 = -1
        var inode: UInt64 = 0
        var ports: [ListeningPort] = []
        var listenerCount = 0
        var monitor: DriftMonitor.Token?
        var status: CaptureStatus
        var firstSeenNanoseconds: UInt64
        var leaveSinceNanoseconds: UInt64?
    }

    /// `capture`.
    nonisolated package let layer = Layer.capture
    let pool: WorkerPool
    private let assembler: EngineAssembler
    let thread: NamespaceThread
    private let tools: @Sendable (Worker) -> CaptureTools?
    private let record: CaptureRecord?
    private let drift: DriftMonitor
    private var pods: [ObjectKey: Pod] = [:]
    private var nextSlot: Int32 = 0
    private var refused: [ObjectKey: CaptureStatus] = [:]
    /// Pods that an attempt is in hand for.
    private var busy: Set<ObjectKey> = []

    /// Makes the layer; `run` must be called for retries, repairs and departures.
    ///
    /// - Parameters:
    ///   - record: where namespaces with rules of ours are noted, for `martlet cleanup`.
    ///   - tools: the dispatcher and the relay of a worker, on its thread.
    package init(
        pool: WorkerPool,
        assembler: EngineAssembler,
        record: CaptureRecord? = nil,
        tools: @escaping @Sendable (Worker) -> CaptureTools?
    ) throws(Errno) {
        self.pool = pool
        self.assembler = assembler
        self.tools = tools
        self.record = record
        thread = try NamespaceThread()
        drift = try DriftMonitor()
    }

    /// Status of every pod that is or was to be captured, sorted.
    package var statuses: [CaptureStatus] {
        let now = Clock.monotonicNanoseconds()
        return
            (pods.values.map { pod in
                var status = pod.status
                if status.state == .pending {
                    status.uncapturedNanoseconds = now - pod.firstSeenNanoseconds
                }
                return status
            } + refused.values).sorted { $0.pod < $1.pod }
    }

    // MARK: Snapshots

    /// Puts a snapshot's wishes in force.
    package func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
        let wanted = snapshot.workloads.filter {
            if case .enabled = $0.value.capture { true } else { false }
        }
        noteRefused(snapshot)
        if !wanted.isEmpty || !pods.isEmpty { await setDestinations(snapshot) }
        for (key, pod) in pods where pod.leaveSinceNanoseconds == nil {
            if wanted[key]?.uid != pod.workload.uid { await beginLeaving(key) }
        }
        for (key, workload) in wanted { await take(key, workload) }
        return AppliedReport(version: snapshot.version, faults: faults())
    }

    private func faults() -> [String] {
        statuses.filter { $0.state == .pending || $0.state == .refused }.map {
            "\($0.pod): \($0.reason)"
        }
    }

    private func noteRefused(_ snapshot: MeshSnapshot) {
        refused = [:]
        for (key, workload) in snapshot.workloads {
            guard case .refused(let reason) = workload.capture else { continue }
            refused[key] = CaptureStatus(
                pod: key,
                uid: workload.uid,
                state: .refused,
                reason: reason,
                uncapturedNanoseconds: 0,
                repairCount: 0
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

    private func take(_ key: ObjectKey, _ workload: Workload) async {
        guard case .enabled(let exclusions) = workload.capture else { return }
        let now = Clock.monotonicNanoseconds()
        var pod =
            pods[key]
            ?? Pod(
                workload: workload,
                exclusions: exclusions,
                slot: takeSlot(),
                status: CaptureStatus(
                    pod: key,
                    uid: workload.uid,
                    state: .pending,
                    reason: "not tried yet",
                    uncapturedNanoseconds: 0,
                    repairCount: 0
                ),
                firstSeenNanoseconds: now
            )
        pod.leaveSinceNanoseconds = nil
        pod.workload = workload
        if pod.exclusions != exclusions || pod.status.state == .leaving {
            pod.exclusions = exclusions
            pod.status.state = .pending
        }
        pods[key] = pod
        if pod.status.state == .pending { await attempt(key) }
    }

    private func takeSlot() -> Int32 {
        nextSlot += 1
        return nextSlot
    }

    // MARK: Capturing

    private func attempt(_ key: ObjectKey) async {
        guard var pod = pods[key], busy.insert(key).inserted else { return }
        do {
            try await capture(&pod)
        } catch {
            pod.status.state = .pending
            pod.status.reason = error.description
        }
        busy.remove(key)
        let isLeaving = pods[key]?.leaveSinceNanoseconds != nil
        pods[key] = pod
        if isLeaving { await beginLeaving(key) }
    }

    /// The steps, in the order that leaves nothing half done: namespace checked, return path,
    /// listeners, rules, proof.
    private func capture(_ pod: inout Pod) async throws(CaptureError) {
        if pod.namespace < 0 { try openNamespace(&pod) }
        let namespace = pod.namespace
        let wanted = pod.workload.addresses
        let found = try await inside(namespace) { () throws(NetlinkError) in
            try PodNetwork.addresses()
        }
        guard !wanted.isEmpty, wanted.allSatisfy(found.contains) else {
            throw CaptureError(
                "expected a namespace with \(wanted.map(\.description).joined(separator: ", ")),"
                    + " found \(found.sorted().map(\.description).joined(separator: ", "))"
            )
        }
        try await inside(namespace) { () throws(NetlinkError) in
            try PodNetwork.setReturnPath(removes: false)
        }
        if pod.ports.isEmpty { try await openListeners(&pod) }
        let table = CapturePlan.table(pod.exclusions)
        try await inside(namespace) { () throws(NetlinkError) in try PodNetwork.apply(table) }
        let isProven = try await inside(namespace) { () throws(NetlinkError) in
            try PodNetwork.proves(table)
        }
        guard isProven else { throw CaptureError("the rules read back are not those applied") }
        await watch(&pod)
        let now = Clock.monotonicNanoseconds()
        pod.status.state = .captured
        pod.status.reason = ""
        pod.status.uncapturedNanoseconds = now - pod.firstSeenNanoseconds
        pod.status.proof = .init(
            checkedNanoseconds: Clock.wallNanoseconds(),
            namespaceInode: pod.inode,
            rulesVersion: table.version,
            listenerCount: pod.listenerCount
        )
    }

    private func openNamespace(_ pod: inout Pod) throws(CaptureError) {
        let path: String
        if !pod.workload.networkNamespace.isEmpty {
            path = NetworkNamespace.path(of: pod.workload.networkNamespace)
        } else if let found = NetworkNamespace.path(ofPod: pod.workload.uid) {
            path = found
        } else {
            throw CaptureError("no process in a cgroup of pod\(pod.workload.uid)")
        }
        do throws(Errno) {
            let opened = try NetworkNamespace(path: path)
            let own = try NetworkNamespace(path: "/proc/self/ns/net")
            guard opened.inode != own.inode else {
                throw Errno.invalid
            }
            try record?.add(opened.inode)
            pod.inode = opened.inode
            pod.namespace = opened.release()
        } catch {
            throw CaptureError("network namespace \(path): \(error)")
        }
    }

    private func openListeners(_ pod: inout Pod) async throws(CaptureError) {
        let pods = CapturedPod(
            namespace: pod.namespace,
            outboundRoute: pod.slot * 2,
            inboundRoute: pod.slot * 2 + 1
        )
        let outboundNumber = pod.slot * 4
        let tools = self.tools
        _ = await pool.perform { worker in
            guard let tools = tools(worker) else { return }
            let mark = CaptureConstants.ownMark
            tools.relay.set(
                pods.outboundRoute,
                RelayRoute(destination: .original, namespace: pods.namespace, mark: mark)
            )
            tools.relay.set(
                pods.inboundRoute,
                RelayRoute(
                    destination: .originalKeepingSource,
                    namespace: pods.namespace,
                    mark: mark
                )
            )
        }
        let addresses: [(SocketAddress, Int32)] = [
            (SocketAddress(.loopbackIPv4, CaptureConstants.outboundPort), outboundNumber),
            (SocketAddress(.loopbackIPv6, CaptureConstants.outboundPort), outboundNumber + 1),
            (SocketAddress(.anyIPv4, CaptureConstants.inboundPort), outboundNumber + 2),
            (SocketAddress(.anyIPv6, CaptureConstants.inboundPort), outboundNumber + 3),
        ]
        for (address, number) in addresses {
            try await listen(address, number, pods, outboundNumber, &pod)
        }
    }

    private func listen(
        _ address: SocketAddress,
        _ number: Int32,
        _ captured: CapturedPod,
        _ base: Int32,
        _ pod: inout Pod
    ) async throws(CaptureError) {
        let count = pool.workers.count
        let descriptors: [Int32]
        do throws(CaptureError) {
            descriptors = try await inside(pod.namespace) { () throws(NetlinkError) in
                try CaptureListener.open(address, count: count)
            }
        } catch {
            // A pod without IPv6 has no IPv6 to be captured.
            if !address.ip.isIPv4 { return }
            throw error
        }
        let tools = self.tools
        let isOutbound = number < base + 2
        _ = await pool.perform { worker in
            tools(worker)?.dispatcher.set(
                captured,
                outboundNumber: isOutbound ? number : -1,
                inboundNumber: isOutbound ? -1 : number
            )
        }
        let binding = PortBinding(target: .capture(number), local: address)
        let port = await pool.share(descriptors, port: number, binding)
        guard port.isComplete else {
            throw CaptureError("a worker does not accept on \(address)")
        }
        pod.ports.append(port)
        pod.listenerCount += 1
    }

    // MARK: Leaving

    private func beginLeaving(_ key: ObjectKey) async {
        pods[key]?.leaveSinceNanoseconds = Clock.monotonicNanoseconds()
        pods[key]?.status.state = .leaving
        // An attempt in hand ends first; it sees the wish and comes back here.
        guard !busy.contains(key), var pod = pods[key] else { return }
        pod.status.reason = "open connections end"
        if let monitor = pod.monitor { drift.remove(monitor) }
        pod.monitor = nil
        if pod.namespace >= 0 {
            let table = CapturePlan.lettingGo()
            let result: Void? = try? await inside(pod.namespace) { () throws(NetlinkError) in
                try PodNetwork.apply(table)
            }
            if result == nil { pod.leaveSinceNanoseconds = 0 }
        }
        pods[key] = pod
    }

    private func openConnectionCount(_ pod: Pod) async -> Int {
        let tools = self.tools
        let counts = await pool.perform { worker -> Int in
            let relay = tools(worker)?.relay
            return (relay?.pairCount(route: pod.slot * 2) ?? 0)
                + (relay?.pairCount(route: pod.slot * 2 + 1) ?? 0)
                + worker.proxy.connectionCount(origin: pod.namespace)
        }
        return counts.reduce(0) { $0 + ($1 ?? 0) }
    }

    private func finishLeaving(_ key: ObjectKey) async {
        guard let pod = pods[key], let since = pod.leaveSinceNanoseconds else { return }
        let age = Clock.monotonicNanoseconds() - since
        var isOver = pod.namespace < 0 || age > CaptureLayer.leaveNanosecondsMax
        if !isOver && age > 1_000_000_000 { isOver = await openConnectionCount(pod) == 0 }
        guard isOver, pods[key]?.leaveSinceNanoseconds == since else { return }
        pods[key] = nil
        if pod.namespace >= 0 { await remove(pod) }
    }

    private func remove(_ pod: Pod) async {
        _ = try? await inside(pod.namespace) { () throws(NetlinkError) in
            try PodNetwork.removeTable()
            try PodNetwork.setReturnPath(removes: true)
        }
        try? record?.remove(pod.inode)
        for port in pod.ports { await pool.close(port) }
        let tools = self.tools
        _ = await pool.perform { worker in
            worker.proxy.dropIdle(origin: pod.namespace)
            guard let tools = tools(worker) else { return }
            for offset in 0..<4 as Range<Int32> {
                let number = pod.slot * 4 + offset
                tools.dispatcher.set(nil, outboundNumber: number, inboundNumber: number)
            }
            tools.relay.set(pod.slot * 2, nil)
            tools.relay.set(pod.slot * 2 + 1, nil)
        }
        _ = OwnedFD(owning: pod.namespace)
    }

    // MARK: Keeping it so

    /// Retries, repairs and finishes departures, until cancelled.
    package func run() async {
        while !Task.isCancelled {
            for key in pods.keys.sorted() {
                switch pods[key]?.status.state {
                case .pending: await attempt(key)
                case .leaving where !busy.contains(key): await finishLeaving(key)
                case .leaving: break
                case .captured where pods[key]?.monitor.map(drift.hasChanged) ?? true:
                    await repair(key)
                case .captured, .refused, nil: break
                }
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    private func watch(_ pod: inout Pod) async {
        guard pod.monitor == nil else { return }
        let socket = try? await inside(pod.namespace) { () throws(NetlinkError) in
            try DriftMonitor.open()
        }
        if let socket { pod.monitor = drift.add(socket) }
    }

    private func repair(_ key: ObjectKey) async {
        guard let pod = pods[key] else { return }
        let table = CapturePlan.table(pod.exclusions)
        let isProven = try? await inside(pod.namespace) { () throws(NetlinkError) in
            try PodNetwork.proves(table)
        }
        guard isProven != true else { return }
        pods[key]?.status.repairCount += 1
        pods[key]?.status.state = .pending
        pods[key]?.status.reason = "its rules had changed"
        await attempt(key)
    }

    private func inside<Value: Sendable>(
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

/// Why a pod is not captured.
struct CaptureError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Listening sockets inside a pod.
enum CaptureListener {
    /// Opens one socket and duplicates it for each worker.
    static func open(_ address: SocketAddress, count: Int) throws(NetlinkError) -> [Int32] {
        do throws(Errno) {
            let socket = try Socket.listen(on: address)
            var descriptors: [Int32] = []
            for _ in 1..<max(count, 1) {
                descriptors.append(try OwnedFD(duplicating: socket.rawValue).release())
            }
            descriptors.append(socket.release())
            return descriptors
        } catch {
            throw NetlinkError(subject: "listen on \(address)", errno: error)
        }
    }
}
