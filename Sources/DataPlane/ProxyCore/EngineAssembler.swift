import Addressing
import MeshModel

/// Makes filter chains on a worker's thread.
package protocol FilterFactory: Sendable {
    /// Makes or reuses the chains of some lists of plugins, in order of the lists; chains of its own
    /// use may follow. Called on the thread of worker `worker`.
    ///
    /// - Parameter store: the filters that live on that worker; what stays in it survives.
    func chains(
        for lists: [[PluginBinding]],
        worker: Int,
        store: FilterStore
    ) -> [FilterChain]
}

/// One part's wish for the engine, with names in the place of slots.
package struct EngineContribution: Sendable {
    /// An entry point.
    package struct Entry: Sendable {
        /// Whether the peer is outside the cluster.
        package var isEdge: Bool
        /// Its virtual hosts.
        package var hosts: [Host]
        /// The listener that answers for what belongs to no host.
        package var listener: String
        /// The plugins whose filters hear of protocol abuse.
        package var plugins: [PluginBinding]
        /// What its policies set for connections.
        package var settings: ListenerSettings

        /// Makes an entry point.
        package init(
            isEdge: Bool,
            hosts: [Host],
            listener: String,
            plugins: [PluginBinding] = [],
            settings: ListenerSettings = ListenerSettings()
        ) {
            self.settings = settings
            self.isEdge = isEdge
            self.hosts = hosts
            self.listener = listener
            self.plugins = plugins
        }
    }

    /// A virtual host.
    package struct Host: Sendable {
        /// The names it answers.
        package var pattern: HostPattern
        /// Its listener's name.
        package var listener: String
        /// Its rules.
        package var rules: [Rule]
        /// What its listener's policies set.
        package var settings: ListenerSettings

        /// Makes a virtual host.
        package init(
            pattern: HostPattern,
            listener: String,
            rules: [Rule],
            settings: ListenerSettings = ListenerSettings()
        ) {
            self.settings = settings
            self.pattern = pattern
            self.listener = listener
            self.rules = rules
        }
    }

    /// A match of a route's rule.
    package struct Rule: Sendable {
        /// The conditions.
        package var match: HTTPMatch
        /// The rule it is part of.
        package var rule: HTTPRouteRule
        /// `namespace/name/rule`.
        package var routeName: String
        /// The plugins in effect, merged by name.
        package var plugins: [PluginBinding]
        /// Where clients reach it.
        package var origin: RouteOrigin

        /// Makes a rule.
        package init(
            match: HTTPMatch,
            rule: HTTPRouteRule,
            routeName: String,
            plugins: [PluginBinding],
            origin: RouteOrigin
        ) {
            self.origin = origin
            self.match = match
            self.rule = rule
            self.routeName = routeName
            self.plugins = plugins
        }
    }

    /// Entry points by name.
    package var entries: [String: Entry] = [:]
    /// Clusters that rules name.
    package var clusters: [ClusterID: Cluster] = [:]
    /// The own certificates that clusters name.
    package var certificates: [ObjectKey: Certificate] = [:]
    /// Where this node is among all.
    package var locality = EngineLocality()

    /// Makes an empty contribution.
    package init() {}
}

