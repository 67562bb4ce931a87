import DataPlane
import L4Proxy
import MeshModel
import Synchronization
import Telemetry
import TrafficPolicy

/// What the workers counted, summed, as of the last `refresh`. Workers' counts are plain numbers of
/// their own threads: they are asked for, never read across.
final class EngineTotals: Sendable {
    fileprivate struct Totals {
        var counters = [UInt64](repeating: 0, count: EngineCounter.allCases.count)
        var relay = RelayCounters()
        var relayPairCount = 0
        var connectionCount = 0
        var rows: [TrafficTables.Kind: [(name: String, row: TrafficRow)]] = [:]
        var endpoints: [EndpointCounts] = []
        var connects: [(name: String, times: TimeRow)] = []
        var blockOverflowCount: UInt64 = 0
        var verdicts = VerdictRules.LimitCounts()
        var refusals = SlotRefusals()
        var refusedSocketCount: UInt64 = 0
        var refusedLetterCount: UInt64 = 0
        var droppedLogBlockCount: UInt64 = 0
        var grpc = [UInt64](repeating: 0, count: GRPCStatus.allCases.count + 1)
        var cutLogTextCount: UInt64 = 0
        var uses: [PluginUse: FilterCounts] = [:]
        var plugins: [String: FilterCounts] = [:]

        mutating func add(_ uses: [PluginUse: FilterCounts], _ plugins: [String: FilterCounts]) {
            for (use, counts) in uses { self.uses[use, default: FilterCounts()].add(counts) }
            for (name, counts) in plugins {
                self.plugins[name, default: FilterCounts()].add(counts)
            }
        }
    }

    private let totals = Mutex(Totals())

    /// Makes totals of zero.
    init() {}

    /// Asks every worker.
    func refresh(_ parts: WorkerParts, _ assembler: EngineAssembler) async {
        var next = Totals()
        let names = await assembler.slotNames
        next.refusals = await assembler.refusals
        next.droppedLogBlockCount =
            parts.pool.droppedLogBlockCount &+ parts.pool.droppedSpanBlockCount
        var wanted: [TrafficTables.Kind: [Int32]] = [:]
        for kind in TrafficTables.Kind.allCases {
            let rows = names.rows(kind)
            wanted[kind] = rows.map(\.slot)
            next.rows[kind] = rows.map { ($0.name, TrafficRow()) }
        }
        let slots = wanted
        let endpoints = next.begin(names, rowMax: parts.pool.limits.trafficRowMax)
        let clusters = wanted[.cluster] ?? []
        let answers = await parts.pool.perform { worker in
            let rows = slots.reduce(into: [:]) { rows, kind in
                rows[kind.key] = worker.proxy.traffic.rows(kind.key, kind.value)
            }
            let limits = (
                sockets: worker.acceptor.refusedListenerCount,
                letters: worker.loop.refusedSubmissionCount, cuts: worker.proxy.logCutCount
            )
            let store = worker.proxy.filterStore
            let plugins = (store.countsByUse, store.countsByPlugin)
            let counts = (
                worker.proxy.counters.values, worker.proxy.traffic.grpcCounts,
                worker.proxy.endpointRows(endpoints),
                worker.proxy.endpointTraffic.connectRows(clusters)
            )
            return (counts, worker.proxy.activeCount, rows, plugins, limits)
        }
        for case .some((let counts, let active, let rows, let plugins, let limits)) in answers {
            let counters = counts.0
            for index in counts.1.indices { next.grpc[index] &+= counts.1[index] }
            next.add(counts.2, counts.3)
            next.add(plugins.0, plugins.1)
            next.refusedSocketCount &+= limits.sockets
            next.refusedLetterCount &+= limits.letters
            next.cutLogTextCount &+= limits.cuts
            for index in counters.indices { next.counters[index] &+= counters[index] }
            next.connectionCount += active
            for (kind, values) in rows {
                for index in values.indices { next.rows[kind]?[index].row.add(values[index]) }
            }
        }
        for relay in parts.relays {
            guard let answer = await relay.perform({ ($0.counters, $0.pairCount) }) else {
                continue
            }
            next.relay.add(answer.0)
            next.relayPairCount += answer.1
        }
        for desk in parts.desks {
            guard let answer = await desk.perform({ ($0.overflowCount, $0.limitCounts) }) else {
                continue
            }
            next.blockOverflowCount &+= answer.0
            next.verdicts.add(answer.1)
        }
        let result = next
        totals.withLock { $0 = result }
    }

