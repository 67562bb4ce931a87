import Addressing
import DataPlane
import LinuxSystem
import Synchronization
import Telemetry

/// Takes finished text from the log's threads and sends it to a collector in batches. What finds no
/// room while the collector is behind, and what it does not take, is dropped and counted.
final class OTLPExporter: Sendable {
    /// Bytes that wait for the collector.
    static let waitingByteLimit = 4_194_304
    /// Bytes of records in one request.
    static let batchByteLimit = 1_048_576
    /// Times one batch is sent.
    static let attemptMax = 5
    private static let interval = Duration.seconds(1)

    private struct State {
        var blocks: [[UInt8]] = []
        var byteCount = 0
        var exportedCount: UInt64 = 0
        var droppedCount: UInt64 = 0
        var overflowCount: UInt64 = 0
        var failureCount: UInt64 = 0
        /// Batches in hand.
        var sendingCount = 0
        var overdueFlushCount: UInt64 = 0
    }

    private let signal: OTLPSignal
    private let endpoint: OTLPEndpoint
    private let node: String
    private let context: TLSContext?
    private let waitingByteLimit: Int
    private let host: LoopBound<StreamHost>
    private let state = Mutex(State())

    /// Makes an exporter that holds what it is given until `run`.
    ///
    /// - Parameter context: by whom a collector that speaks TLS is verified.
    init(
        _ signal: OTLPSignal,
        to endpoint: OTLPEndpoint,
        node: String,
        host: LoopBound<StreamHost>,
        context: TLSContext? = nil,
        waitingByteLimit: Int = OTLPExporter.waitingByteLimit
    ) {
        self.signal = signal
        self.endpoint = endpoint
        self.node = node
        self.host = host
        self.context = context
        self.waitingByteLimit = waitingByteLimit
    }

    /// Takes whole lines; any thread, never waits.
    func put(_ block: [UInt8]) {
        state.withLock { state in
            guard state.byteCount + block.count <= waitingByteLimit else {
                state.overflowCount += 1
                state.droppedCount += OTLPExporter.recordCount(block)
                return
            }
            state.blocks.append(block)
            state.byteCount += block.count
        }
    }

    /// Records that a collector took, that were dropped, and requests that failed.
    var counts: (exported: UInt64, dropped: UInt64, failures: UInt64) {
        state.withLock { ($0.exportedCount, $0.droppedCount, $0.failureCount) }
    }

    /// How often a block of text found no room.
    var overflowCount: UInt64 { state.withLock(\.overflowCount) }

    /// Sends what comes until the task is cancelled.
    ///
    /// - Parameter failed: hears why a batch was given up.
    func run(failed: @escaping @Sendable (String) -> Void) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: OTLPExporter.interval)
            while let batch = take() { await export(batch, OTLPExporter.attemptMax, failed) }
        }
    }

    /// Sends what waits, each batch once, and waits for what is under way: for the end.
    ///
    /// - Parameter limit: the most that is waited; what is left then is lost.
    func flush(within limit: Duration) async {
        let sender = Task { while let batch = take() { await export(batch, 1) { _ in } } }
        let deadline = ContinuousClock.now + limit
        while isBusy {
            guard ContinuousClock.now < deadline else {
                state.withLock { $0.overdueFlushCount += 1 }
                break
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
        sender.cancel()
    }

    private var isBusy: Bool { state.withLock { !$0.blocks.isEmpty || $0.sendingCount > 0 } }

    /// Ends at which a collector had not taken everything in time.
    var overdueFlushCount: UInt64 { state.withLock(\.overdueFlushCount) }

    /// Shows the counts in a registry.
    func publish(in registry: MetricRegistry) {
        let name = "martlet_otlp_\(signal.rawValue)"
        let values: [(String, String, @Sendable (OTLPExporter) -> UInt64)] = [
            ("exported_total", "Records that the collector took.", { $0.counts.exported }),
            ("dropped_total", "Records that were dropped.", { $0.counts.dropped }),
            ("failures_total", "Requests that the collector did not take.", { $0.counts.failures }),
        ]
        for (suffix, help, read) in values {
            registry.samples(CounterDefinition("\(name)_\(suffix)", help: help)) {
                [MetricSample([], Double(read(self)))]
            }
        }
    }

    // MARK: Batches

    private func take() -> [UInt8]? {
        state.withLock { state in
            guard !state.blocks.isEmpty else { return nil }
            var batch: [UInt8] = []
            var count = 0
            for block in state.blocks {
                guard batch.isEmpty || batch.count + block.count <= OTLPExporter.batchByteLimit
                else { break }
                batch += block
                count += 1
            }
            state.blocks.removeFirst(count)
            state.sendingCount += 1
            state.byteCount -= batch.count
            return batch
        }
    }

    private func export(
        _ batch: [UInt8],
        _ attemptMax: Int,
        _ failed: @Sendable (String) -> Void
    ) async {
        defer { state.withLock { $0.sendingCount -= 1 } }
        let records = batch.split(separator: UInt8(ascii: "\n"))
        let body = signal.body(records, node: node, timeNanoseconds: Clock.wallNanoseconds())
        var reason = "no address of \(endpoint.host)"
        for attempt in 1...attemptMax {
            let status = await post(body)
            if let status, (200..<300).contains(status) {
                state.withLock { $0.exportedCount += UInt64(records.count) }
                return
            }
            state.withLock { $0.failureCount += 1 }
            reason = status.map { "status \($0)" } ?? "no answer"
            let mayRepeat = status.map { [429, 502, 503, 504].contains($0) } ?? true
            guard mayRepeat, attempt < attemptMax, !Task.isCancelled else { break }
            try? await Task.sleep(for: OTLPExporter.interval * (1 << (attempt - 1)))
        }
        state.withLock { $0.droppedCount += UInt64(records.count) }
        failed("\(signal.rawValue) to \(endpoint.authority): \(reason)")
    }

    private func post(_ body: [UInt8]) async -> UInt16? {
        guard let address = await resolve() else { return nil }
        let head =
            "POST \(endpoint.basePath)\(signal.path) HTTP/1.1\r\nHost: \(endpoint.authority)\r\n"
            + "User-Agent: martlet\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\nConnection: close\r\n\r\n"
        let request = Array(head.utf8) + body
        return await withCheckedContinuation { continuation in
            let isTaken = host.submit { [self] host in
                let tls = session()
                guard !endpoint.isTLS || tls != nil else {
                    continuation.resume(returning: nil)
                    return
                }
                OTLPPost.send(request, to: address, on: host, tls: tls) {
                    continuation.resume(returning: $0)
                }
            }
            if !isTaken { continuation.resume(returning: nil) }
        }
    }

    /// A session for a collector that speaks TLS, which must have a certificate for its host.
    private func session() -> TLSClient? {
        guard endpoint.isTLS, let context else { return nil }
        let isAddress = IPAddress(endpoint.host) != nil
        return TLSClient(context, serverName: endpoint.host, isAddress: isAddress)
    }

    private func resolve() async -> SocketAddress? {
        if let ip = IPAddress(endpoint.host) { return SocketAddress(ip, endpoint.port) }
        let name = endpoint.host
        let found = await BlockingThread.run(name: "martlet-names") {
            try? NameLookup.addresses(of: name)
        }
        return found.flatMap(\.self)?.first.map { SocketAddress($0, endpoint.port) }
    }

    private static func recordCount(_ block: [UInt8]) -> UInt64 {
        UInt64(block.count { $0 == UInt8(ascii: "\n") })
    }
}
