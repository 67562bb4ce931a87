import MeshModel
import TrafficPolicy

/// Rows of the view that only clusters with policies have.
struct BalancingTables {
    var rows: [BalancingRow] = []
    var hashKeys: [HashKeyRow] = []
    var points: [HashRing.Point] = []
    var entries: [UInt16] = []
    var parts: [PartRow] = []
    var zones: [ZoneRow] = []
    var tags: [AffinityTagRow] = []
    /// Of routes.
    var affinities: [AffinityRow] = []
    /// Clusters that routes tie clients to, and where each cluster's tags are.
    var tiedClusters: Set<Int32> = []
    var tagRanges: [Int32: RowRange] = [:]
}

extension RoutingViewBuilder {
    /// Adds what a cluster's policies need.
    ///
    /// - Returns: the row's index; -1 for none.
    mutating func addBalancing(_ cluster: EngineCluster, at slot: Int32) -> Int32 {
        let settings = cluster.settings
        guard
            settings.needsBalancing || cluster.racesFamilies || cluster.followsHints
                || balancing.tiedClusters.contains(slot)
        else { return -1 }
        var row = BalancingRow()
        row.algorithm = BalancingRow.Algorithm(settings.balancing.algorithm)
        row.racesFamilies = cluster.racesFamilies
        row.panicPercent = settings.balancing.panicPercent
        row.slowStartNanoseconds = settings.balancing.slowStart?.wholeNanoseconds ?? 0
        row.hashKeys = addHashKeys(settings)
        row.hashLoadPercent = settings.balancing.hashLoadPercent
        row.localCount = Int32(cluster.localCount)
        row.followsHints = cluster.followsHints
        row.zoneEndpointMin = settings.balancing.zoneEndpointMin
        row.zones = addZones(cluster)
        row.localNodeCount = Int32(clamping: cluster.locality.localNodeCount)
        row.nodeCount = Int32(clamping: cluster.locality.nodeCount)
        if let table = cluster.table { row.table = add(table) }
        if let subset = settings.balancing.subset { row.subset = add(subset, cluster.places) }
        if balancing.tiedClusters.contains(slot) || settings.affinity.map(\.needsTags) == true {
            balancing.tagRanges[slot] = addTags(cluster)
        }
        if let affinity = settings.affinity {
            row.affinity = affinityRow(affinity, slot)
            if row.affinity.kind == .source && row.algorithm != .ringHash {
                row.algorithm = .maglev
            }
        }
        if let outliers = settings.outliers { row.outliers = OutlierPolicy(outliers) }
        row.breakers = BreakerRow(settings.breakers)
        balancing.rows.append(row)
        return Int32(balancing.rows.count - 1)
    }

    /// The zones besides the own, each one run of endpoints.
    private mutating func addZones(_ cluster: EngineCluster) -> RowRange {
        let first = Int32(balancing.zones.count)
        guard cluster.localCount > 0, !cluster.followsHints else { return RowRange() }
        var start = cluster.localCount
        while start < cluster.places.count {
            let zone = cluster.places[start].zone
            var end = start + 1
            while end < cluster.places.count && cluster.places[end].zone == zone { end += 1 }
            balancing.zones.append(
                ZoneRow(
                    endpoints: RowRange(first: Int32(start), count: Int32(end - start)),
                    nodeCount: Int32(clamping: cluster.locality.nodeCounts[zone] ?? 0)
                )
            )
            start = end
        }
        return RowRange(first: first, count: Int32(balancing.zones.count) - first)
    }

    private mutating func add(_ table: ConsistentTable) -> RowRange {
        if table.isRing {
            let first = Int32(balancing.points.count)
            balancing.points += table.points
            return RowRange(first: first, count: Int32(table.points.count))
        }
        let first = Int32(balancing.entries.count)
        balancing.entries += table.entries
        return RowRange(first: first, count: Int32(table.entries.count))
    }

    private mutating func addHashKeys(_ settings: BackendSettings) -> RowRange {
        let first = Int32(balancing.hashKeys.count)
        if settings.affinity?.kind == .source || settings.balancing.hashKeys.isEmpty {
            balancing.hashKeys.append(HashKeyRow(source: .address))
            return RowRange(first: first, count: 1)
        }
        for key in settings.balancing.hashKeys {
            switch key {
            case .source: balancing.hashKeys.append(HashKeyRow(source: .address))
            case .path: balancing.hashKeys.append(HashKeyRow(source: .path))
            case .header(let name): addHashKey(.header, name.lowercased())
            case .cookie(let name): addHashKey(.cookie, name)
            case .query(let name): addHashKey(.query, name)
            }
        }
        return RowRange(first: first, count: Int32(balancing.hashKeys.count) - first)
    }