    /// One of the engine's counters.
    func value(_ counter: EngineCounter) -> UInt64 {
        totals.withLock { $0.counters[counter.rawValue] }
    }

    /// Counts of endpoints.
    var endpoints: [EndpointCounts] { totals.withLock(\.endpoints) }

    /// Times to connect, by cluster.
    var connects: [(name: String, times: TimeRow)] { totals.withLock(\.connects) }

    /// The relays' counters.
    var relay: RelayCounters { totals.withLock(\.relay) }

    /// Blocks that found no room in a worker's table.
    var blockOverflowCount: UInt64 { totals.withLock(\.blockOverflowCount) }

    /// What plugins counted, by policy.
    var pluginUses: [PluginUse: FilterCounts] { totals.withLock(\.uses) }

    /// What plugins counted, over all policies.
    var plugins: [String: FilterCounts] { totals.withLock(\.plugins) }

    /// How often the bounds of the safety rules decided.
    var verdicts: VerdictRules.LimitCounts { totals.withLock(\.verdicts) }

    /// What found no number at the assembler.
    var refusals: SlotRefusals { totals.withLock(\.refusals) }

    /// Listening sockets that workers refused.
    var refusedSocketCount: UInt64 { totals.withLock(\.refusedSocketCount) }

    /// Submissions that found a worker's mailbox full.
    var refusedLetterCount: UInt64 { totals.withLock(\.refusedLetterCount) }

    /// Blocks of log text that were dropped.
    var droppedLogBlockCount: UInt64 { totals.withLock(\.droppedLogBlockCount) }

    /// Texts of the access log that were cut.
    var cutLogTextCount: UInt64 { totals.withLock(\.cutLogTextCount) }

    // MARK: Metrics

    /// Shows everything in a registry.
    func publish(in registry: MetricRegistry) {
        for counter in EngineCounter.allCases {
            guard let name = counter.metricName else { continue }
            let definition = CounterDefinition(name, help: EngineTotals.help(counter))
            registry.samples(definition) { [MetricSample([], Double(self.value(counter)))] }
        }
        publishGauges(in: registry)
        publishRelay(in: registry)
        PluginMetrics.publish(self, in: registry)
        publishGRPC(in: registry)
        EndpointMetrics.publish(self, in: registry)
        publishTraffic(.listener, "listener", in: registry)
        publishTraffic(.route, "route", in: registry)
        publishTraffic(.cluster, "cluster", in: registry)
    }

    private static func help(_ counter: EngineCounter) -> String {
        "What the HTTP engine counted as \(counter), over all workers."
    }

    private func publishGRPC(in registry: MetricRegistry) {
        let responses = CounterDefinition(
            "martlet_grpc_responses_total",
            help: "Responses of gRPC by status."
        )
        registry.samples(responses) {
            self.totals.withLock(\.grpc).enumerated().map { code, count in
                MetricSample([MetricLabel("status", GRPCStatus.label(code))], Double(count))
            }
        }
    }

    private func publishGauges(in registry: MetricRegistry) {
        let connections = CounterDefinition(
            "martlet_downstream_connections",
            help: "Open connections of clients.",
            kind: .gauge
        )
        registry.samples(connections) {
            [MetricSample([], Double(self.totals.withLock(\.connectionCount)))]
        }
        let pairs = CounterDefinition(
            "martlet_relay_connections",
            help: "Open relayed TCP connections.",
            kind: .gauge
        )
        registry.samples(pairs) {
            [MetricSample([], Double(self.totals.withLock(\.relayPairCount)))]
        }
    }

