import MeshModel

extension CaptureLayer {
    /// Between two looks at what was told.
    static let turn = Duration.milliseconds(200)

    /// Retries, repairs and finishes departures, until cancelled.
    package func run() async {
        var turn = 0
        while !Task.isCancelled {
            turn += 1
            let isAudit = turn % turnsPerAudit == 0
            for key in pods.keys.sorted() {
                await exclusively { await tend(key, isAudit: isAudit) }
            }
            if isAudit && (recordFault != nil || !leftovers.isEmpty) {
                await exclusively { await removeLeftovers() }
            }
            try? await Task.sleep(for: CaptureLayer.turn)
        }
    }

    private func tend(_ key: ObjectKey, isAudit: Bool) async {
        if isAudit { await followNamespace(key) }
        switch pods[key]?.status.state {
        case .pending: await attempt(key)
        case .refused: if isAudit { await attempt(key) }
        case .leaving: await finishLeaving(key, isAudit: isAudit)
        case .captured: if hasReasonToCheck(key) || isAudit { await repair(key) }
        case nil: break
        }
    }

    /// Whether something changed inside a pod, or may have: of what overflowed nothing is known.
    private func hasReasonToCheck(_ key: ObjectKey) -> Bool {
        guard let monitor = pods[key]?.monitor else { return true }
        switch drift.takeChange(monitor) {
        case .none: return false
        case .told: return true
        case .overflowed:
            pods[key]?.status.overflowCount += 1
            return true
        }
    }

    /// A pod whose sandbox was made anew has another namespace: it is taken afresh there.
    private func followNamespace(_ key: ObjectKey) async {
        guard let pod = pods[key], pod.leaveSinceNanoseconds == nil, pod.namespace >= 0 else {
            return
        }
        let inode: UInt64
        do throws(CaptureError) {
            let found = try PodLocator.open(pod.workload)
            inode = found.inode
        } catch {
            // Its processes have ended; what comes next is told by a snapshot or found later.
            return
        }
        guard inode != pod.inode else { return }
        await discard(key)
        await take(key, pod.workload)
    }

    private func repair(_ key: ObjectKey) async {
        guard let pod = pods[key] else { return }
        let found: String?
        do throws(CaptureError) {
            found = try await fault(pod)
        } catch {
            found = error.description
        }
        guard let found else { return }
        pods[key]?.status.repairCount += 1
        pods[key]?.lapse(.pending, found)
        await attempt(key)
    }
}
