import Addressing
import LinuxSystem

/// The workers of this process, seen from the control side.
package final class WorkerPool: Sendable {
    /// The workers, each bound to its loop.
    package let workers: [LoopBound<Worker>]
    /// The bounds of each.
    package let limits: EngineLimits
    private let log: LogWriter?
    private let spans: LogWriter?

    /// Makes workers; they do nothing until `start`.
    ///
    /// - Parameters:
    ///   - accessLog: `-`, a path, or `nil` for no log in a file.
    ///   - telemetry: how lines are written, where else they go, and what is traced.
    ///   - prepare: called for each worker before it runs, to add what other modules bring.
    package init(
        count: Int,
        limits: EngineLimits = EngineLimits(),
        accessLog: String?,
        telemetry: EngineTelemetry = EngineTelemetry(),
        seed: UInt64,
        prepare: (Worker) -> Void = { _ in }
    ) throws(Errno) {
        self.limits = limits
        if accessLog != nil || telemetry.lines != nil {
            log = try LogWriter(path: accessLog, workerCount: count, copy: telemetry.lines)
        } else {
            log = nil
        }
        spans = try telemetry.spans.map { (sink) throws(Errno) in
            try LogWriter(path: nil, workerCount: count, copy: sink)
        }
        var made: [LoopBound<Worker>] = []
        for number in 0..<count {
            let worker = try Worker(
                number: number,
                limits: limits,
                seed: seed &+ UInt64(number) &* 0x9e37_79b9,
                log: log?.rings[number],
                logFormat: telemetry.logFormat,
                tracing: spans.map {
                    TraceConfiguration(
                        ring: $0.rings[number],
                        samplesPerMillion: telemetry.samplesPerMillion
                    )
                }
            )
            prepare(worker)
            made.append(LoopBound(worker, to: worker.loop))
        }
        workers = made
    }

    /// Blocks of log text that were dropped because the writer was behind.
    package var droppedLogBlockCount: UInt64 {
        log?.rings.reduce(0) { $0 &+ $1.droppedBlockCount } ?? 0
    }

    /// Blocks of spans that were dropped because the exporter was behind.
    package var droppedSpanBlockCount: UInt64 {
        spans?.rings.reduce(0) { $0 &+ $1.droppedBlockCount } ?? 0
    }

    /// Starts the workers' threads.
    package func start() throws(Errno) {
        for (number, worker) in workers.enumerated() {
            let loop = worker.ownedByThisThread.loop
            try LoopThread.start(LoopBound(loop, to: loop), name: "martlet-w\(number)")
        }
    }

    /// Has every worker run `body` and waits for all.
    ///
    /// - Returns: results by worker; `nil` for a worker whose mailbox is full.
    package func perform<Result: Sendable>(
        _ body: @escaping @Sendable (Worker) -> Result
    ) async -> [Result?] {
        var results: [Result?] = []
        for worker in workers { results.append(await worker.perform(body)) }
        return results
    }

    /// Opens one listening socket a worker (`SO_REUSEPORT`) and starts accepting.
    ///
    /// - Returns: what `close` takes.
    package func listen(
        on address: SocketAddress,
        port: Int32,
        _ binding: PortBinding
    ) async throws(Errno) -> ListeningPort {
        var configuration = SocketConfiguration()
        configuration.reusesPort = true
        var descriptors: [Int32] = []
        for _ in workers {
            do {
                descriptors.append(
                    try Socket.listen(on: address, configuration).release()
                )
            } catch {
                for descriptor in descriptors { _ = OwnedFD(owning: descriptor) }
                throw error
            }
        }
        return await add(descriptors, port: port, binding, isShared: false)
    }

    /// Shares one open listening socket among all workers: for sockets inside a pod.
    ///
    /// - Parameter duplicates: one descriptor a worker, each of the same socket.
    package func share(
        _ duplicates: [Int32],
        port: Int32,
        _ binding: PortBinding
    ) async -> ListeningPort {
        await add(duplicates, port: port, binding, isShared: true)
    }

    private func add(
        _ descriptors: [Int32],
        port: Int32,
        _ binding: PortBinding,
        isShared: Bool
    ) async -> ListeningPort {
        var handles: [Acceptor.ListeningHandle?] = []
        for (worker, descriptor) in zip(workers, descriptors) {
            let handle = await worker.perform { worker -> Acceptor.ListeningHandle? in
                worker.bind(port: port, binding)
                return try? worker.acceptor.add(
                    OwnedFD(owning: descriptor),
                    port: port,
                    isShared: isShared,
                    sink: worker
                )
            }
            handles.append(handle ?? nil)
        }
        return ListeningPort(port: port, handles: handles)
    }

    /// Changes what the connections of a port become, from the next one on.
    package func rebind(_ listening: ListeningPort, _ binding: PortBinding) async {
        _ = await perform { $0.bind(port: listening.port, binding) }
    }

    /// Stops accepting; connections stay.
    package func close(_ listening: ListeningPort) async {
        for (worker, handle) in zip(workers, listening.handles) {
            guard let handle else { continue }
            _ = await worker.perform { worker in
                worker.acceptor.remove(handle)
                worker.bind(port: listening.port, nil)
            }
        }
    }

    /// Lets exchanges in hand end: no new requests on old connections.
    package func drain() async { _ = await perform { $0.proxy.drain() } }

    /// Downstream connections that are left on all workers.
    package func activeCount() async -> Int {
        await perform { $0.proxy.activeCount }.reduce(0) { $0 + ($1 ?? 0) }
    }

    /// Cuts what is left, and has it logged.
    package func end() async { _ = await perform { $0.proxy.end() } }

    /// Ends the workers' threads and the log.
    package func stop() {
        for worker in workers { worker.stop() }
        log?.stop()
        spans?.stop()
    }
}

/// What workers tell of exchanges, besides the file of the access log.
package struct EngineTelemetry: Sendable {
    /// How a line of the access log is written; `nil` for JSON.
    package var logFormat: LogFormat?
    /// Takes the access log's lines; `nil` where they go to the file alone.
    package var lines: LogWriter.Copy?
    /// Takes finished spans; `nil` where requests are not traced.
    package var spans: LogWriter.Copy?
    /// Of traces that begin here, how many in a million are kept.
    package var samplesPerMillion: UInt32 = 0

    /// Lines of JSON, no traces.
    package init() {}
}

/// A listening socket as the control side knows it.
package struct ListeningPort: Sendable {
    /// The number under which workers know it.
    package let port: Int32
    let handles: [Acceptor.ListeningHandle?]

    /// Whether every worker accepts on it.
    package var isComplete: Bool { handles.allSatisfy { $0 != nil } }
}
