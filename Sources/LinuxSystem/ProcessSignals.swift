import Glibc

/// The signals that end a process, taken by one thread instead of by a handler (`sigwait(3)`).
package enum ProcessSignals {
    /// Blocks SIGTERM and SIGINT for this thread and all threads started later, and has SIGPIPE and
    /// SIGHUP ignored. To be called before any other thread starts.
    package static func takeOver() {
        _ = signal(SIGPIPE, SIG_IGN)
        _ = signal(SIGHUP, SIG_IGN)
        var set = ending()
        _ = unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for SIGTERM, SIGINT, or `wake`.
    ///
    /// - Returns: the signal's number.
    package static func wait() -> Int32 {
        var set = ending()
        var number: Int32 = 0
        while unsafe sigwait(&set, &number) != 0 {}
        return number
    }

    /// Ends a `wait` of this process, from any thread, as SIGTERM would.
    package static func wake() { _ = kill(getpid(), SIGTERM) }

    private static func ending() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigaddset(&set, SIGINT)
        return set
    }
}
