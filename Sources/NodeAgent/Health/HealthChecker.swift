import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import Telemetry
import TrafficPolicy

/// Probes the endpoints of clusters whose policies ask for it and tells the workers what it finds.
/// From the node itself, over a connection of its own, whatever namespace the callers are in.
actor HealthChecker {
    /// The longest sleep; a change wakes earlier.
    private static let idleNanoseconds: UInt64 = 1_000_000_000
    /// Between two looks at what is due, so that a look at thousands of endpoints stays rare.
    private static let pause = Duration.milliseconds(10)

    /// What a TLS context is made of.
    private struct TLSKey: Hashable {
        var settings: BackendTLSSettings
        var certificate: Certificate?
        /// What is offered by ALPN.
        var protocols: [String]
    }

    private struct Check {
        var settings: HealthCheckSettings
        var tls: (context: TLSContext, settings: BackendTLSSettings)?
        var proxyVersion: UInt8 = 0
        var machine = HealthMachine()
        var dueNanoseconds: UInt64
        var isUnderWay = false
        var isDelayed = false
    }

    /// What is known, for status and metrics.
    nonisolated let board = HealthBoard()
    private let probes: LoopBound<HealthProbes>
    private let assembler: EngineAssembler
    private let probeMax: Int
    /// Checks that were due while as many as may were in hand.
    nonisolated let delayed = SharedCounter()
    private var checks: [HealthBoard.Key: Check] = [:]
    private var contexts: [TLSKey: TLSContext] = [:]
    private var underWayCount = 0
    private var sleeper: Task<Void, Never>?
    private var wakeNanoseconds: UInt64 = 0

    /// Makes a checker that does nothing until `run`.
    init(
        probes: LoopBound<HealthProbes>,
        assembler: EngineAssembler,
        probeMax: Int = HealthProbes.probeMax
    ) {
        self.probeMax = probeMax
        self.probes = probes
        self.assembler = assembler
    }

    /// Takes the clusters of a snapshot that is in force. An endpoint that stays keeps its state.
    func update(_ snapshot: MeshSnapshot) async {
        let now = Clock.monotonicNanoseconds()
        var next: [HealthBoard.Key: Check] = [:]
        let earlier = contexts
        contexts = [:]
        for (id, cluster) in snapshot.clusters {
            guard let settings = cluster.settings.healthCheck else { continue }
            let tls = cluster.settings.tls.flatMap {
                context(for: $0, settings.probe, snapshot, earlier)
            }
            if cluster.settings.tls != nil && tls == nil { continue }
            for endpoint in cluster.usableEndpoints {
                let key = HealthBoard.Key(cluster: id, address: endpoint.address)
                // The first probes are spread over a second, or an interval that is shorter.
                let spread = min(settings.interval.wholeNanoseconds, 1_000_000_000)
                let due = now + UInt64.random(in: 0...spread)
                var check = checks[key] ?? Check(settings: settings, dueNanoseconds: due)
                check.settings = settings
                check.tls = tls
                // A port of its own for checks is no port for clients.
                check.proxyVersion =
                    settings.port == 0 ? cluster.settings.proxyProtocolVersion : 0
                next[key] = check
            }
        }
        let gone = checks.filter { next[$0.key] == nil && !$0.value.machine.isHealthy }
        checks = next
        board.keep(Set(next.keys))
        // Nobody looks after these any more.
        for key in gone.keys {
            await assembler.setHealth(key.cluster, key.address, isHealthy: true)
        }
        sleeper?.cancel()
    }

    /// Probes until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            await sleep(until: beginDue())
            // What falls due while many end is begun together.
            try? await Task.sleep(for: HealthChecker.pause)
        }
    }

    /// Begins what is due, the longest overdue first.
    ///
    /// - Returns: when there is something to do again.
    private func beginDue() -> UInt64 {
        let now = Clock.monotonicNanoseconds()
        var next = now + HealthChecker.idleNanoseconds
        var due: [(key: HealthBoard.Key, atNanoseconds: UInt64)] = []
        for (key, check) in checks where !check.isUnderWay {
            if check.dueNanoseconds <= now {
                due.append((key, check.dueNanoseconds))
            } else {
                next = min(next, check.dueNanoseconds)
            }
        }
        due.sort { $0.atNanoseconds < $1.atNanoseconds }
        let free = probeMax - underWayCount
        for (key, _) in due.dropFirst(free) where checks[key]?.isDelayed == false {
            checks[key]?.isDelayed = true
            delayed.add()
        }
        for (key, _) in due.prefix(free) {
            if let check = checks[key] { begin(key, check) }
        }
        return next
    }

    private func sleep(until nanoseconds: UInt64) async {
        let wait = nanoseconds - min(nanoseconds, Clock.monotonicNanoseconds())
        let sleeper = Task { _ = try? await Task.sleep(for: .nanoseconds(Int64(wait))) }
        self.sleeper = sleeper
        wakeNanoseconds = nanoseconds
        await withTaskCancellationHandler {
            await sleeper.value
        } onCancel: {
            sleeper.cancel()
        }
    }

    private func begin(_ key: HealthBoard.Key, _ check: Check) {
        let settings = check.settings
        let port = settings.port == 0 ? key.address.port : settings.port
        let address = SocketAddress(key.address.ip, port)
        let request = ProbeRequest(
            address: address,
            exchange: ProbeExchange(settings.probe, address: address, isTLS: check.tls != nil),
            timeoutNanoseconds: settings.timeout.wholeNanoseconds,
            proxyVersion: check.proxyVersion,
            tls: check.tls
        )
        checks[key]?.isUnderWay = true
        checks[key]?.isDelayed = false
        underWayCount += 1
        Task { await self.ended(key, succeeded: await self.probe(request)) }
    }

    /// - Returns: `nil` where the control loop could not take it.
    private func probe(_ request: ProbeRequest) async -> Bool? {
        let (results, continuation) = AsyncStream<Bool>.makeStream()
        let isTaken = probes.submit { probes in
            probes.begin(request) { succeeded in
                continuation.yield(succeeded)
                continuation.finish()
            }
        }
        guard isTaken else { return nil }
        for await succeeded in results { return succeeded }
        return nil
    }

    private func ended(_ key: HealthBoard.Key, succeeded: Bool?) async {
        if underWayCount == HealthProbes.probeMax { sleeper?.cancel() }
        underWayCount -= 1
        guard var check = checks[key] else { return }
        let interval = check.settings.interval.wholeNanoseconds
        check.dueNanoseconds =
            Clock.monotonicNanoseconds()
            + HealthMachine.wait(intervalNanoseconds: interval, random: .random(in: 0...UInt64.max))
        check.isUnderWay = false
        var hasChanged = false
        if let succeeded {
            hasChanged = check.machine.probed(
                succeeded: succeeded,
                healthyCount: check.settings.healthyCount,
                unhealthyCount: check.settings.unhealthyCount
            )
            board.note(key, succeeded: succeeded, isHealthy: check.machine.isHealthy)
        }
        checks[key] = check
        let isHealthy = check.machine.isHealthy
        // Told again while it is unhealthy: a part of the engine may have learned of it since.
        if hasChanged || !isHealthy {
            await assembler.setHealth(key.cluster, key.address, isHealthy: isHealthy)
        }
        if check.dueNanoseconds < wakeNanoseconds { sleeper?.cancel() }
    }

    /// TLS as requests to the cluster use it.
    private func context(
        for settings: BackendTLSSettings,
        _ probe: HealthCheckSettings.Probe,
        _ snapshot: MeshSnapshot,
        _ earlier: [TLSKey: TLSContext]
    ) -> (context: TLSContext, settings: BackendTLSSettings)? {
        let own = settings.certificate.flatMap { snapshot.certificates[$0] }
        let protocols =
            switch probe {
            case .http: ["http/1.1"]
            case .grpc: ["h2"]
            case .tcp: ["h2", "http/1.1"]
            }
        let key = TLSKey(settings: settings, certificate: own, protocols: protocols)
        if let known = contexts[key] ?? earlier[key] {
            contexts[key] = known
            return (known, settings)
        }
        let isWhole = settings.certificate == nil || own != nil
        let made = try? TLSContext.endpoint(settings, certificate: own, protocols: protocols)
        guard isWhole, let made else { return nil }
        contexts[key] = made
        return (made, settings)
    }
}
