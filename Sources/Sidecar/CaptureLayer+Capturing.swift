import Addressing
import LinuxSystem
import MeshModel

extension CaptureLayer {
    /// The table of a pod.
    func table(_ pod: CapturePod) -> NFTable { CapturePlan.table(pod.exclusions, failMode) }

    /// Tries to capture a pod, and notes what came of it.
    func attempt(_ key: ObjectKey) async {
        guard var pod = pods[key] else { return }
        do {
            try await capture(&pod)
        } catch {
            pod.lapse(error.isRefusal ? .refused : .pending, error.description)
        }
        pods[key] = pod
    }

    /// The steps, in the order that leaves nothing half done: namespace checked, return path,
    /// listeners, rules, proof.
    private func capture(_ pod: inout CapturePod) async throws(CaptureError) {
        try locate(&pod)
        try await checkNamespace(pod)
        didStep(.namespaceChecked)
        try note(pod)
        didStep(.recorded)
        let namespace = pod.namespace
        let didStep = self.didStep
        try await inside(namespace) { () throws(NetlinkError) in
            try PodNetwork.setReturnPath(removes: false) { didStep(.returnPathPartSet) }
        }
        if try await !isListening(pod) {
            await closeListeners(&pod)
            try await openListeners(&pod)
        }
        try await watch(&pod)
        didStep(.watched)
        let table = self.table(pod)
        let socket = try await rulesSocket(&pod)
        let wasInPlace = try await inside(namespace) { () throws(NetlinkError) in
            try PodNetwork.apply(table, by: socket)
        }
        didStep(.rulesApplied)
        if let fault = try await fault(pod) { throw CaptureError(fault) }
        pod.settle(table, wasInPlace: wasInPlace)
        didStep(.proven)
    }

    private func locate(_ pod: inout CapturePod) throws(CaptureError) {
        guard pod.namespace < 0 else { return }
        let opened = try PodLocator.open(pod.workload)
        pod.inode = opened.inode
        pod.namespace = opened.release()
    }

    private func checkNamespace(_ pod: CapturePod) async throws(CaptureError) {
        let wanted = pod.workload.addresses
        guard !wanted.isEmpty else { throw CaptureError("the pod has no addresses yet") }
        let found = try await inside(pod.namespace) { () throws(NetlinkError) in
            try PodNetwork.addresses()
        }
        guard wanted.allSatisfy(found.contains) else {
            throw CaptureError(
                "expected a namespace with \(wanted.map(\.description).joined(separator: ", ")),"
                    + " found \(found.sorted().map(\.description).joined(separator: ", "))",
                isRefusal: true
            )
        }
        let foreign = try await inside(pod.namespace) { () throws(NetlinkError) in
            try PodNetwork.foreignCapture()
        }
        if let foreign {
            throw CaptureError(
                "expected a pod that nobody else captures, found \(foreign), which redirects its"
                    + " connections",
                isRefusal: true
            )
        }
    }

    private func note(_ pod: CapturePod) throws(CaptureError) {
        do throws(Errno) {
            try record.add(pod.inode, for: pod.workload.recordName)
        } catch {
            throw CaptureError("cannot note the namespace for those who clean up: \(error)")
        }
    }

    private func isListening(_ pod: CapturePod) async throws(CaptureError) -> Bool {
        guard !pod.ports.isEmpty else { return false }
        let needsIPv6 = pod.needsIPv6
        return try await inside(pod.namespace) { () throws(NetlinkError) in
            try PodNetwork.missingListeners(needsIPv6: needsIPv6).isEmpty
        }
    }

    private func watch(_ pod: inout CapturePod) async throws(CaptureError) {
        guard pod.monitor == nil else { return }
        let drift = self.drift
        let sockets = try await inside(pod.namespace) { () throws(NetlinkError) in
            try drift.open()
        }
        do throws(Errno) {
            pod.monitor = try drift.add(sockets)
        } catch {
            throw CaptureError("cannot listen to changes of rules and routes: \(error)")
        }
    }

    /// The socket that owns a pod's table, where the table is to vanish with this process.
    func rulesSocket(_ pod: inout CapturePod) async throws(CaptureError) -> RulesSocket? {
        guard failMode == .open else { return nil }
        if let socket = pod.rulesSocket { return socket }
        let socket = try await inside(pod.namespace) { () throws(NetlinkError) in
            try RulesSocket()
        }
        pod.rulesSocket = socket
        return socket
    }

    /// What keeps a pod from being captured, read from the kernel: rules, return path, listeners;
    /// `nil` when it is.
    func fault(_ pod: CapturePod) async throws(CaptureError) -> String? {
        let table = self.table(pod)
        let needsIPv6 = pod.needsIPv6
        return try await inside(pod.namespace) { () throws(NetlinkError) in
            if let fault = try PodNetwork.difference(from: table) { return fault }
            if let fault = try PodNetwork.returnPathFault(needsIPv6: needsIPv6) { return fault }
            let missing = try PodNetwork.missingListeners(needsIPv6: needsIPv6)
            return missing.first.map { "nobody listens on port \($0)" }
        }
    }
}

extension Workload {
    /// The pod as the record names it: one under its name, until it is made anew.
    var recordName: String { "\(key.path) \(uid)" }
}
