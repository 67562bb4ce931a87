import Addressing
import MeshModel
import TrafficPolicy

/// Collects the rows of a `RoutingView` from an `EngineConfiguration`. Control side.
struct RoutingViewBuilder {
    private(set) var entries: [EntryRow] = []
    private(set) var hosts: [HostRow] = []
    private(set) var rules: [RuleRow] = []
    private(set) var conditions: [ConditionRow] = []
    private(set) var actions: [ActionRow] = []
    private(set) var backends: [BackendRow] = []
    private(set) var tries: [TryRow] = []
    private(set) var mirrors: [MirrorRow] = []
    private var clusterSettings: [Int32: BackendSettings] = [:]
    private(set) var operations: [OperationRow] = []
    private(set) var clusters: [ClusterRow] = []
    private(set) var endpoints: [EngineEndpoint] = []
    private(set) var listenerNames: [TextRange] = []
    private(set) var text: [UInt8] = []
    private(set) var edges = [EdgeRow()]
    private(set) var prefixes: [IPPrefix] = []
    /// What clusters with policies have besides.
    var balancing = BalancingTables()
    /// What routes with filters or regular expressions have besides.
    var routes = RouteTables()
    private(set) var prefixDepthMax = 0
    private var hostKeys: [HostSlot] = []
    private var pathKeys: [PathSlot] = []

    init() {}

    init(_ configuration: EngineConfiguration) {
        addNames(configuration)
        findTiedClusters(configuration)
        for (slot, cluster) in configuration.clusters.sorted(by: { $0.key < $1.key }) {
            add(cluster, at: slot)
        }
        for (slot, entry) in configuration.entries.sorted(by: { $0.key < $1.key }) {
            add(entry, at: slot)
        }
    }

    private mutating func addNames(_ configuration: EngineConfiguration) {
        let count = (configuration.listenerNames.keys.max() ?? -1) + 1
        listenerNames = Array(repeating: TextRange(), count: Int(count))
        for (slot, name) in configuration.listenerNames {
            listenerNames[Int(slot)] = intern(name)
        }
    }

    private mutating func add(_ cluster: EngineCluster, at slot: Int32) {
        while clusters.count <= Int(slot) { clusters.append(ClusterRow()) }
        let first = Int32(endpoints.count)
        clusterSettings[slot] = cluster.settings
        endpoints += cluster.endpoints
        clusters[Int(slot)] = ClusterRow(
            isPresent: true,
            balancing: addBalancing(cluster, at: slot),
            takesEarlyData: cluster.settings.takesEarlyData,
            proxyVersion: cluster.settings.proxyProtocolVersion,
            retryBudget: RetryBudget(
                percent: cluster.settings.breakers.retryBudgetPercent,
                minimum: cluster.settings.breakers.retryBudgetMin,
                retryMax: cluster.settings.breakers.retries
            ),
            transport: cluster.transport?.number ?? -1,
            endpoints: RowRange(first: first, count: Int32(cluster.endpoints.count)),
            name: intern(cluster.name)
        )
    }

    private mutating func add(_ entry: EngineEntry, at slot: Int32) {
        while entries.count <= Int(slot) { entries.append(EntryRow()) }
        var row = EntryRow(
            isPresent: true,
            isEdge: entry.isEdge,
            listener: entry.listener,
            abuseChain: entry.abuseChain,
            http2: HTTP2EntryRow(entry.settings)
        )
        row.ageNanoseconds = nanoseconds(entry.settings.timeouts.connectionAge)
        row.connectionMax = entry.settings.limits.connections
        row.connectionPerSourceMax = entry.settings.limits.connectionsPerSource
        row.times = ListenerTimes(entry.settings.timeouts)
        row.proxyProtocol = ProxyAcceptance(entry.settings.proxyProtocol.acceptance)
        row.proxyTrusted = addPrefixes(entry.settings.proxyProtocol.trustedPrefixes)
        for host in entry.hosts {
            let index = Int32(hosts.count)
            hosts.append(hostRow(of: host))
            switch host.pattern {
            case .any: row.anyHost = index
            case .exact(let name): addHostKey(name, isWildcard: false, slot, index)
            case .wildcard(let suffix): addHostKey(suffix, isWildcard: true, slot, index)
            }
            addRules(host.rules, host: index, host.settings.timeouts)
        }
        entries[Int(slot)] = row
    }

    private mutating func hostRow(of host: EngineHost) -> HostRow {
        var row = HostRow(listener: host.listener)
        if !host.settings.allowsWebSocket { row.rules.insert(.refusesWebSocket) }
        if host.settings.allowsConnect { row.rules.insert(.allowsConnect) }
        row.streamIdleNanoseconds = host.settings.timeouts.streamIdle?.wholeNanoseconds ?? 0
        if EdgeRow.isNeeded(by: host.settings) {
            let range = addPrefixes(host.settings.forwarding.trustedPrefixes)
            let via = intern(host.settings.forwarding.viaName)
            row.edge = Int32(edges.count)
            row.rules.insert(.hasEdge)
            edges.append(EdgeRow(host.settings, via: via, trusted: range))
        }
        return row
    }

