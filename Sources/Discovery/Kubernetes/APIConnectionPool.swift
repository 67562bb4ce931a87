import DataPlane

/// Connections to one API server, on the control loop's thread: a request takes one that is idle, or
/// opens another. A watch keeps its own for as long as it lasts.
final class APIConnectionPool {
    /// Idle connections kept: as many as there are kinds to list at once, so that each list's
    /// connection goes on to carry the kind's watch.
    static let idleMax = 16

    private let host: StreamHost
    private var idle: [APIConnection] = []

    /// Makes an empty pool.
    init(_ host: StreamHost) { self.host = host }

    /// Sends a request on the connection that was used last, or on a new one.
    func send(_ exchange: APIExchange, _ route: APIRoute, onNewConnection: Bool = false) {
        for outdated in idle where outdated.generation != route.generation { outdated.close() }
        if !onNewConnection, let connection = idle.popLast() {
            connection.begin(exchange)
            return
        }
        APIConnection(host: host, pool: self, route: route).begin(exchange)
    }

    /// A connection carries nothing now.
    func released(_ connection: APIConnection) {
        guard idle.count < APIConnectionPool.idleMax else {
            connection.close()
            return
        }
        idle.append(connection)
    }

    /// A connection is closed.
    func closed(_ connection: APIConnection) { idle.removeAll { $0 === connection } }
}
