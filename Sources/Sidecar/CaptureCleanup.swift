import LinuxSystem

/// Takes back what a dead agent left inside pods: the nftables table, and the return path's rules
/// and routes.
package enum CaptureCleanup {
    /// What was done.
    package struct Outcome: Equatable, Sendable {
        /// Namespaces that were cleaned.
        package var cleanedCount = 0
        /// What could not be, one sentence each.
        package var faults: [String] = []
    }

    /// Cleans every recorded namespace that still exists, where no agent of the node runs, which
    /// would put everything back. Blocks; to be called on a raw thread.
    package static func run(_ record: CaptureRecord) throws(Errno) -> Outcome {
        var outcome = Outcome()
        let wanted = try record.pods()
        guard !wanted.isEmpty else { return outcome }
        let gate = try NamespaceGate()
        let paths = NetworkNamespace.paths()
        for inode in wanted.keys.sorted() {
            guard let path = paths[inode] else {
                try record.remove(inode)
                continue
            }
            if let fault = clean(inode, at: path, gate) {
                outcome.faults.append("\(path): \(fault)")
            } else {
                outcome.cleanedCount += 1
                try record.remove(inode)
            }
        }
        return outcome
    }

    private static func clean(_ inode: UInt64, at path: String, _ gate: NamespaceGate) -> String? {
        do throws(Errno) {
            let namespace = try NetworkNamespace(path: path)
            guard namespace.inode == inode else {
                return "expected namespace \(inode), found \(namespace.inode)"
            }
            let result = try gate.inside(namespace.rawValue) {
                Result { () throws(NetlinkError) in try PodNetwork.removeLeftovers() }
            }
            guard case .failure(let error) = result else { return nil }
            return error.description
        } catch {
            return error.description
        }
    }
}
