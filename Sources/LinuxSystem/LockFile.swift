import CLinux
import Glibc

/// An exclusive lock on a file (`flock(2)`), held until the value ends. The kernel lets go of it
/// when the process dies, so that a lock is never stale.
package struct LockFile: ~Copyable, Sendable {
    private let descriptor: OwnedFD

    /// Takes the lock and writes this process's id into the file.
    ///
    /// - Throws: `.again` when another process holds it.
    package init(path: String) throws(Errno) {
        let file = try OwnedFD(opening: path, flags: O_RDWR | O_CREAT, mode: 0o644)
        let exclusiveNow = LOCK_EX | LOCK_NB
        _ = try Errno.check(clinux_flock(file.rawValue, exclusiveNow))
        guard ftruncate(file.rawValue, 0) == 0 else { throw .current() }
        try FileSystem.writeAll(Array("\(getpid())\n".utf8), to: file.rawValue)
        descriptor = file
    }

    /// The process id in a lock's file, for the message to those who are refused.
    package static func holder(path: String) -> Int32? {
        guard let text = try? FileSystem.readText(path, byteLimit: 64) else { return nil }
        return Int32(text.filter(\.isNumber))
    }
}
