import Glibc

/// Memory by whole pages.
package enum PageMemory {
    /// Bytes of a page, or a multiple of it.
    package static let pageByteCount = 4_096

    /// Lets the kernel have pages back: they read as zeros from now on, and take memory again once
    /// they are written to (`madvise(2)`, MADV_DONTNEED). Where it refuses, nothing happens.
    ///
    /// - Parameters:
    ///   - start: of a page of private memory.
    ///   - byteCount: whole pages.
    package static func drop(_ start: UnsafeMutableRawPointer, _ byteCount: Int) {
        _ = unsafe madvise(start, byteCount, MADV_DONTNEED)
    }
}
