import LinuxSystem

/// The network namespaces that a node's agent has put rules into, by inode, each with the pod it was
/// for, in a file that outlives the agent: written before the first rule, so that the next agent
/// and `martlet cleanup` find what a killed one left.
package struct CaptureRecord: Sendable {
    private let path: String

    /// Names the file; its directory must exist.
    package init(path: String) { self.path = path }

    /// What is recorded: pods by the inode of their namespace.
    package func pods() throws(Errno) -> [UInt64: String] {
        let text: String
        do throws(Errno) {
            text = try FileSystem.readText(path)
        } catch {
            guard error == .notFound else { throw error }
            return [:]
        }
        var pods: [UInt64: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1)
            guard let inode = parts.first.flatMap({ UInt64($0) }) else { continue }
            pods[inode] = parts.count > 1 ? String(parts[1]) : ""
        }
        return pods
    }

    /// Notes a pod's namespace.
    func add(_ inode: UInt64, for pod: String) throws(Errno) {
        var known = try pods()
        guard known[inode] != pod else { return }
        known[inode] = pod
        try write(known)
    }

    /// Forgets a namespace that holds nothing of ours any more.
    func remove(_ inode: UInt64) throws(Errno) {
        var known = try pods()
        guard known.removeValue(forKey: inode) != nil else { return }
        try write(known)
    }

    private func write(_ pods: [UInt64: String]) throws(Errno) {
        let lines = pods.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }
        try FileSystem.replace(path, with: Array(lines.joined().utf8))
    }
}
