import DataPlane
import LinuxSystem
import MeshModel

extension CaptureLayer {
    /// What was redirected before the rules let go is accepted by then.
    private static let settleNanoseconds: UInt64 = 1_000_000_000

    /// Has a pod's rules take nothing new; its open connections go on.
    func beginLeaving(_ key: ObjectKey) async {
        guard var pod = pods[key] else { return }
        pod.leaveSinceNanoseconds = Clock.monotonicNanoseconds()
        pod.status.state = .leaving
        pod.status.reason = "open connections end"
        stopWatching(&pod)
        do throws(CaptureError) {
            try await letGo(&pod)
        } catch {
            pod.status.reason = "cannot let go gently: \(error)"
            pod.leaveSinceNanoseconds = 0
        }
        pods[key] = pod
    }

    private func letGo(_ pod: inout CapturePod) async throws(CaptureError) {
        guard pod.namespace >= 0 else { return }
        let table = CapturePlan.lettingGo(failMode)
        let socket = try await rulesSocket(&pod)
        try await inside(pod.namespace) { () throws(NetlinkError) in
            _ = try PodNetwork.apply(table, by: socket)
        }
        didStep(.rulesLetGo)
    }

    private func openConnectionCount(_ pod: CapturePod) async -> Int {
        let tools = self.tools
        let counts = await pool.perform { worker -> Int in
            let relay = tools(worker)?.relay
            return (relay?.pairCount(route: pod.slot * 2) ?? 0)
                + (relay?.pairCount(route: pod.slot * 2 + 1) ?? 0)
                + worker.proxy.connectionCount(origin: pod.namespace)
        }
        return counts.reduce(0) { $0 + ($1 ?? 0) }
    }

    /// Takes a pod's last things away once its connections have ended. What fails is tried again
    /// with the next audit.
    func finishLeaving(_ key: ObjectKey, isAudit: Bool) async {
        guard var pod = pods[key], let since = pod.leaveSinceNanoseconds else { return }
        let age = Clock.monotonicNanoseconds() - since
        let isFirst = !pod.status.isFaulty
        var isOver = pod.namespace < 0 || since == 0
        if !isOver && age > CaptureLayer.settleNanoseconds {
            let hasEnded = await openConnectionCount(pod) == 0
            isOver = hasEnded || age > leaveMax.wholeNanoseconds
            if isOver && !hasEnded && isFirst { overdueDepartures.add() }
        }
        guard isOver, isFirst || isAudit else { return }
        didStep(.connectionsEnded)
        do throws(CaptureError) {
            try await remove(&pod)
            pods[key] = nil
        } catch {
            pod.status.reason = "\(CaptureStatus.stuck)\(error)"
            pods[key] = pod
        }
    }

    /// Lets a pod that is no more go at once. What cannot be taken away is left to
    /// `removeLeftovers`.
    func discard(_ key: ObjectKey) async {
        guard var pod = pods.removeValue(forKey: key) else { return }
        do throws(CaptureError) {
            try await remove(&pod)
        } catch {
            leftovers[pod.inode] = error.description
            await closeListeners(&pod)
            await release(&pod)
        }
    }

    /// Takes everything out of a pod, in the reverse of the order in which it came.
    private func remove(_ pod: inout CapturePod) async throws(CaptureError) {
        stopWatching(&pod)
        if pod.namespace >= 0 {
            let socket = pod.rulesSocket
            try await inside(pod.namespace) { () throws(NetlinkError) in
                try PodNetwork.removeTable(by: socket)
            }
            didStep(.rulesRemoved)
            await closeListeners(&pod)
            didStep(.listenersClosed)
            let didStep = self.didStep
            try await inside(pod.namespace) { () throws(NetlinkError) in
                try PodNetwork.setReturnPath(removes: true) { didStep(.returnPathPartRemoved) }
            }
            try forget(pod.inode)
            didStep(.forgotten)
        }
        await release(&pod)
    }

    private func forget(_ inode: UInt64) throws(CaptureError) {
        do throws(Errno) {
            try record.remove(inode)
        } catch {
            throw CaptureError("cannot strike the namespace off the record: \(error)")
        }
    }

    private func stopWatching(_ pod: inout CapturePod) {
        if let monitor = pod.monitor { drift.remove(monitor) }
        pod.monitor = nil
    }

    /// Gives back what a pod had of this process: its numbers, its descriptors.
    private func release(_ pod: inout CapturePod) async {
        let tools = self.tools
        let (slot, namespace) = (pod.slot, pod.namespace)
        _ = await pool.perform { worker in
            worker.proxy.dropIdle(origin: namespace)
            guard let tools = tools(worker) else { return }
            for number in (slot * 4)..<(slot * 4 + 4) {
                tools.dispatcher.set(nil, outboundNumber: number, inboundNumber: number)
            }
            tools.relay.set(slot * 2, nil)
            tools.relay.set(slot * 2 + 1, nil)
        }
        pod.rulesSocket = nil
        if namespace >= 0 { _ = OwnedFD(owning: namespace) }
        pod.namespace = -1
        freeSlots.append(slot)
    }

    // MARK: Leftovers

    /// Takes away what is on record for pods that nobody wants captured any more: an earlier agent's
    /// work, whose connections ended with it, and what could not be taken away before.
    func removeLeftovers() async {
        do throws(Errno) {
            let recorded = try record.pods()
            recordFault = nil
            leftovers = recorded.filter { !isWanted($0.key, $0.value) }
                .reduce(into: [:]) { $0[$1.key] = leftovers[$1.key] ?? "not tried yet" }
        } catch {
            recordFault = "expected to read the record of captured namespaces, found \(error)"
            return
        }
        guard !leftovers.isEmpty else { return }
        let paths = NetworkNamespace.paths()
        for inode in leftovers.keys.sorted() {
            do throws(CaptureError) {
                if let path = paths[inode] { try await removeLeftovers(inode, at: path) }
                try forget(inode)
                leftovers[inode] = nil
            } catch {
                leftovers[inode] = error.description
            }
        }
    }

    /// Whether what is on record belongs to a pod in hand, found or not yet.
    private func isWanted(_ inode: UInt64, _ name: String) -> Bool {
        pods.values.contains {
            $0.inode == inode || ($0.namespace < 0 && $0.workload.recordName == name)
        }
    }

    private func removeLeftovers(_ inode: UInt64, at path: String) async throws(CaptureError) {
        let namespace: NetworkNamespace
        do throws(Errno) {
            namespace = try NetworkNamespace(path: path)
        } catch {
            throw CaptureError("\(path): \(error)")
        }
        guard namespace.inode == inode else {
            throw CaptureError("expected namespace \(inode) at \(path), found \(namespace.inode)")
        }
        try await inside(namespace.rawValue) { () throws(NetlinkError) in
            try PodNetwork.removeLeftovers()
        }
    }
}
