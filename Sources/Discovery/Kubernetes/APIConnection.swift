import Addressing
import DataPlane
import LinuxSystem

/// How the API server is reached as of now.
struct APIRoute: Sendable {
    /// Counts up whenever TLS settings change: connections of an earlier one carry no more requests.
    var generation: UInt64
    /// Its addresses, tried in this order.
    var addresses: [SocketAddress]
    /// TLS; `nil` where the server speaks plain HTTP.
    var context: TLSContext?
    /// The name or address that the server's certificate must bear.
    var serverName: String
}

/// One connection to the API server on the control loop's thread. It carries requests one after the
/// other (RFC 9112 section 9.3); between them it is the pool's.
final class APIConnection: StreamDelegate {
    /// Time for the request and the response's head, TLS included.
    static let headTimeoutNanoseconds: UInt64 = 30_000_000_000
    /// Time for one address to answer.
    static let connectTimeoutNanoseconds: UInt64 = 10_000_000_000
    /// How long an idle connection is kept; servers close theirs after about 90 s.
    static let idleTimeoutNanoseconds: UInt64 = 60_000_000_000

    /// Of which route it is.
    let generation: UInt64
    private let host: StreamHost
    private weak var pool: APIConnectionPool?
    private let route: APIRoute
    private var untried: ArraySlice<SocketAddress>
    private var tls: TLSClient?
    private var stream: StreamHandle?
    private var exchange: APIExchange?
    private var isEstablished = false
    private var requestCount = 0

    /// Makes a connection that `begin` opens.
    init(host: StreamHost, pool: APIConnectionPool, route: APIRoute) {
        self.host = host
        self.pool = pool
        self.route = route
        generation = route.generation
        untried = route.addresses[...]
    }

    /// Sends a request; the connection must carry none.
    func begin(_ exchange: APIExchange) {
        self.exchange = exchange
        exchange.connection = self
        requestCount += 1
        guard stream != nil else {
            connect()
            return
        }
        send(exchange)
    }

    /// Reads on: the reader of the response has caught up.
    func resume() {
        guard let stream else { return }
        host.setPaused(stream, false)
    }

    /// Closes it, whatever it carries; an exchange hears nothing of it.
    func close() {
        if let stream { host.close(stream) }
        stream = nil
        exchange = nil
        pool?.closed(self)
    }

    // MARK: Opening

    private func connect() {
        var failure = "no address"
        while let address = untried.popFirst() {
            do {
                tls = try session()
                let handle = try host.connect(to: address, delegate: self)
                stream = handle
                host.setDeadline(
                    handle,
                    host.loop.nowNanoseconds + APIConnection.connectTimeoutNanoseconds
                )
                try Socket.keepAlive(
                    host.descriptor(of: handle),
                    idleSeconds: 15,
                    intervalSeconds: 5,
                    probeCount: 3
                )
                return
            } catch {
                failure = "\(address): \(error)"
                if let stream { host.close(stream) }
                stream = nil
            }
        }
        fail("expected a connection, found \(failure)")
    }

    private func session() throws(TLSError) -> TLSClient? {
        guard let context = route.context else { return nil }
        let name = route.serverName
        let isAddress = IPAddress(name) != nil
        guard let made = TLSClient(context, serverName: name, isAddress: isAddress) else {
            throw TLSError("OpenSSL has no memory for a session")
        }
        return made
    }

    func streamConnected(_ stream: StreamHandle) {
        untried = []
        host.setDeadline(stream, host.loop.nowNanoseconds + APIConnection.headTimeoutNanoseconds)
        guard let tls else {
            established()
            return
        }
        do {
            write(try tls.start())
        } catch {
            fail("expected a TLS handshake, found \(error)")
        }
    }

    private func established() {
        isEstablished = true
        if let exchange { send(exchange) }
    }

    // MARK: Bytes

    private func send(_ exchange: APIExchange) {
        guard let stream, isEstablished else { return }
        host.setDeadline(stream, host.loop.nowNanoseconds + APIConnection.headTimeoutNanoseconds)
        guard let tls else {
            write(exchange.request)
            return
        }
        let sealed = exchange.request.withRawSpan { bytes in
            Result { () throws(TLSError) in try tls.send(bytes) }
        }
        switch sealed {
        case .success(let bytes): write(bytes)
        case .failure(let error): fail("expected to send, found \(error)")
        }
    }

    private func write(_ bytes: [UInt8]) {
        guard let stream, !bytes.isEmpty else { return }
        _ = bytes.withRawSpan { host.write(stream, $0) }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard let tls else {
            var plaintext: [UInt8] = []
            plaintext.append(copying: bytes)
            deliver(plaintext)
            return
        }
        do {
            let received = try tls.receive(bytes)
            write(received.output)
            if tls.isEstablished, !isEstablished { established() }
            deliver(received.plaintext)
            if received.hasEnded { ended() }
        } catch {
            fail("expected TLS records, found \(error)")
        }
    }

    private func deliver(_ plaintext: [UInt8]) {
        guard !plaintext.isEmpty, let stream else { return }
        guard let exchange else {
            // A server that speaks unasked is not understood.
            close()
            return
        }
        let deadline = host.loop.nowNanoseconds + exchange.silenceNanosecondsMax
        host.setDeadline(stream, deadline)
        switch exchange.receive(plaintext) {
        case .goesOn:
            if exchange.isFull { host.setPaused(stream, true) }
        case .complete(connectionIsReusable: true): rest(stream)
        case .complete, .broken: close()
        }
    }

    private func rest(_ stream: StreamHandle) {
        exchange = nil
        host.setDeadline(stream, host.loop.nowNanoseconds + APIConnection.idleTimeoutNanoseconds)
        pool?.released(self)
    }

    // MARK: Ends

    func streamEnded(_ stream: StreamHandle) { ended() }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) {
        self.stream = nil
        if !untried.isEmpty {
            connect()
            return
        }
        fail("expected a response, the connection failed: \(error)")
    }

    func streamDrained(_ stream: StreamHandle) {}

    func streamTimedOut(_ stream: StreamHandle) {
        if !untried.isEmpty {
            host.close(stream)
            self.stream = nil
            connect()
            return
        }
        fail("expected bytes in time, none came")
    }

    private func ended() {
        guard let exchange = takeUnlessRepeated() else { return }
        exchange.connectionEnded()
    }

    private func fail(_ sentence: String) {
        guard let exchange = takeUnlessRepeated() else { return }
        exchange.fail(sentence)
    }

    /// Closes the connection. A request that found an idle connection closed by the server, before a
    /// byte of its response, is sent once more on a new one: it was not served, and reading changes
    /// nothing (RFC 9112 section 9.3.1).
    ///
    /// - Returns: what it carried, if that is over.
    private func takeUnlessRepeated() -> APIExchange? {
        let carried = exchange
        close()
        guard let carried else { return nil }
        guard let pool, requestCount > 1, !carried.hasAnswer, !carried.isRepeated else {
            return carried
        }
        carried.isRepeated = true
        pool.send(carried, route, onNewConnection: true)
        return nil
    }
}
