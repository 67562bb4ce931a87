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

    func count(_ exchange: Exchange, nanoseconds: UInt64) {
        let status = exchange.status
        let received = exchange.bytesReceived
        let sent = exchange.bytesSent
        if exchange.listener >= 0 {
            listeners[TrafficTables.row(exchange.listener)]
                .count(status: status, received: received, sent: sent, nanoseconds: nanoseconds)
        }
        if exchange.action.routeRow >= 0 {
            routes[TrafficTables.row(exchange.action.routeRow)]
                .count(status: status, received: received, sent: sent, nanoseconds: nanoseconds)
        }
        if exchange.action.cluster >= 0 {
            clusters[TrafficTables.row(exchange.action.cluster)]
                .count(status: status, received: received, sent: sent, nanoseconds: nanoseconds)
        }
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
