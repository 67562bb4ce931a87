import DataPlane

/// Connections to one API server, on the control loop's thread, as few as the requests at hand fit
/// on: a request goes to one with room, or waits for another to open. Over HTTP/2 a connection
/// carries as many as the server lets streams be open at a time; over HTTP/1.1 one.
final class APIConnectionPool {
    /// Idle connections kept: at least as many as there are kinds to list at once, so that each
    /// list's connection goes on to carry the kind's watch.
    static let idleMax = 32

    private let host: StreamHost
    private let timeouts: APITimeouts
    private var connections: [APIConnection] = []
    private var waiting: [APIExchange] = []
    private var route: APIRoute?
    /// Requests that a new connection is expected to carry; before it is known, all.
    private var exchangeMaxExpected = Int.max
    private var isOpening = false

    /// Makes an empty pool.
    init(_ host: StreamHost, _ timeouts: APITimeouts) {
        self.host = host
        self.timeouts = timeouts
    }

    // MARK: Requests

    /// Sends a request on a connection of this route, as soon as there is one with room.
    func send(_ exchange: APIExchange, _ route: APIRoute) {
        self.route = route
        for outdated in connections where outdated.generation != route.generation {
            outdated.retire()
        }
        place(exchange)
        openEnough()
    }

    /// Requests over HTTP/1.1 go to the connection that was used last, so that others may end;
    /// over HTTP/2 to the first with room.
    private func place(_ exchange: APIExchange) {
        let found =
            connections.first { $0.hasRoom && $0.exchangeMax > 1 }
            ?? connections.last(where: \.hasRoom)
        if let found {
            found.begin(exchange)
        } else {
            wait(exchange)
        }
    }

    private func wait(_ exchange: APIExchange) {
        waiting.append(exchange)
        openEnough()
    }

    /// Takes back a request that its connection did not bring to its end.
    func take(_ exchange: APIExchange, _ ending: APIEnding) {
        exchange.session = nil
        guard !exchange.isOver else { return }
        let mayRepeat = exchange.repeatCount < APIExchange.repeatMax
        let isUntouched = !exchange.hasAnswer && exchange.message.request.isRepeatable
        switch ending {
        case .refused(let sentence):
            guard mayRepeat else { return exchange.fail(sentence) }
            exchange.repeatCount += 1
            place(exchange)
        case .withdrawn(let sentence):
            guard isUntouched else { return exchange.deliver(.withdrawn(sentence)) }
            guard mayRepeat else { return exchange.fail(sentence) }
            exchange.repeatCount += 1
            place(exchange)
        case .broken(let sentence, let connectionWasUsed):
            guard exchange.repeatCount == 0, isUntouched, connectionWasUsed else {
                return exchange.fail(sentence)
            }
            // Others that were idle may be as closed as this one.
            exchange.repeatCount = 1
            wait(exchange)
        }
    }

    // MARK: Connections

    private func openEnough() {
        waiting.removeAll(where: \.isOver)
        guard let route, !isOpening else { return }
        isOpening = true
        defer { isOpening = false }
        while connections.count(where: { !$0.isReady }) < missingCount(route) {
            let connection = APIConnection(
                host: host,
                pool: self,
                route: route,
                timeouts: timeouts
            )
            connections.append(connection)
            connection.open()
        }
    }

    /// Connections that the waiting requests need.
    private func missingCount(_ route: APIRoute) -> Int {
        guard !waiting.isEmpty else { return 0 }
        let each = route.context == nil ? 1 : max(exchangeMaxExpected, 1)
        return (waiting.count - 1) / each + 1
    }

    /// A connection may have room: waiting requests take it.
    func rested(_ connection: APIConnection) {
        let max = connection.exchangeMax
        if connection.hasRoom { exchangeMaxExpected = max }
        while connection.hasRoom, let next = takeWaiting() { connection.begin(next) }
        if connection.isIdle, let at = connections.firstIndex(where: { $0 === connection }) {
            // Used last, asked first.
            connections.append(connections.remove(at: at))
            let idle = connections.filter { $0.isReady && $0.isIdle }
            if idle.count > APIConnectionPool.idleMax { idle[0].close() }
        }
        openEnough()
    }

    private func takeWaiting() -> APIExchange? {
        while !waiting.isEmpty {
            let next = waiting.removeFirst()
            if !next.isOver { return next }
        }
        return nil
    }

    /// A connection could not be opened: so do the requests fail that it was to carry.
    func notOpened(_ sentence: String) {
        let each = route?.context == nil ? 1 : max(exchangeMaxExpected, 1)
        for _ in 0..<min(each, waiting.count) { takeWaiting()?.fail(sentence) }
        openEnough()
    }

    /// A connection is closed.
    func closed(_ connection: APIConnection) { connections.removeAll { $0 === connection } }
}
