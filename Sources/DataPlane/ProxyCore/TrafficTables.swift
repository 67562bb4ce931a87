import MeshModel

/// One worker's traffic counts by listener, route and cluster slot. Slots are those of
/// `EngineSlots`; a row past `rowMax` is counted under the last one.
package final class TrafficTables {
    /// Rows of each table.
    package static let rowMax = 4_096

    private let listeners = Table<TrafficRow>(count: TrafficTables.rowMax, repeating: TrafficRow())
    private let routes = Table<TrafficRow>(count: TrafficTables.rowMax, repeating: TrafficRow())
    private let clusters = Table<TrafficRow>(count: TrafficTables.rowMax, repeating: TrafficRow())

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
        if listener >= 0 { listeners[TrafficTables.row(listener)].count(sample, bucket) }
        if route >= 0 { routes[TrafficTables.row(route)].count(sample, bucket) }
        if cluster >= 0 { clusters[TrafficTables.row(cluster)].count(sample, bucket) }
    }

    /// The rows of some slots, for a scrape on the worker's thread.
    package func rows(_ kind: Kind, _ slots: [Int32]) -> [TrafficRow] {
        let table: Table<TrafficRow>
        switch kind {
        case .listener: table = listeners
        case .route: table = routes
        case .cluster: table = clusters
        }
        return slots.map { table[TrafficTables.row($0)] }
    }

    private static func row(_ slot: Int32) -> Int { min(Int(slot), rowMax - 1) }
}
