import LinuxSystem
import Synchronization

/// Carries finished log text from one worker to the thread that writes it, in blocks, without
/// locks and without ever making the worker wait: when the writer falls behind, text is dropped and
/// counted.
@safe package final class LogRing: @unchecked Sendable {
    // SAFETY: a block belongs to the worker until `tail` passes it and to the writer until `head`
    // passes it; both are published with release and read with acquire.

    /// Bytes of one block: the longest text handed over at once.
    package static let blockByteCount = 65_536
    /// Blocks of a ring.
    package static let blockCount = 32

    private let blocks: [ScratchBuffer]
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)
    private let wakeup: LogWakeup
    /// Bytes dropped because the writer was behind.
    private let dropped = Atomic<UInt64>(0)
    private let droppedBlocks = Atomic<UInt64>(0)

    /// Makes a ring whose writer is woken through `wakeup`.
    init(wakeup: LogWakeup) {
        self.wakeup = wakeup
        blocks = (0..<LogRing.blockCount).map { _ in
            ScratchBuffer(capacity: LogRing.blockByteCount)
        }
    }

    /// Bytes dropped so far.
    package var droppedByteCount: UInt64 { dropped.load(ordering: .relaxed) }

    /// Blocks dropped so far.
    package var droppedBlockCount: UInt64 { droppedBlocks.load(ordering: .relaxed) }

    /// Hands text over and leaves `text` empty; for the worker. When the writer is behind, the text
    /// is dropped.
    ///
    /// - Parameter text: of `blockByteCount` capacity.
    package func put(_ text: ScratchBuffer) {
        defer { text.reset() }
        let position = tail.load(ordering: .relaxed)
        guard position - head.load(ordering: .acquiring) < LogRing.blockCount else {
            dropped.wrappingAdd(UInt64(text.count), ordering: .relaxed)
            droppedBlocks.wrappingAdd(1, ordering: .relaxed)
            return
        }
        blocks[position % LogRing.blockCount].exchangeContents(with: text)
        tail.store(position + 1, ordering: .releasing)
        wakeup.wakeup.signal()
    }

    /// Writes what has been handed over to `fd`, and gives it to `copy`; for the writer's thread.
    fileprivate func drain(to fd: Int32, _ copy: LogWriter.Copy?) {
        var position = head.load(ordering: .relaxed)
        while position < tail.load(ordering: .acquiring) {
            let block = blocks[position % LogRing.blockCount]
            copy?(block.array(0, block.count))
            var sent = fd < 0 ? block.count : 0
            while sent < block.count {
                let count = unsafe SystemCall.write(fd, block.memory + sent, block.count - sent)
                if count == -Int(Errno.interrupted.rawValue) { continue }
                guard count > 0 else { break }
                sent += count
            }
            position += 1
            head.store(position, ordering: .releasing)
        }
    }
}

/// What wakes the writer, shared by all rings.
final class LogWakeup: Sendable {
    let wakeup: Wakeup

    init() throws(Errno) { wakeup = try Wakeup(blocks: true) }
}

/// The thread that takes the access log, or the spans, of all workers to where they go.
package final class LogWriter: Sendable {
    /// Takes text besides the file, on the writer's thread; must not wait.
    package typealias Copy = @Sendable ([UInt8]) -> Void

    private let file: Int32
    private let copy: Copy?
    private let wakeup: LogWakeup
    private let isStopped = Atomic<Bool>(false)
    private let isDone = Atomic<Bool>(false)
    /// One ring a worker.
    package let rings: [LogRing]

    /// Opens the log and starts its thread.
    ///
    /// - Parameters:
    ///   - path: a file to append to, `-` for standard output, or `nil` for neither.
    ///   - copy: takes the text besides.
    package init(path: String?, workerCount: Int, copy: Copy? = nil) throws(Errno) {
        switch path {
        case nil: file = -1
        case "-": file = 1
        case .some(let path): file = try OwnedFD(appendingTo: path).release()
        }
        self.copy = copy
        let wakeup = try LogWakeup()
        self.wakeup = wakeup
        rings = (0..<workerCount).map { _ in LogRing(wakeup: wakeup) }
        try RawThread.start(name: "martlet-log") { [self] in run() }
    }

    /// Writes what is left and ends the thread. Waits for it, at most two seconds.
    package func stop() {
        isStopped.store(true, ordering: .releasing)
        wakeup.wakeup.signal()
        for _ in 0..<200 where !isDone.load(ordering: .acquiring) {
            RawThread.sleep(milliseconds: 10)
        }
    }

    private func run() {
        while true {
            let isLast = isStopped.load(ordering: .acquiring)
            for ring in rings { ring.drain(to: file, copy) }
            if isLast { break }
            wakeup.wakeup.wait()
        }
        isDone.store(true, ordering: .releasing)
    }
}
