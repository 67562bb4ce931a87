import CLinux
import Glibc
import Synchronization

/// Tells of changes inside a directory (`inotify(7)`): one thread that waits, and calls back once
/// for each batch of changes. A directory that is deleted, moved away or made anew is a change, and
/// is watched again as soon as it is there. The thread ends with the watch.
package final class DirectoryWatch: Sendable {
    /// How often a directory that is gone is looked for, milliseconds.
    private static let searchMilliseconds: Int32 = 200

    private let watcher: Watcher

    /// Starts watching a directory that is there.
    ///
    /// - Parameter changed: called on the watch's own thread; events that come together are one
    ///   call.
    package init(path: String, changed: @escaping @Sendable () -> Void) throws(Errno) {
        let watcher = try Watcher(path: path, changed: changed)
        self.watcher = watcher
        let first = try watcher.watch()
        try RawThread.start(name: "martlet-inotify") { watcher.run(from: first) }
    }

    deinit { watcher.stop() }

    /// What the thread holds; it outlives the watch by at most one callback.
    private final class Watcher: Sendable {
        private let path: String
        private let changed: @Sendable () -> Void
        private let inotify: OwnedFD
        private let wakeup: Wakeup
        private let epoll: Epoll
        private let isStopped = Atomic<Bool>(false)

        init(path: String, changed: @escaping @Sendable () -> Void) throws(Errno) {
            self.path = path
            self.changed = changed
            let flags = Int32(IN_CLOEXEC | IN_NONBLOCK)
            inotify = OwnedFD(owning: Int32(try Errno.check(Int(inotify_init1(flags)))))
            wakeup = try Wakeup(blocks: false)
            epoll = try Epoll()
            try epoll.add(inotify.rawValue, events: EPOLLIN.rawValue, tag: 0)
            try epoll.add(wakeup.rawValue, events: EPOLLIN.rawValue, tag: 1)
        }

        func stop() {
            isStopped.store(true, ordering: .releasing)
            wakeup.signal()
        }

        /// Watches what is at the path now.
        ///
        /// - Returns: the kernel's number of the watch.
        func watch() throws(Errno) -> Int32 {
            let interest =
                IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB
                | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
            let number = unsafe inotify_add_watch(inotify.rawValue, path, UInt32(interest))
            return Int32(try Errno.check(Int(number)))
        }

        func run(from first: Int32) {
            var number: Int32? = first
            while true {
                let patience = number == nil ? DirectoryWatch.searchMilliseconds : -1
                _ = epoll.wait(milliseconds: patience)
                guard !isStopped.load(ordering: .acquiring) else { return }
                let news = takeEvents(number)
                guard let watched = number else {
                    number = try? watch()
                    if number != nil { changed() }
                    continue
                }
                if news.isLost {
                    _ = inotify_rm_watch(inotify.rawValue, watched)
                    number = try? watch()
                }
                if news.isChanged { changed() }
            }
        }

        /// Takes what waits. Events of earlier watches of the path are passed over.
        private func takeEvents(_ watched: Int32?) -> (isChanged: Bool, isLost: Bool) {
            var isChanged = false
            var isLost = false
            let gone = UInt32(IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)
            unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
                guard let base = buffer.baseAddress else { return }
                while true {
                    let count = unsafe clinux_read(inotify.rawValue, base, buffer.count)
                    if count == -Int(EINTR) { continue }
                    guard count > 0 else { return }
                    var offset = 0
                    while offset + MemoryLayout<inotify_event>.size <= count {
                        let event = unsafe buffer.load(
                            fromByteOffset: offset,
                            as: inotify_event.self
                        )
                        offset += MemoryLayout<inotify_event>.size + Int(event.len)
                        let isOverflow = event.mask & UInt32(IN_Q_OVERFLOW) != 0
                        guard event.wd == watched || isOverflow else { continue }
                        isChanged = true
                        if event.mask & gone != 0 { isLost = true }
                    }
                }
            }
            return (isChanged, isLost)
        }
    }
}
