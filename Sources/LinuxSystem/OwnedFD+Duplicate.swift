import CLinux
import Glibc

extension OwnedFD {
    /// Makes a second descriptor, close-on-exec, for what a descriptor of another owner names
    /// (`fcntl(2)`, F_DUPFD_CLOEXEC).
    package init(duplicating rawValue: Int32) throws(Errno) {
        let result = clinux_fcntl(rawValue, F_DUPFD_CLOEXEC, 0)
        self.init(owning: Int32(try Errno.check(result)))
    }
}
