/// HTTP/1.1 on a connection to the API server: requests one after the other (RFC 9112 section 9.3).
final class APIHTTP1Session: APISession {
    private unowned let connection: APIConnection
    private var exchange: APIExchange?
    private var reader = APIResponseReader()
    private var requestCount = 0

    /// Makes a session of a connection that is established.
    init(_ connection: APIConnection) { self.connection = connection }

    var exchangeMax: Int { 1 }
    var exchangeCount: Int { exchange == nil ? 0 : 1 }
    var takesMore: Bool { true }
    var isReady: Bool { true }

    func start() { connection.setDeadline(after: connection.timeouts.idleNanoseconds) }

    func begin(_ exchange: APIExchange) {
        self.exchange = exchange
        exchange.session = self
        reader = APIResponseReader()
        requestCount += 1
        connection.setDeadline(after: connection.timeouts.headNanoseconds)
        connection.write(exchange.message.http1)
    }

    func receive(_ bytes: [UInt8]) {
        guard let exchange else {
            // A server that speaks unasked is not understood.
            connection.close()
            return
        }
        exchange.answered()
        connection.setDeadline(after: exchange.silenceNanosecondsMax)
        for part in reader.receive(bytes) {
            switch part {
            case .head, .body: exchange.deliver(part)
            case .end:
                self.exchange = nil
                exchange.deliver(part)
                rest()
                return
            case .withdrawn, .broken:
                self.exchange = nil
                exchange.deliver(part)
                connection.close()
                return
            }
        }
        if exchange.isFull { connection.setPaused(true) }
    }

    private func rest() {
        guard reader.leavesConnectionOpen else {
            connection.close()
            return
        }
        connection.setDeadline(after: connection.timeouts.idleNanoseconds)
        connection.rested()
    }

    func drained() {}

    func timedOut() {
        guard exchange != nil else {
            connection.close()
            return
        }
        connection.fail("expected bytes in time, none came")
    }

    func taken(_ exchange: APIExchange, _ byteCount: Int) {
        guard exchange === self.exchange, exchange.hasRoom else { return }
        connection.setPaused(false)
    }

    func cancel(_ exchange: APIExchange) {
        guard exchange === self.exchange else { return }
        self.exchange = nil
        connection.close()
    }

    func over(_ sentence: String, inOrder: Bool) -> [(APIExchange, APIEnding)] {
        guard let carried = exchange else { return [] }
        exchange = nil
        if inOrder, let last = reader.ended(), last == .end {
            carried.deliver(last)
            return []
        }
        return [(carried, .broken(sentence, connectionWasUsed: requestCount > 1))]
    }
}
