import CLinux
import Glibc

/// Lets one raw thread act inside other network namespaces: enter, do, leave, in one call that
/// cannot suspend (`setns(2)`). Never used on a thread of the concurrency runtime.
package final class NamespaceGate {
    private let home: OwnedFD

    /// Remembers the calling thread's own namespace.
    package init() throws(Errno) {
        home = try OwnedFD(opening: "/proc/thread-self/ns/net", flags: O_RDONLY)
    }

    /// Runs `body` inside a namespace and comes back.
    ///
    /// A thread that cannot come back would act in the wrong namespace from then on: that traps.
    package func inside<Result: ~Copyable>(
        _ namespace: Int32,
        _ body: () throws(Errno) -> Result
    ) throws(Errno) -> Result {
        _ = try Errno.check(clinux_setns(namespace, clinux_clone_newnet))
        defer {
            precondition(
                clinux_setns(home.rawValue, clinux_clone_newnet) == 0,
                "could not return to the node's network namespace"
            )
        }
        return try body()
    }
}
