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

    /// Cleans every recorded namespace that still exists. Blocks; to be called on a raw thread.
    package static func run(_ record: CaptureRecord) throws(Errno) -> Outcome {
        var outcome = Outcome()
        let wanted = record.inodes
        guard !wanted.isEmpty else { return outcome }
        let gate = try NamespaceGate()
        var seen: Set<UInt64> = [try NetworkNamespace(path: "/proc/self/ns/net").inode]
        for path in candidates() {
            guard let namespace = try? NetworkNamespace(path: path),
                wanted.contains(namespace.inode), seen.insert(namespace.inode).inserted
            else { continue }
            let fault = try gate.inside(namespace.rawValue) { () throws(Errno) in clean() }
            if let fault {
                outcome.faults.append("\(path): \(fault)")
            } else {
                outcome.cleanedCount += 1
                try record.remove(namespace.inode)
            }
        }
        return outcome
    }

    /// Every network namespace that has a name or a process.
    private static func candidates() -> [String] {
        let named = (try? FileSystem.names(in: "/run/netns")) ?? []
        let processes = ((try? FileSystem.names(in: "/proc")) ?? []).filter { Int($0) != nil }
        return named.map { "/run/netns/\($0)" } + processes.map { "/proc/\($0)/ns/net" }
    }

    private static func clean() -> String? {
        do throws(NetlinkError) {
            try PodNetwork.removeTable()
        } catch  where error.errno == .notFound {
            return cleanReturnPath()
        } catch {
            return error.description
        }
        return cleanReturnPath()
    }

    private static func cleanReturnPath() -> String? {
        do throws(NetlinkError) {
            try PodNetwork.setReturnPath(removes: true)
            return nil
        } catch {
            return error.description
        }
    }
}
