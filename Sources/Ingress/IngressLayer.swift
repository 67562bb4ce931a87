import Addressing
import DataPlane
import L4Proxy
import MeshModel
import Synchronization
import Telemetry

/// The layer that brings Gateways to life on this node: opens their sockets, has the engine route
/// for them, and says what of it is in force.
package actor IngressLayer: SnapshotConsumer {
    /// Numbers of listening sockets start here; captured ports have theirs below.
    private static let firstPortNumber: Int32 = 1_000_000

    private struct Open {
        var listening: ListeningPort
        var number: Int32
    }

    /// `ingress`.
    nonisolated package let layer = Layer.ingress
    private let pool: WorkerPool
    private let assembler: EngineAssembler
    private let setRelay: @Sendable (Worker, Int32, RelayRoute?) -> Void
    private var open: [ListenerPlan.Port: Open] = [:]
    private var nextNumber = IngressLayer.firstPortNumber
    private var outcome = ListenerConditions()
    private var applied: (plan: ListenerPlan, snapshot: MeshSnapshot, faults: [String])?
    private var isStopped = false
    private var compiler = TLSHostCompiler()
    /// When the certificates in use end: the wall clock's nanoseconds by Secret. Any thread.
    nonisolated package let certificateEnds = Mutex<[ObjectKey: UInt64]>([:])
    private var securedSlots: Set<Int32> = []
    private var scopes: [ListenerID: [SocketAddress]] = [:]

    /// Makes the layer.
    ///
    /// - Parameter setRelay: tells one worker's relay what stands behind a number.
    package init(
        pool: WorkerPool,
        assembler: EngineAssembler,
        setRelay: @escaping @Sendable (Worker, Int32, RelayRoute?) -> Void
    ) {
        self.pool = pool
        self.assembler = assembler
        self.setRelay = setRelay
    }

    /// Puts a snapshot's Gateways in force.
    package func apply(_ snapshot: MeshSnapshot, delta: SnapshotDelta) async -> AppliedReport {
        let plan = ListenerPlan(snapshot)
        let faults = await assembler.update("ingress", plan.contribution)
        await setCertificates(plan, snapshot)
        await close(portsNotIn: Set(plan.ports))
        for port in plan.ports { await apply(port, plan) }
        scopes = plan.listeners.reduce(into: [:]) { scopes, use in
            scopes[use.value, default: []].append(use.key.address)
        }
        applied = (plan, snapshot, faults)
        return report(snapshot, faults)
    }

    /// Tries again to listen where that failed, and looks what time has made stale.
    package func retry() async -> AppliedReport? {
        guard let (plan, snapshot, faults) = applied, !isStopped else { return nil }
        for port in plan.ports where open[port] == nil { await apply(port, plan) }
        return report(snapshot, faults)
    }

    private func report(_ snapshot: MeshSnapshot, _ faults: [String]) -> AppliedReport {
        let sockets = outcome.socketFaults.sorted {
            ($0.key.ip, $0.key.port) < ($1.key.ip, $1.key.port)
        }
        let outcome = self.outcome.adding(compiler.overdue())
        let certificates = outcome.certificateFaults.sorted { $0.key < $1.key }
        let listeners = outcome.listenerFaults.sorted { $0.key < $1.key }
        return AppliedReport(
            version: snapshot.version,
            faults: faults + certificates.map { "\($0.key): \($0.value)" }
                + listeners.map { "\($0.key): \($0.value)" }
                + sockets.map(\.value.sentence),
            conditions: outcome.conditions(of: snapshot.listeners),
            wantsRetry: !sockets.isEmpty && !isStopped,
            looksAgainAfter: isStopped ? nil : compiler.nextEnd()
        )
    }

    /// The addresses and ports each listener is reached by.
    package var listenerScopes: [ListenerID: [SocketAddress]] { scopes }

    /// Takes no new connections: closes every listening socket. Connections and routes stay.
    package func stopListening() async {
        isStopped = true
        await close(portsNotIn: [])
    }

    /// Addresses that listen now.
    package var listeningAddresses: [SocketAddress] {
        open.keys.map(\.address).sorted { ($0.ip, $0.port) < ($1.ip, $1.port) }
    }

    private func close(portsNotIn wanted: Set<ListenerPlan.Port>) async {
        for (port, opened) in open where !wanted.contains(port) {
            await pool.close(opened.listening)
            open[port] = nil
            if port.listenerProtocol == .tcp {
                let setRelay = self.setRelay
                _ = await pool.perform { setRelay($0, opened.number, nil) }
            }
        }
        let addresses = Set(wanted.map(\.address))
        outcome.socketFaults = outcome.socketFaults.filter { addresses.contains($0.key) }
    }

    private func apply(_ port: ListenerPlan.Port, _ plan: ListenerPlan) async {
        let number = open[port]?.number ?? takeNumber()
        guard let binding = await binding(port, number, plan) else { return }
        if let route = plan.relays[port] {
            let setRelay = self.setRelay
            _ = await pool.perform { setRelay($0, number, route) }
        }
        if let opened = open[port] {
            await pool.rebind(opened.listening, binding)
            return
        }
        guard !isStopped else { return }
        do {
            let listening = try await pool.listen(on: port.address, port: number, binding)
            open[port] = Open(listening: listening, number: number)
            outcome.socketFaults[port.address] = nil
        } catch {
            outcome.socketFaults[port.address] = IngressLayer.fault(
                port,
                error.rawValue,
                "\(error)"
            )
        }
    }

    /// What an error of `bind(2)` or `listen(2)` means.
    ///
    /// - Returns: `nil` for a node without IPv6, where nobody asked for an address of it.
    private static func fault(
        _ port: ListenerPlan.Port,
        _ number: Int32,
        _ error: String
    ) -> ListenerConditions.SocketFault? {
        let sentence = "\(port.address): cannot listen: \(error)"
        switch number {
        case addressFamilyUnsupported where port.address.ip == .anyIPv6: return nil
        case addressNotAvailable where port.address.ip == .anyIPv6: return nil
        case addressInUse, accessDenied: return .init(.portUnavailable, sentence)
        case addressNotAvailable: return .init(.addressUnusable, sentence)
        default: return .init(.other, sentence)
        }
    }

    /// `EACCES`, `EAFNOSUPPORT`, `EADDRINUSE`, `EADDRNOTAVAIL` of `errno(3)`.
    private static let accessDenied: Int32 = 13
    private static let addressFamilyUnsupported: Int32 = 97
    private static let addressInUse: Int32 = 98
    private static let addressNotAvailable: Int32 = 99

    private func takeNumber() -> Int32 {
        nextNumber += 1
        return nextNumber
    }

    private func binding(
        _ port: ListenerPlan.Port,
        _ number: Int32,
        _ plan: ListenerPlan
    ) async -> PortBinding? {
        let names = await assembler.slotNames
        let listener = plan.listeners[port].flatMap { names.listeners[$0.description] } ?? -1
        guard port.listenerProtocol != .tcp else {
            return PortBinding(target: .relay(number), local: port.address, listener: listener)
        }
        guard let slot = names.entries[port.name] else {
            let sentence = "\(port.address): no entry point is left for it"
            outcome.socketFaults[port.address] = .init(.other, sentence)
            return nil
        }
        let isTLS = port.listenerProtocol == .https
        return PortBinding(
            target: .http(PortConfiguration(entry: slot, isTLS: isTLS)),
            local: port.address,
            listener: listener
        )
    }

    /// Gives each HTTPS port its host table. What is refused keeps what it had before.
    private func setCertificates(_ plan: ListenerPlan, _ snapshot: MeshSnapshot) async {
        let names = await assembler.slotNames
        var ports: [Int32: [TLSListener]] = [:]
        for (port, listeners) in plan.secured {
            guard let slot = names.entries[port.name] else { continue }
            ports[slot] = listeners.map { listener in
                TLSListener(
                    name: listener.id.description,
                    slot: names.listeners[listener.id.description] ?? -1,
                    host: listener.host,
                    certificates: listener.certificates.compactMap { snapshot.certificates[$0] },
                    settings: listener.settings
                )
            }
        }
        let compiled = compiler.compile(ports)
        certificateEnds.withLock { $0 = compiler.certificateEnds }
        outcome.certificateFaults = compiled.certificateFaults
        outcome.listenerFaults = compiled.listenerFaults
        outcome.usableCertificates = compiled.usable
        for slot in ports.keys {
            let table = compiled.tables[slot]
            _ = await pool.perform { $0.proxy.setTLSHosts(ofEntry: slot, table) }
        }
        let gone = securedSlots.subtracting(ports.keys)
        for slot in gone { _ = await pool.perform { $0.proxy.setTLSHosts(ofEntry: slot, nil) } }
        securedSlots = Set(ports.keys)
    }
}
