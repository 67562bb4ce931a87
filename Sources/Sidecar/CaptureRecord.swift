import LinuxSystem

/// The network namespaces that a node's agent has put rules into, by inode, in a file that outlives
/// it: written before the first rule, so that `martlet cleanup` finds what a killed agent left.
package struct CaptureRecord: Sendable {
    private let path: String

    /// Names the file; its directory must exist.
    package init(path: String) { self.path = path }

    /// What is recorded.
    package var inodes: Set<UInt64> {
        let text = (try? FileSystem.readText(path)) ?? ""
        return Set(text.split(separator: "\n").compactMap { UInt64($0) })
    }

    /// Notes a namespace.
    func add(_ inode: UInt64) throws(Errno) {
        let known = inodes
        guard !known.contains(inode) else { return }
        try write(known.union([inode]))
    }

    /// Forgets a namespace that holds nothing of ours any more.
    func remove(_ inode: UInt64) throws(Errno) {
        let known = inodes
        guard known.contains(inode) else { return }
        try write(known.subtracting([inode]))
    }

    private func write(_ inodes: Set<UInt64>) throws(Errno) {
        let text = inodes.sorted().map { "\($0)\n" }.joined()
        try FileSystem.replace(path, with: Array(text.utf8))
    }
}
