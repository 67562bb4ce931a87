import CLinux
import Glibc

/// Tells of changes inside a directory (`inotify(7)`): one thread that waits, and calls back once
/// for each batch of changes.
package final class DirectoryWatch: Sendable {
    private let descriptor: OwnedFD

    /// Starts watching.
    ///
    /// - Parameter changed: called on the watch's own thread; events that come together are one
    ///   call.
    package init(path: String, changed: @escaping @Sendable () -> Void) throws(Errno) {
        descriptor = OwnedFD(owning: Int32(try Errno.check(Int(inotify_init1(Int32(IN_CLOEXEC))))))
        let interest =
            IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB
        let watch = unsafe inotify_add_watch(descriptor.rawValue, path, UInt32(interest))
        guard watch >= 0 else { throw .current() }
        let fd = descriptor.rawValue
        try RawThread.start(name: "martlet-inotify") { [weak self] in
            while DirectoryWatch.waitForChange(fd) {
                guard self != nil else { return }
                changed()
            }
        }
    }

    private static func waitForChange(_ fd: Int32) -> Bool {
        unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return false }
            while true {
                let count = unsafe clinux_read(fd, base, buffer.count)
                if count == -Int(EINTR) { continue }
                return count > 0
            }
        }
    }
}
