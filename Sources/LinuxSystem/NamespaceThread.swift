import CLinux
import Glibc
import Synchronization

/// The one thread that enters pods' network namespaces for the control side: work is done one by
/// one, each *enter, do, leave* in one piece.
package final class NamespaceThread: Sendable {
    private let queue = Mutex<[@Sendable (NamespaceGate) -> Void]>([])
    private let wakeup: WakeupBox
    private let isStopped = Atomic<Bool>(false)

    private final class WakeupBox: Sendable {
        let wakeup: Wakeup

        init() throws(Errno) { wakeup = try Wakeup(blocks: true) }
    }

    /// Starts the thread.
    package init() throws(Errno) {
        wakeup = try WakeupBox()
        let gate = GateBox(try NamespaceGate())
        try RawThread.start(name: "martlet-netns") { [self] in
            while !isStopped.load(ordering: .acquiring) {
                let work = queue.withLock { queue in
                    let taken = queue
                    queue.removeAll()
                    return taken
                }
                for body in work { body(gate.gate) }
                if work.isEmpty { wakeup.wakeup.wait() }
            }
        }
    }

    private final class GateBox: @unchecked Sendable {
        // SAFETY: used by the namespace thread alone.
        let gate: NamespaceGate

        init(_ gate: NamespaceGate) { self.gate = gate }
    }

    /// Runs `body` inside a namespace and waits for its result.
    ///
    /// - Parameter namespace: an open descriptor of the namespace.
    package func run<Value: Sendable, Failure: Error>(
        in namespace: Int32,
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async -> Result<Result<Value, Failure>, Errno> {
        await withCheckedContinuation { continuation in
            queue.withLock { queue in
                queue.append { gate in
                    let outcome: Result<Result<Value, Failure>, Errno>
                    do throws(Errno) {
                        outcome = .success(
                            try gate.inside(namespace) { () throws(Errno) in
                                Result { () throws(Failure) in try body() }
                            }
                        )
                    } catch {
                        outcome = .failure(error)
                    }
                    continuation.resume(returning: outcome)
                }
            }
            wakeup.wakeup.signal()
        }
    }

    /// Ends the thread after the work in hand.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        wakeup.wakeup.signal()
    }
}

/// An open network namespace, with what tells it from others.
package struct NetworkNamespace: ~Copyable, Sendable {
    private let descriptor: OwnedFD
    /// The namespace's inode: the same for the same namespace.
    package let inode: UInt64

    /// Opens a namespace by path (`/proc/PID/ns/net`, a file under `/run/netns`).
    package init(path: String) throws(Errno) {
        let opened = try OwnedFD(opening: path, flags: O_RDONLY)
        var status = stat()
        guard unsafe fstat(opened.rawValue, &status) == 0 else { throw .current() }
        inode = UInt64(status.st_ino)
        descriptor = opened
    }

    /// The descriptor; valid while this value lives.
    package var rawValue: Int32 { descriptor.rawValue }

    /// Gives the descriptor up to the caller, who must close it.
    package consuming func release() -> Int32 { descriptor.release() }

    /// The path of a namespace named by an annotation: a path, or a name under /run/netns.
    package static func path(of name: String) -> String {
        name.hasPrefix("/") ? name : "/run/netns/\(name)"
    }
}