    private mutating func addHashKey(_ source: HashKeyRow.Source, _ name: String) {
        balancing.hashKeys.append(
            HashKeyRow(source: source, id: HeaderID(name: name), name: intern(name))
        )
    }

    private mutating func add(
        _ subset: BalancingSettings.Subset,
        _ places: [EndpointPlace]
    ) -> SubsetRow {
        let names = places.map { subset.attribute == .zone ? $0.zone : $0.node }
        var parts: [PartRow] = []
        var start = 0
        while start < names.count {
            var end = start + 1
            while end < names.count && names[end] == names[start] { end += 1 }
            if !names[start].isEmpty {
                let hash = KeyedHash.of(names[start], key: PartRow.hashKey)
                let range = RowRange(first: Int32(start), count: Int32(end - start))
                parts.append(PartRow(hash: hash, endpoints: range))
            }
            start = end
        }
        parts.sort { $0.hash < $1.hash }
        let header = subset.header.lowercased()
        let range = RowRange(first: Int32(balancing.parts.count), count: Int32(parts.count))
        balancing.parts += parts
        return SubsetRow(
            isActive: true,
            fallsBack: subset.fallsBack,
            id: HeaderID(name: header),
            name: intern(header),
            parts: range
        )
    }

    // MARK: Ties

    /// Notes which clusters routes tie clients to, before those are added.
    mutating func findTiedClusters(_ configuration: EngineConfiguration) {
        for entry in configuration.entries.values {
            for rule in entry.hosts.flatMap(\.rules) where rule.action.affinity != nil {
                balancing.tiedClusters.formUnion(rule.action.backends.map(\.cluster))
            }
        }
    }

    /// Adds how a route ties clients to a cluster's endpoints.
    ///
    /// - Returns: the row's index; -1 for none.
    mutating func addAffinity(_ affinity: SessionAffinity?, _ cluster: Int32) -> Int32 {
        guard let affinity, cluster >= 0 else { return -1 }
        let row = affinityRow(affinity, cluster)
        balancing.affinities.append(row)
        return Int32(balancing.affinities.count - 1)
    }

    private mutating func affinityRow(_ affinity: SessionAffinity, _ cluster: Int32) -> AffinityRow
    {
        var row = AffinityRow()
        row.timeoutSeconds = Self.seconds(affinity.absoluteTimeout)
        row.idleSeconds = Self.seconds(affinity.idleTimeout)
        switch affinity.kind {
        case .source:
            row.kind = .source
            return row
        case .header(let name):
            row.kind = .header
            row.id = HeaderID(name: name.lowercased())
            row.name = intern(name.lowercased())
            row.before = row.name
        case .cookie(let name, let path, let lifetime):
            row.kind = .cookie
            row.id = .cookie
            row.name = intern(name)
            row.before = intern("\(name)=")
            let age = lifetime.map { "; Max-Age=\($0.components.seconds)" } ?? ""
            row.after = intern("; Path=\(path.isEmpty ? "/" : path)\(age); HttpOnly; SameSite=Lax")
        }
        row.tags = balancing.tagRanges[cluster] ?? RowRange()
        return row
    }

    private static func seconds(_ timeout: Duration?) -> UInt32 {
        timeout.map { UInt32(clamping: max($0.components.seconds, 1)) } ?? 0
    }

    private mutating func addTags(_ cluster: EngineCluster) -> RowRange {
        let range = RowRange(
            first: Int32(balancing.tags.count),
            count: Int32(cluster.endpoints.count)
        )
        let tags = cluster.endpoints.indices.map { index in
            AffinityTagRow(
                tag: cluster.places[index].tag(
                    of: cluster.endpoints[index].address,
                    cluster: cluster.name
                ),
                endpoint: Int32(index)
            )
        }
        balancing.tags += tags.sorted { $0.tag < $1.tag }
        return range
    }
}

extension SessionAffinity {
    /// Whether endpoints are named to clients.
    var needsTags: Bool { kind != .source }
}

extension PartRow {
    /// Keeps the hash of parts' names apart from others.
    static let hashKey: UInt64 = 0x7061_7274
}
