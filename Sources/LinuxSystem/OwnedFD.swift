import CLinux
import Glibc

/// A file descriptor with exactly one owner, closed when the owner ends.
package struct OwnedFD: ~Copyable, Sendable {
    /// The descriptor; valid while this value lives. Only LinuxSystem and DataPlane/NetIO use it.
    package let rawValue: Int32

    /// Takes ownership of an open descriptor.
    package init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Opens a file (`open(2)`), close-on-exec.
    package init(opening path: String, flags: Int32, mode: UInt32 = 0o600) throws(Errno) {
        let result = unsafe path.withCString { unsafe clinux_open($0, flags | O_CLOEXEC, mode) }
        self.init(owning: Int32(try Errno.check(result)))
    }

    /// Opens a file to append to it, making it if it is not there.
    package init(appendingTo path: String) throws(Errno) {
        try self.init(opening: path, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o640)
    }

    /// Closes now and reports what `deinit` must swallow.
    package consuming func close() throws(Errno) {
        let descriptor = rawValue
        discard self
        _ = try Errno.check(clinux_close(descriptor))
    }

    /// Gives the descriptor up to the caller, who must close it.
    package consuming func release() -> Int32 {
        let descriptor = rawValue
        discard self
        return descriptor
    }

    deinit { _ = clinux_close(rawValue) }
}