    private mutating func addPrefixes(_ list: [IPPrefix]) -> RowRange {
        let range = RowRange(first: Int32(prefixes.count), count: Int32(list.count))
        prefixes += list
        return range
    }

    private mutating func addHostKey(
        _ name: String,
        isWildcard: Bool,
        _ entry: Int32,
        _ host: Int32
    ) {
        let range = intern(name)
        var key = RouteHash.host(entry: entry, isWildcard: isWildcard)
        let bytes = Array(name.utf8)
        bytes.withRawSpan { key.combine(lowered: $0, 0, $0.byteCount) }
        hostKeys.append(
            HostSlot(
                hash: key.value,
                entry: entry,
                isWildcard: isWildcard,
                text: range,
                host: host
            )
        )
    }

    private mutating func addRules(
        _ list: [EngineRule],
        host: Int32,
        _ times: ListenerTimeouts
    ) {
        let sorted = list.enumerated().sorted { left, right in
            RouteOrder(left.element.match, left.offset)
                < RouteOrder(right.element.match, right.offset)
        }
        var groups: [(path: PathMatch, rules: RowRange)] = []
        for (_, rule) in sorted {
            let index = Int32(rules.count)
            add(rule, times)
            if !rule.match.isOfPathAlone { hosts[Int(host)].isUnconditional = false }
            if let last = groups.last, last.path == rule.match.path {
                groups[groups.count - 1].rules.count += 1
            } else {
                groups.append((rule.match.path, RowRange(first: index, count: 1)))
            }
        }
        hosts[Int(host)].patterns.first = Int32(routes.patternPaths.count)
        for group in groups { addPathKey(group.path, host, group.rules) }
    }

    private mutating func addPathKey(_ path: PathMatch, _ host: Int32, _ rules: RowRange) {
        let name: String
        let isPrefix: Bool
        switch path {
        case .exact(let exact):
            (name, isPrefix) = (exact, false)
            hosts[Int(host)].hasExactPaths = true
        case .prefix(let prefix): (name, isPrefix) = (prefix, true)
        case .pattern(let pattern):
            routes.patternPaths.append(
                PatternPathRow(pattern: addPattern(pattern), rules: rules)
            )
            hosts[Int(host)].patterns.count += 1
            return
        }
        if isPrefix {
            prefixDepthMax = max(prefixDepthMax, name.utf8.count { $0 == UInt8(ascii: "/") })
        }
        var hash = RouteHash()
        for byte in name.utf8 { hash.combine(byte) }
        pathKeys.append(
            PathSlot(
                hash: hash.key(host: host, isPrefix: isPrefix),
                host: host,
                isPrefix: isPrefix,
                text: intern(name),
                rules: rules
            )
        )
    }

