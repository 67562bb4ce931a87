import Glibc

/// A system call's error number.
package struct Errno: Error, Equatable, Hashable, Sendable, BitwiseCopyable {
    /// The value of `errno`, always positive.
    package let rawValue: Int32

    /// Makes an error of a value of `errno`.
    package init(_ rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The calling thread's `errno`.
    package static func current() -> Errno { Errno(errno) }

    /// Turns a CLinux result (`>= 0`, or `-errno`) into a value or an error.
    package static func check(_ result: Int) throws(Errno) -> Int {
        guard result >= 0 else { throw Errno(Int32(truncatingIfNeeded: -result)) }
        return result
    }

    /// The operation would block.
    package static let again = Errno(EAGAIN)
    /// A signal interrupted the call.
    package static let interrupted = Errno(EINTR)
    /// A non-blocking connect has begun.
    package static let inProgress = Errno(EINPROGRESS)
    /// No such file, table, rule or object.
    package static let notFound = Errno(ENOENT)
    /// It exists already.
    package static let exists = Errno(EEXIST)
    /// Not permitted.
    package static let notPermitted = Errno(EPERM)
    /// Invalid argument.
    package static let invalid = Errno(EINVAL)
    /// The peer refused the connection.
    package static let connectionRefused = Errno(ECONNREFUSED)
    /// The peer reset the connection.
    package static let connectionReset = Errno(ECONNRESET)
    /// The write side is closed.
    package static let brokenPipe = Errno(EPIPE)
    /// Timed out.
    package static let timedOut = Errno(ETIMEDOUT)
    /// EFBIG: longer than may be read.
    package static let tooLarge = Errno(EFBIG)
}

extension Errno: CustomStringConvertible {
    /// The text of `strerror(3)` and the number.
    package var description: String {
        let text = unsafe strerror(rawValue).map { unsafe String(cString: $0) } ?? "unknown error"
        return "\(text) (errno \(rawValue))"
    }
}