    private func publishRelay(in registry: MetricRegistry) {
        let values: [(String, String, @Sendable (RelayCounters) -> UInt64)] = [
            ("martlet_relay_connections_total", "Relayed TCP connections.", { $0.connections }),
            ("martlet_relay_upstream_bytes_total", "Bytes relayed to endpoints.", { $0.bytesUp }),
            (
                "martlet_relay_downstream_bytes_total", "Bytes relayed to clients.",
                { $0.bytesDown }
            ),
            (
                "martlet_relay_connect_failures_total",
                "Relayed connections whose endpoints could not be reached.",
                { $0.connectFailures }
            ),
        ]
        for (name, help, read) in values {
            registry.samples(CounterDefinition(name, help: help)) {
                [MetricSample([], Double(read(self.relay)))]
            }
        }
    }

    private func publishTraffic(
        _ kind: TrafficTables.Kind,
        _ label: String,
        in registry: MetricRegistry
    ) {
        let rows: @Sendable () -> [(name: String, row: TrafficRow)] = {
            self.totals.withLock { $0.rows[kind] ?? [] }
        }
        let requests = CounterDefinition(
            "martlet_\(label)_requests_total",
            help: "Requests by \(label) and class of status."
        )
        registry.samples(requests) { rows().flatMap { EngineTotals.requests(label, $0) } }
        let received = CounterDefinition(
            "martlet_\(label)_request_body_bytes_total",
            help: "Bytes of request bodies by \(label)."
        )
        registry.samples(received) {
            rows().map { MetricSample([MetricLabel(label, $0.name)], Double($0.row.bytesReceived)) }
        }
        let sent = CounterDefinition(
            "martlet_\(label)_response_body_bytes_total",
            help: "Bytes of response bodies by \(label)."
        )
        registry.samples(sent) {
            rows().map { MetricSample([MetricLabel(label, $0.name)], Double($0.row.bytesSent)) }
        }
        let durations = CounterDefinition(
            "martlet_\(label)_request_duration_seconds",
            help: "Time from a request's head to the end of its response, by \(label)."
        )
        registry.histograms(durations) { rows().map { EngineTotals.durations(label, $0) } }
    }

    private static func requests(
        _ label: String,
        _ row: (name: String, row: TrafficRow)
    ) -> [MetricSample] {
        row.row.requests.indices.map { index in
            let code = index == 0 ? "aborted" : "\(index)xx"
            let labels = [MetricLabel(label, row.name), MetricLabel("code", code)]
            return MetricSample(labels, Double(row.row.requests[index]))
        }
    }

    private static func durations(
        _ label: String,
        _ row: (name: String, row: TrafficRow)
    ) -> HistogramSample {
        var count: UInt64 = 0
        var buckets: [(bound: Double, count: UInt64)] = []
        for (index, bound) in TrafficRow.durationBounds.enumerated() {
            count &+= row.row.durations[index]
            buckets.append((Double(bound) / 1e9, count))
        }
        count &+= row.row.durations[TrafficRow.durationBounds.count]
        return HistogramSample(
            [MetricLabel(label, row.name)],
            buckets: buckets,
            sum: Double(row.row.durationSum) / 1e9,
            count: count
        )
    }
}

extension EngineTotals.Totals {
    /// Names the endpoints that have rows of their own, and the clusters.
    ///
    /// - Returns: the endpoints.
    fileprivate mutating func begin(_ names: EngineNames, rowMax: Int) -> [EngineEndpoint] {
        let shown = names.endpoints.filter { $0.endpoint.slot < rowMax - 1 }
        endpoints = shown.map {
            EndpointCounts(
                cluster: $0.cluster.description,
                address: $0.endpoint.address.description
            )
        }
        connects = names.rows(.cluster).map { ($0.name, TimeRow()) }
        return shown.map(\.endpoint)
    }

    /// Adds one worker's counts of them.
    fileprivate mutating func add(_ rows: [EndpointRow], _ times: [TimeRow]) {
        for index in rows.indices { endpoints[index].row.add(rows[index]) }
        for index in times.indices { connects[index].times.add(times[index]) }
    }
}
