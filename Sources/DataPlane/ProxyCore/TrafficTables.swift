import MeshModel

/// One worker's traffic counts by listener, route and cluster slot. Slots are those of
/// `EngineSlots`; the last row takes all that are past it, and is shown as `other`.
package final class TrafficTables {
    private let rowMax: Int
    private let listeners: Table<TrafficRow>
    private let routes: Table<TrafficRow>
    private let clusters: Table<TrafficRow>
    private let grpcStatuses = Table<UInt64>(count: Int(GRPCStatus.unlisted) + 1, repeating: 0)

    /// Makes tables of zero.
    ///
    /// - Parameter rowMax: rows of each table.
    package init(rowMax: Int) {
        self.rowMax = rowMax
        listeners = Table(count: rowMax, repeating: TrafficRow())
        routes = Table(count: rowMax, repeating: TrafficRow())
        clusters = Table(count: rowMax, repeating: TrafficRow())
    }

    /// Which table.
    package enum Kind: Sendable, CaseIterable {
        case listener
        case route
        case cluster
    }

    /// Counts an ended exchange; -1 for what it never got to.
    @inline(__always)
    func count(_ sample: TrafficSample, listener: Int32, route: Int32, cluster: Int32) {
        let bucket = TrafficRow.bucket(of: sample.nanoseconds)
        let statusClass = Int(min(sample.status / 100, 5))
        if listener >= 0 { listeners[row(listener)].count(sample, statusClass, bucket) }
        if route >= 0 { routes[row(route)].count(sample, statusClass, bucket) }
        if cluster >= 0 { clusters[row(cluster)].count(sample, statusClass, bucket) }
    }

    /// Counts a response of gRPC.
    func count(grpcStatus: UInt8) { grpcStatuses[Int(grpcStatus)] &+= 1 }

    /// Responses by status of gRPC; the last is of those with a status that is none.
    package var grpcCounts: [UInt64] { (0...Int(GRPCStatus.unlisted)).map { grpcStatuses[$0] } }

    /// The rows of some slots, for a scrape on the worker's thread.
    package func rows(_ kind: Kind, _ slots: [Int32]) -> [TrafficRow] {
        let table: Table<TrafficRow>
        switch kind {
        case .listener: table = listeners
        case .route: table = routes
        case .cluster: table = clusters
        }
        return slots.map { table[row($0)] }
    }

    private func row(_ slot: Int32) -> Int { min(Int(slot), rowMax &- 1) }
}
