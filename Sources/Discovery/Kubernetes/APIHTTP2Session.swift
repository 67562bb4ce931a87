import DataPlane

/// HTTP/2 on a connection to the API server: a stream for each request, as many at a time as the
/// server takes. A response that nobody reads stops at its stream's window; the connection's window
/// is given back at once, so that it does not stop the others.
final class APIHTTP2Session: APISession {
    /// Bytes that may wait to be sent before no more frames are made.
    private static let pendingByteLimit = 262_144

    private unowned let connection: APIConnection
    private let client: HTTP2Client
    private var exchanges: [Int32: APIExchange] = [:]
    private var wasUsed = false
    private var isRefusing = false
    /// Streams that were open when the server refused one more.
    private var refusalCount: Int?
    private var heardNanoseconds: UInt64
    private var pingDeadlineNanoseconds: UInt64?
    private var idleSinceNanoseconds: UInt64
    private var isReceiving = false
    private var hasBrokenRules = false

    /// Makes a session of a connection that is established; `nil` when there is no memory.
    init?(_ connection: APIConnection) {
        guard let client = HTTP2Client() else { return nil }
        self.connection = connection
        self.client = client
        heardNanoseconds = connection.nowNanoseconds
        idleSinceNanoseconds = connection.nowNanoseconds
    }

    var exchangeMax: Int { min(client.streamMax, refusalCount ?? .max) }
    var exchangeCount: Int { exchanges.count }
    var takesMore: Bool { client.takesRequests && !isRefusing }
    var isReady: Bool { client.hasSettings }

    func start() { flush() }

    // MARK: Requests

    func begin(_ exchange: APIExchange) {
        let message = exchange.message
        guard let number = client.request(message.fields, body: message.request.body) else {
            isRefusing = true
            connection.give(exchange, .refused("expected a stream, the connection takes no more"))
            return
        }
        exchanges[number] = exchange
        exchange.session = self
        let deadline = connection.nowNanoseconds + connection.timeouts.headNanoseconds
        exchange.deadlineNanoseconds = deadline
        flush()
        schedule()
    }

    func taken(_ exchange: APIExchange, _ byteCount: Int) {
        guard let number = number(of: exchange) else { return }
        client.consume(number, byteCount)
        flush()
    }

    func cancel(_ exchange: APIExchange) {
        guard let number = number(of: exchange) else { return }
        remove(number)
        client.cancel(number)
        flush()
        rest()
    }

    private func number(of exchange: APIExchange) -> Int32? {
        exchanges.first { $0.value === exchange }?.key
    }

    private func remove(_ number: Int32) {
        exchanges[number] = nil
        refusalCount = nil
        wasUsed = true
        if exchanges.isEmpty { idleSinceNanoseconds = connection.nowNanoseconds }
    }

    /// A request is over: another may have its place.
    private func rest() {
        guard !isReceiving else { return }
        schedule()
        connection.rested()
    }

    // MARK: Bytes

    func receive(_ bytes: [UInt8]) {
        heardNanoseconds = connection.nowNanoseconds
        pingDeadlineNanoseconds = nil
        let wasReady = isReady
        let limit = exchangeMax
        let count = exchanges.count
        isReceiving = true
        for event in bytes.withRawSpan({ client.receive($0) }) { handle(event) }
        isReceiving = false
        flush()
        if let failure = client.failure, client.goAwayCode == nil || !exchanges.isEmpty {
            hasBrokenRules = true
            connection.fail(failure)
            return
        }
        if isReady && !wasReady {
            schedule()
            connection.becameReady()
        } else if exchanges.count < count || exchangeMax > limit || !takesMore {
            rest()
        }
    }

    private func handle(_ event: HTTP2Client.Event) {
        switch event {
        case .head(let number, let status, let retryAfter):
            let seconds = retryAfter.flatMap { Int64($0) } ?? 0
            deliver(number, .head(status: Int(status), retryAfterSeconds: max(seconds, 0)))
        case .body(let number, let bytes): deliver(number, .body(bytes))
        case .end(let number):
            guard let exchange = exchanges[number] else { return }
            remove(number)
            exchange.deliver(.end)
        case .reset(let number, let code):
            guard let exchange = exchanges[number] else { return }
            remove(number)
            connection.give(exchange, ending(code))
        }
    }

    private func deliver(_ number: Int32, _ part: APIResponsePart) {
        guard let exchange = exchanges[number] else { return }
        exchange.deadlineNanoseconds = connection.nowNanoseconds + exchange.silenceNanosecondsMax
        exchange.deliver(part)
    }

    /// What a reset means (RFC 9113 section 8.7): a refusal says that nothing was done.
    private func ending(_ code: UInt32) -> APIEnding {
        guard code == 7 else {
            let sentence = "expected a response, the stream was reset with code \(code)"
            return .broken(sentence, connectionWasUsed: false)
        }
        if client.goAwayCode == nil {
            // So many and no more, until one of them is over.
            refusalCount = exchanges.count
            isRefusing = exchanges.isEmpty
        }
        return .refused("expected a response, the server refused the stream")
    }

    private func flush() {
        guard !isReceiving else { return }
        let room = APIHTTP2Session.pendingByteLimit - connection.pendingByteCount
        guard room > 0 else { return }
        let output = client.takeOutput(byteLimit: room)
        if !output.isEmpty { connection.write(output) }
    }

    func drained() { flush() }

    // MARK: Time

    func timedOut() {
        let now = connection.nowNanoseconds
        if let deadline = pingDeadlineNanoseconds, now >= deadline {
            connection.fail("expected an answer to PING in time, nothing came")
            return
        }
        guard isReady else {
            connection.fail("expected SETTINGS in time, none came")
            return
        }
        if exchanges.isEmpty, now >= idleSinceNanoseconds + connection.timeouts.idleNanoseconds {
            client.goAway()
            flush()
            connection.close()
            return
        }
        for (number, exchange) in exchanges where now >= exchange.deadlineNanoseconds {
            remove(number)
            client.cancel(number)
            exchange.fail("expected bytes in time, none came")
        }
        if pingDeadlineNanoseconds == nil, now >= quietUntilNanoseconds, !exchanges.isEmpty {
            client.ping()
            pingDeadlineNanoseconds = now + connection.timeouts.pingNanoseconds
        }
        flush()
        rest()
    }

    private var quietUntilNanoseconds: UInt64 {
        heardNanoseconds + connection.timeouts.pingAfterNanoseconds
    }

    /// Sets the next moment at which something may be due. It may be early: then nothing is.
    private func schedule() {
        guard isReady else { return }
        guard !exchanges.isEmpty else {
            let idle = idleSinceNanoseconds + connection.timeouts.idleNanoseconds
            connection.setDeadline(at: idle)
            return
        }
        var next = pingDeadlineNanoseconds ?? quietUntilNanoseconds
        for exchange in exchanges.values { next = min(next, exchange.deadlineNanoseconds) }
        connection.setDeadline(at: next)
    }

    // MARK: End

    func over(_ sentence: String, inOrder: Bool) -> [(APIExchange, APIEnding)] {
        let carried = exchanges.values
        exchanges = [:]
        return carried.map { exchange in
            switch client.goAwayCode {
            case 0? where !hasBrokenRules: (exchange, .withdrawn(sentence))
            case let code?:
                (
                    exchange,
                    .broken("\(sentence), after GOAWAY with code \(code)", connectionWasUsed: false)
                )
            case nil: (exchange, .broken(sentence, connectionWasUsed: wasUsed))
            }
        }
    }
}