    /// A name as the inside of a JSON string, as the access log writes it.
    private static func escaped(_ name: String) -> String {
        var text = ""
        for byte in name.utf8.prefix(AccessLog.nameByteLimit / 6) {
            if ByteScan.isEscaped(byte) {
                let digits = String(byte, radix: 16)
                text += digits.utf8.count == 1 ? "\\u000\(digits)" : "\\u00\(digits)"
            } else {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return text
    }

    private mutating func add(_ rule: EngineRule, _ times: ListenerTimeouts) {
        let headers = addConditions(rule.match.headers, rule.match.headerPatterns)
        let query = addConditions(rule.match.queryParameters, rule.match.queryPatterns)
        let method = rule.match.method.map { intern($0) } ?? TextRange()
        rules.append(
            RuleRow(method: method, headers: headers, query: query, action: Int32(actions.count))
        )
        let action = rule.action
        var sum: UInt32 = 0
        var shares: [BackendRow] = []
        for backend in action.backends where backend.weight > 0 {
            sum += backend.weight
            shares.append(
                BackendRow(
                    cumulativeWeight: sum,
                    cluster: backend.cluster,
                    requestOperations: addOperations(backend.requestHeaders),
                    responseOperations: addOperations(backend.responseHeaders),
                    tries: addTries(action, backend.cluster, times),
                    change: addChange(backend.change, rule.match, at: action.origin)
                )
            )
        }
        let range = RowRange(first: Int32(backends.count), count: Int32(shares.count))
        backends += shares
        var row = ActionRow(
            backends: range,
            weightSum: sum,
            requestOperations: addOperations(action.requestHeaders),
            responseOperations: addOperations(action.responseHeaders),
            requestTimeoutNanoseconds: nanoseconds(action.requestTimeout ?? times.request),
            chain: action.chain,
            routeRow: action.routeRow,
            routeName: intern(RoutingViewBuilder.escaped(action.routeName)),
            change: addChange(action.change, rule.match, at: action.origin),
            crossOrigin: addCrossOrigin(action.crossOrigin)
        )
        if shares.count == 1 { row.plainCluster = shares[0].plainCluster(of: row) }
        actions.append(row)
    }

    /// Adds what a share of an action has by policy.
    ///
    /// - Returns: the row's index; -1 for none.
    private mutating func addTries(
        _ action: EngineAction,
        _ cluster: Int32,
        _ times: ListenerTimeouts
    ) -> Int32 {
        let settings = clusterSettings[cluster] ?? BackendSettings()
        let range = RowRange(first: Int32(mirrors.count), count: Int32(action.mirrors.count))
        guard var row = TryRow(action, settings, times, mirrors: range) else { return -1 }
        row.affinity = addAffinity(action.affinity, cluster)
        mirrors += action.mirrors.map {
            MirrorRow(
                cluster: $0.cluster,
                numerator: $0.numerator,
                denominator: max($0.denominator, 1)
            )
        }
        tries.append(row)
        return Int32(tries.count - 1)
    }

    private mutating func addConditions(
        _ values: [NamedValue],
        _ patterns: [NamedPattern]
    ) -> RowRange {
        let count = Int32(values.count + patterns.count)
        let range = RowRange(first: Int32(conditions.count), count: count)
        for condition in values {
            let name = intern(condition.name)
            conditions.append(ConditionRow(name: name, value: intern(condition.value)))
        }
        for condition in patterns {
            conditions.append(
                ConditionRow(
                    name: intern(condition.name),
                    value: TextRange(),
                    pattern: addPattern(condition.pattern)
                )
            )
        }
        return range
    }

    private mutating func addOperations(_ modifier: HeaderModifier) -> RowRange {
        let first = Int32(operations.count)
        for name in modifier.remove { addOperation(.remove, NamedValue(name, "")) }
        for field in modifier.set { addOperation(.set, field) }
        for field in modifier.add { addOperation(.add, field) }
        return RowRange(first: first, count: Int32(operations.count) - first)
    }

    private mutating func addOperation(_ kind: OperationRow.Kind, _ field: NamedValue) {
        let name = intern(field.name.lowercased())
        let id = HeaderID(name: field.name)
        operations.append(
            OperationRow(kind: kind, id: id, name: name, value: intern(field.value))
        )
    }

    private func nanoseconds(_ duration: Duration?) -> UInt64 {
        guard let duration, duration > .zero else { return 0 }
        let parts = duration.components
        return UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
    }

    /// Adds a text.
    mutating func intern(_ string: String) -> TextRange {
        let start = Int32(text.count)
        text += string.utf8
        return TextRange(start: start, byteCount: Int32(text.count) - start)
    }

    func endpointGenerations() -> [UInt32] {
        var generations = Array(
            repeating: UInt32(0),
            count: Int(endpoints.map(\.slot).max() ?? -1) + 1
        )
        for endpoint in endpoints { generations[Int(endpoint.slot)] = endpoint.generation }
        return generations
    }

    // MARK: Hash tables

    func hostSlots() -> [HostSlot] {
        RouteHash.table(hostKeys, empty: HostSlot(), hash: \.hash)
    }

    func pathSlots() -> [PathSlot] {
        RouteHash.table(pathKeys, empty: PathSlot(), hash: \.hash)
    }
}

/// The order of precedence within one virtual host; rules of one path end up side by side.
private struct RouteOrder: Comparable {
    let pathClass: Int
    /// Of regular expressions the heaviest is tried first; other paths are looked up.
    let weight: Int
    let path: String
    let methodClass: Int
    let headerCount: Int
    let queryCount: Int
    let position: Int

    init(_ match: HTTPMatch, _ position: Int) {
        switch match.path {
        case .exact(let path): (pathClass, weight, self.path) = (0, 0, path)
        case .pattern(let pattern):
            (pathClass, weight, path) = (1, pattern.weight, pattern.text)
        case .prefix(let path): (pathClass, weight, self.path) = (2, 0, path)
        }
        methodClass = match.method == nil ? 1 : 0
        headerCount = match.headerCount
        queryCount = match.queryCount
        self.position = position
    }

    static func < (left: RouteOrder, right: RouteOrder) -> Bool {
        (left.pathClass, left.path) != (right.pathClass, right.path)
            ? (left.pathClass, -left.weight, left.path)
                < (right.pathClass, -right.weight, right.path)
            : (left.methodClass, -left.headerCount, -left.queryCount, left.position)
                < (right.methodClass, -right.headerCount, -right.queryCount, right.position)
    }
}
