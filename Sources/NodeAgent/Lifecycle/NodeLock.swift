import LinuxSystem

/// The right to be the one agent of a node: a lock in the node's runtime directory.
struct NodeLock: ~Copyable, Sendable {
    private let file: LockFile

    /// Takes the lock, making the directory if it must.
    init(directory: String, nodeName: String) throws(AgentRefusal) {
        do {
            try FileSystem.makeDirectories(directory)
        } catch {
            throw AgentRefusal(
                "expected to make the directory \(directory), found \(error): it holds the node's "
                    + "lock and socket"
            )
        }
        let path = "\(directory)/lock"
        do {
            file = try LockFile(path: path)
        } catch .again {
            let holder = LockFile.holder(path: path).map { "process \($0)" } ?? "another process"
            throw AgentRefusal(
                "expected to be the only agent of node \(nodeName), found \(holder) that holds \(path)"
            )
        } catch {
            throw AgentRefusal("expected to lock \(path), found \(error)")
        }
    }

    /// Lets go of the node.
    consuming func release() {}
}

/// Why the agent does not start at all.
struct AgentRefusal: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