/// Puts the contributions of all parts together into one configuration and installs it on every
/// worker. The one owner of slots.
package actor EngineAssembler {
    let pool: WorkerPool
    private let factory: any FilterFactory
    private(set) var contributions: [String: EngineContribution] = [:]
    private var slots: EngineSlots
    private var routeRows: Interner<String>
    private var trafficRowRefusals: UInt64 = 0
    private var version: UInt64 = 0
    private var names = EngineNames(rowMax: 1)
    private var chainLists: [[PluginBinding]] = []
    private var chainIndexes: [[PluginBinding]: Int32] = [:]
    private var faults: [String] = []
    private var transports = UpstreamTransportCompiler()
    private var tables: [ClusterID: ConsistentTable] = [:]
    private var endpoints: [ClusterID: [EngineEndpoint]] = [:]

    /// Makes an assembler.
    package init(pool: WorkerPool, factory: any FilterFactory) {
        self.pool = pool
        self.factory = factory
        slots = EngineSlots(limits: pool.limits)
        routeRows = Interner(limit: pool.limits.nameMax)
    }

    /// How often a number was asked for and none was left, since the start.
    package var refusals: SlotRefusals {
        var refusals = slots.refusals
        refusals.trafficRows = trafficRowRefusals
        return refusals
    }

    /// Takes a part's new contribution and returns once every worker has it in force.
    ///
    /// - Returns: what could not be taken: limits that were reached, workers that did not answer.
    package func update(_ part: String, _ contribution: EngineContribution) async -> [String] {
        contributions[part] = contribution
        let configuration = compile()
        version += 1
        let lists = chainLists
        let factory = self.factory
        let number = version
        let transports = configuration.clusters.values.compactMap(\.transport)
        let results = await pool.perform { worker in
            // Another part's update may have overtaken this one; it holds this contribution as well.
            guard number > worker.proxy.viewVersion else { return true }
            let chains = factory.chains(
                for: lists,
                worker: worker.number,
                store: worker.proxy.filterStore
            )
            worker.proxy.install(
                RoutingView(version: number, configuration),
                chains: chains,
                transports: transports
            )
            return true
        }
        if results.contains(where: { $0 == nil }) {
            faults.append("a worker's mailbox is full: it serves an earlier configuration")
        }
        return faults
    }

    /// Tells every worker what a health check found of a cluster's endpoint, under whatever identity; nothing happens to one
    /// that is in no configuration. An endpoint that comes anew is healthy until told otherwise.
    package func setHealth(
        _ cluster: ClusterID,
        _ address: SocketAddress,
        isHealthy: Bool
    ) async {
        let known = endpoints.keys.filter { $0.plain == cluster }
            .compactMap { slots.present($0, address) }
        guard !known.isEmpty else { return }
        _ = await pool.perform { worker in
            for endpoint in known {
                worker.proxy.setHealth(
                    endpoint.slot,
                    generation: endpoint.generation,
                    isHealthy: isHealthy
                )
            }
        }
    }

    /// What all workers know of the endpoints in use, by cluster, under whatever identity, and
    /// address.
    package func conditions() async -> [ClusterID: [SocketAddress: EndpointCondition]] {
        let asked = endpoints
        let answers = await pool.perform { worker in
            asked.mapValues { $0.map { worker.proxy.condition(of: $0) } }
        }
        var sums: [ClusterID: [SocketAddress: EndpointCondition]] = [:]
        for answer in answers.compactMap(\.self) {
            for (id, conditions) in answer {
                for (endpoint, condition) in zip(asked[id] ?? [], conditions) {
                    sums[id.plain, default: [:]][endpoint.address, default: EndpointCondition()]
                        .add(condition)
                }
            }
        }
        return sums
    }

    /// The slot of an entry point, once a contribution with it was taken.
    package func entrySlot(_ name: String) -> Int32? { names.entries[name] }

    /// Names by slot, for metrics and status.
    package var slotNames: EngineNames { names }

    private func compile() -> EngineConfiguration {
        var configuration = EngineConfiguration()
        faults = []
        names = EngineNames(rowMax: pool.limits.trafficRowMax)
        chainLists = []
        chainIndexes = [:]
        slots.begin()
        routeRows.begin()
        transports.begin()
        for contribution in contributions.values {
            for (id, cluster) in contribution.clusters {
                add(cluster, id, contribution, &configuration)
            }
        }
        for contribution in contributions.values {
            for (name, entry) in contribution.entries { add(entry, name, &configuration) }
        }
        slots.sweep()
        routeRows.sweep()
        transports.sweep()
        tables = tables.filter { names.clusters[$0.key] != nil }
        endpoints = endpoints.filter { names.clusters[$0.key] != nil }
        if names.unlistedCount > 0 {
            trafficRowRefusals += UInt64(names.unlistedCount)
            faults.append("\(names.unlistedCount) listeners, routes or clusters count as other")
        }
        configuration.listenerNames = names.listenersBySlot
        return configuration
    }

    private func add(
        _ cluster: Cluster,
        _ id: ClusterID,
        _ contribution: EngineContribution,
        _ configuration: inout EngineConfiguration
    ) {
        guard let slot = slots.cluster(id) else {
            faults.append("cluster \(id): more than \(pool.limits.nameMax) clusters")
            return
        }
        names.clusters[id] = slot
        let usable = cluster.usableEndpoints
        var endpoints: [EngineEndpoint] = []
        var places: [EndpointPlace] = []
        for endpoint in usable {
            guard let numbered = slots.endpoint(id, endpoint.address) else { continue }
            endpoints.append(numbered)
            names.endpoints.append((id, numbered))
            places.append(
                EndpointPlace(
                    zone: endpoint.zone,
                    node: endpoint.nodeName,
                    podUID: endpoint.podUID,
                    hintZones: endpoint.hintZones
                )
            )
        }
        if endpoints.count < usable.count {
            faults.append("cluster \(id): more than \(pool.limits.endpointMax) endpoints in all")
        }
        var engineCluster = EngineCluster(
            name: id.description,
            settings: cluster.settings,
            endpoints: endpoints,
            places: places,
            locality: contribution.locality,
            isNamed: cluster.isNamed,
            reusing: tables[id]
        )
        engineCluster.transport = transports.transport(
            cluster.settings,
            cluster.appProtocol,
            contribution.certificates
        )
        if let fault = engineCluster.transport?.fault { faults.append("cluster \(id): \(fault)") }
        tables[id] = engineCluster.table
        self.endpoints[id] = engineCluster.endpoints
        configuration.clusters[slot] = engineCluster
    }

    private func add(
        _ entry: EngineContribution.Entry,
        _ name: String,
        _ configuration: inout EngineConfiguration
    ) {
        guard let slot = slots.entry(name) else {
            faults.append("\(name): more than \(pool.limits.nameMax) entry points")
            return
        }
        names.entries[name] = slot
        configuration.entries[slot] = EngineEntry(
            isEdge: entry.isEdge,
            hosts: entry.hosts.map { host in
                EngineHost(
                    pattern: host.pattern,
                    listener: listenerSlot(host.listener),
                    rules: host.rules.map(rule),
                    settings: host.settings
                )
            },
            listener: listenerSlot(entry.listener),
            abuseChain: chainIndex(entry.plugins),
            settings: entry.settings
        )
    }

    private func listenerSlot(_ name: String) -> Int32 {
        guard let slot = slots.listener(name) else { return -1 }
        names.listeners[name] = slot
        return slot
    }

    private func rule(_ rule: EngineContribution.Rule) -> EngineRule {
        let row = routeRows.slot(of: rule.routeName)?.slot ?? Int32(pool.limits.trafficRowMax - 1)
        names.routes[rule.routeName] = row
        let backends = rule.rule.fault == nil ? rule.rule.backends.map(backend) : []
        return EngineRule(
            match: rule.match,
            action: EngineAction(
                routeName: rule.routeName,
                routeRow: row,
                backends: backends,
                requestHeaders: rule.rule.requestHeaders,
                responseHeaders: rule.rule.responseHeaders,
                requestTimeout: rule.rule.requestTimeout,
                backendRequestTimeout: rule.rule.backendRequestTimeout,
                chain: chainIndex(rule.plugins),
                retries: rule.rule.retries,
                mirrors: rule.rule.fault == nil ? rule.rule.mirrors.map(mirror) : [],
                change: rule.rule.fault == nil ? rule.rule.change : nil,
                crossOrigin: rule.rule.crossOrigin,
                origin: rule.origin,
                affinity: rule.rule.persistence
            )
        )
    }

    private func mirror(_ mirror: RouteMirror) -> EngineMirror {
        EngineMirror(
            cluster: clusterSlot(mirror.target),
            numerator: mirror.numerator,
            denominator: mirror.denominator
        )
    }

    private func clusterSlot(_ target: RouteBackend.Target) -> Int32 {
        guard case .cluster(let id) = target else { return -1 }
        return names.clusters[id] ?? -1
    }

    private func backend(_ backend: RouteBackend) -> EngineBackend {
        EngineBackend(
            cluster: clusterSlot(backend.target),
            weight: UInt32(clamping: backend.weight),
            requestHeaders: backend.requestHeaders,
            responseHeaders: backend.responseHeaders,
            change: backend.change
        )
    }

    private func chainIndex(_ plugins: [PluginBinding]) -> Int32 {
        guard !plugins.isEmpty else { return -1 }
        if let index = chainIndexes[plugins] { return index }
        let index = Int32(chainLists.count)
        chainLists.append(plugins)
        chainIndexes[plugins] = index
        return index
    }
}

