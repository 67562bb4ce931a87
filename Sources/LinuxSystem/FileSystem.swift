import CLinux
import Glibc

/// Files and directories, by path. Calls block: for the control side and for commands.
package enum FileSystem {
    /// The default bound of `read`: 16 MiB.
    package static let readByteLimit = 16_777_216

    /// Reads a whole file.
    ///
    /// - Throws: EFBIG when it is longer than `byteLimit`.
    package static func read(
        _ path: String,
        byteLimit: Int = readByteLimit
    ) throws(Errno) -> [UInt8] {
        let file = try OwnedFD(opening: path, flags: O_RDONLY)
        var bytes: [UInt8] = []
        while true {
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let result = unsafe clinux_read(file.rawValue, &chunk, chunk.count)
            if result == -Int(EINTR) { continue }
            let count = try Errno.check(result)
            guard count > 0 else { return bytes }
            guard bytes.count + count <= byteLimit else { throw .tooLarge }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// Reads a whole file as UTF-8 text; invalid bytes are replaced.
    package static func readText(
        _ path: String,
        byteLimit: Int = readByteLimit
    ) throws(Errno) -> String {
        String(decoding: try read(path, byteLimit: byteLimit), as: UTF8.self)
    }

    /// Replaces a file in one step: a file beside it is written, flushed to disk and renamed.
    package static func replace(
        _ path: String,
        with bytes: [UInt8],
        mode: UInt32 = 0o600
    ) throws(Errno) {
        let temporary = "\(path).\(getpid()).new"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
        let file = try OwnedFD(opening: temporary, flags: flags, mode: mode)
        do throws(Errno) {
            try writeAll(bytes, to: file.rawValue)
            guard fsync(file.rawValue) == 0 else { throw Errno.current() }
            guard unsafe rename(temporary, path) == 0 else { throw Errno.current() }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    /// Makes a directory and those above it; one that exists is left as it is.
    package static func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws(Errno) {
        var current = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            current += "/\(part)"
            guard unsafe mkdir(current, mode) != 0, errno != EEXIST else { continue }
            throw .current()
        }
    }

    /// Removes a file, socket or symbolic link.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    package static func remove(_ path: String) throws(Errno) -> Bool {
        guard unsafe unlink(path) != 0 else { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw .current() }
        return false
    }

    /// Removes an empty directory.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    package static func removeDirectory(_ path: String) throws(Errno) -> Bool {
        guard unsafe rmdir(path) != 0 else { return true }
        guard errno == ENOENT else { throw .current() }
        return false
    }

    /// The names in a directory, sorted, without `.` and `..`.
    package static func names(in path: String) throws(Errno) -> [String] {
        guard let directory = unsafe opendir(path) else { throw .current() }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe String(cString: $0)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// What a path names; `nil` when there is nothing. Symbolic links are followed.
    package static func kind(of path: String) -> Kind? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        case S_IFSOCK: return .socket
        default: return .other
        }
    }

    /// The kinds of things that a path names.
    package enum Kind: Sendable {
        case file
        case directory
        case socket
        case other
    }

    /// Writes all bytes to a descriptor, waiting as it must.
    package static func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let result = unsafe rest.withUnsafeBytes { source in
                guard let base = source.baseAddress else { return 0 }
                return unsafe clinux_write(descriptor, base, source.count)
            }
            if result == -Int(EINTR) { continue }
            if result == -Int(EAGAIN) {
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&ready, 1, -1)
                continue
            }
            rest = rest.dropFirst(try Errno.check(result))
        }
    }
}
