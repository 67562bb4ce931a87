import CLinux
import Glibc

/// A program run to its end, without a shell (`posix_spawn(3)`).
package enum ChildProcess {
    /// How it ended and what it wrote to standard output.
    package struct Outcome: Sendable {
        /// The exit status, or the negative number of the signal that ended it.
        package let status: Int32
        /// Standard output.
        package let output: [UInt8]
    }

    /// Runs a program with nothing on standard input and standard error passed on. Blocks; for a
    /// `BlockingThread`. The program is killed, with the processes of its group, when its time is
    /// over or it writes too much.
    ///
    /// - Parameters:
    ///   - arguments: the program first; without a slash it is searched in PATH.
    ///   - environment: `NAME=value` each.
    /// - Throws: `.timedOut`, EFBIG, or why it could not be started.
    package static func run(
        _ arguments: [String],
        environment: [String],
        outputByteLimit: Int,
        timeout: Duration
    ) throws(Errno) -> Outcome {
        guard let program = arguments.first, !program.isEmpty else { throw .invalid }
        var pipe: [Int32] = [0, 0]
        _ = try Errno.check(unsafe clinux_pipe2(&pipe, O_CLOEXEC))
        let reader = OwnedFD(owning: pipe[0])
        let writer = OwnedFD(owning: pipe[1])
        let process = try spawn(program, arguments, environment, output: writer.rawValue)
        try writer.close()
        let deadline = clinux_monotonic_nanoseconds() &+ nanoseconds(timeout)
        do throws(Errno) {
            let output = try read(reader.rawValue, outputByteLimit, deadline)
            return Outcome(status: try end(of: process, deadline), output: output)
        } catch {
            _ = kill(-process, SIGKILL)
            _ = waitpid(process, nil, 0)
            throw error
        }
    }

    private static func spawn(
        _ program: String,
        _ arguments: [String],
        _ environment: [String],
        output: Int32
    ) throws(Errno) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var process: pid_t = 0
        let argv = unsafe arguments.map { unsafe strdup($0) } + [nil]
        let envp = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer { unsafe (argv + envp).forEach { unsafe free($0) } }
        let result = unsafe posix_spawnp(&process, program, &actions, &attributes, argv, envp)
        guard result == 0 else { throw Errno(result) }
        return process
    }

    private static func read(
        _ descriptor: Int32,
        _ byteLimit: Int,
        _ deadline: UInt64
    ) throws(Errno) -> [UInt8] {
        var output: [UInt8] = []
        while true {
            try wait(descriptor, deadline)
            var chunk = [UInt8](repeating: 0, count: 16_384)
            let result = unsafe clinux_read(descriptor, &chunk, chunk.count)
            if result == -Int(EINTR) { continue }
            let count = try Errno.check(result)
            guard count > 0 else { return output }
            guard output.count + count <= byteLimit else { throw Errno(EFBIG) }
            output.append(contentsOf: chunk[..<count])
        }
    }

    private static func end(of process: pid_t, _ deadline: UInt64) throws(Errno) -> Int32 {
        let watched = OwnedFD(owning: Int32(try Errno.check(clinux_pidfd_open(process))))
        try wait(watched.rawValue, deadline)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw .current() }
        }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : -signal
    }

    private static func wait(_ descriptor: Int32, _ deadline: UInt64) throws(Errno) {
        while true {
            let now = clinux_monotonic_nanoseconds()
            guard now < deadline else { throw .timedOut }
            let milliseconds = min((deadline - now) / 1_000_000 + 1, 60_000)
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let result = unsafe poll(&ready, 1, Int32(milliseconds))
            if result > 0 { return }
            if result < 0 && errno != EINTR { throw .current() }
        }
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(max(seconds, 0)) &* 1_000_000_000
            &+ UInt64(max(attoseconds, 0) / 1_000_000_000)
    }
}