/// Slots by name, for metrics, status and the scope of blocks.
package struct EngineNames: Sendable {
    /// Endpoints that are usable, of all clusters.
    package var endpoints: [(cluster: ClusterID, endpoint: EngineEndpoint)] = []
    /// Entry points.
    package var entries: [String: Int32] = [:]
    /// Listeners.
    package var listeners: [String: Int32] = [:]
    /// Route rules.
    package var routes: [String: Int32] = [:]
    /// Clusters.
    package var clusters: [ClusterID: Int32] = [:]
    private let rowMax: Int

    /// Makes an empty table.
    ///
    /// - Parameter rowMax: rows of a worker's traffic tables.
    init(rowMax: Int) { self.rowMax = rowMax }

    /// The rows of a traffic table by the name they are shown under. The last row is that of all
    /// for which there is none, and is shown as `other`.
    package func rows(_ kind: TrafficTables.Kind) -> [(name: String, slot: Int32)] {
        let last = Int32(rowMax - 1)
        let named = slots(kind).filter { $0.slot < last }.sorted { $0.name < $1.name }
        return isOverfull(kind) ? named + [("other", last)] : named
    }

    private func isOverfull(_ kind: TrafficTables.Kind) -> Bool {
        slots(kind).contains { $0.slot >= rowMax - 1 }
    }

    /// Names without a row of their own.
    var unlistedCount: Int {
        TrafficTables.Kind.allCases.reduce(0) { count, kind in
            count + slots(kind).count { $0.slot >= rowMax - 1 }
        }
    }

    private func slots(_ kind: TrafficTables.Kind) -> [(name: String, slot: Int32)] {
        switch kind {
        case .listener: listeners.map { ($0.key, $0.value) }
        case .route: routes.map { ($0.key, $0.value) }
        case .cluster: clusters.map { ($0.key.description, $0.value) }
        }
    }

    var listenersBySlot: [Int32: String] {
        Dictionary(uniqueKeysWithValues: listeners.map { ($0.value, $0.key) })
    }
}
