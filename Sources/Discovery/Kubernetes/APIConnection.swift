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

/// One connection to the API server on the control loop's thread: the socket, TLS, and which version
/// of HTTP was agreed on (RFC 7301). Its session carries requests; the pool says which.
final class APIConnection: StreamDelegate {
    /// Of which route it is.
    let generation: UInt64
    /// How long it waits for what.
    let timeouts: APITimeouts
    private let host: StreamHost
    private weak var pool: APIConnectionPool?
    private let route: APIRoute
    private var untried: ArraySlice<SocketAddress>
    private var tls: TLSClient?
    private var stream: StreamHandle?
    private var session: (any APISession)?
    /// Whether requests can be sent on it; there may be no room for them.
    private(set) var isReady = false
    private var isRetired = false

    /// Makes a connection that `open` opens.
    init(host: StreamHost, pool: APIConnectionPool, route: APIRoute, timeouts: APITimeouts) {
        self.host = host
        self.pool = pool
        self.route = route
        self.timeouts = timeouts
        generation = route.generation
        untried = route.addresses[...]
    }

    // MARK: For the pool

    /// Whether it carries another request now.
    var hasRoom: Bool { isReady && !isRetired && session?.hasRoom == true }

    /// Requests that it carries at a time.
    var exchangeMax: Int { session?.exchangeMax ?? 0 }

    /// Whether it carries nothing.
    var isIdle: Bool { session?.exchangeCount == 0 }

    /// Sends a request; there must be room.
    func begin(_ exchange: APIExchange) { session?.begin(exchange) }

    /// Has it carry no more requests than it does.
    func retire() {
        isRetired = true
        if !isReady || isIdle { close() }
    }

    // MARK: Opening

    /// Connects to the first address that answers.
    func open() {
        var failure = "no address"
        while let address = untried.popFirst() {
            do {
                tls = try makeTLS()
                let handle = try host.connect(to: address, delegate: self)
                stream = handle
                setDeadline(after: timeouts.connectNanoseconds)
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

    private func makeTLS() throws(TLSError) -> TLSClient? {
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
        setDeadline(after: timeouts.headNanoseconds)
        guard let tls else {
            established()
            return
        }
        do {
            send(try tls.start())
        } catch {
            fail("expected a TLS handshake, found \(error)")
        }
    }

    private func established() {
        let http2 = tls?.speaksHTTP2 == true ? APIHTTP2Session(self) : nil
        let made: any APISession = http2 ?? APIHTTP1Session(self)
        session = made
        made.start()
        if made.isReady { becameReady() }
    }

    // MARK: For the session

    /// The loop's time.
    var nowNanoseconds: UInt64 { host.loop.nowNanoseconds }

    /// Bytes that wait to be sent.
    var pendingByteCount: Int { stream.map { host.pendingByteCount($0) } ?? 0 }

    /// Sends bytes of HTTP.
    func write(_ bytes: [UInt8]) {
        guard let tls else {
            send(bytes)
            return
        }
        let sealed = bytes.withRawSpan { bytes in
            Result { () throws(TLSError) in try tls.send(bytes) }
        }
        switch sealed {
        case .success(let bytes): send(bytes)
        case .failure(let error): fail("expected to send, found \(error)")
        }
    }

    /// Stops or resumes reading.
    func setPaused(_ isPaused: Bool) {
        if let stream { host.setPaused(stream, isPaused) }
    }

    /// Sets when `timedOut` is called.
    func setDeadline(after nanoseconds: UInt64) { setDeadline(at: nowNanoseconds + nanoseconds) }

    /// Sets when `timedOut` is called, monotonic nanoseconds.
    func setDeadline(at nanoseconds: UInt64) {
        if let stream { host.setDeadline(stream, nanoseconds) }
    }

    /// Requests can be sent from now on.
    func becameReady() {
        guard !isReady, let session else { return }
        guard session.hasRoom else {
            fail("expected room for a request, the server lets no stream be opened")
            return
        }
        isReady = true
        rested()
    }

    /// There may be room for another request.
    func rested() {
        guard stream != nil, let session else { return }
        pool?.rested(self)
        // What was begun just now counts.
        guard stream != nil, session.exchangeCount == 0 else { return }
        if isRetired || !session.takesMore { close() }
    }

    /// A request that it carried is over without a whole response.
    func give(_ exchange: APIExchange, _ ending: APIEnding) { pool?.take(exchange, ending) }

    /// Closes it; it must carry nothing.
    func close() {
        if let stream { host.close(stream) }
        stream = nil
        pool?.closed(self)
    }

    /// Closes it, and gives up what it carries.
    func fail(_ sentence: String) { end(sentence, inOrder: false) }

    private func end(_ sentence: String, inOrder: Bool) {
        let pool = pool
        let wasReady = isReady
        let carried = session?.over(sentence, inOrder: inOrder) ?? []
        close()
        if wasReady {
            for (exchange, ending) in carried { pool?.take(exchange, ending) }
        } else {
            pool?.notOpened(sentence)
        }
    }

    // MARK: The stream

    private func send(_ bytes: [UInt8]) {
        guard let stream, !bytes.isEmpty else { return }
        _ = bytes.withRawSpan { host.write(stream, $0) }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard let tls else {
            var plaintext: [UInt8] = []
            plaintext.append(copying: bytes)
            session?.receive(plaintext)
            return
        }
        do {
            let received = try tls.receive(bytes)
            send(received.output)
            if tls.isEstablished, session == nil { established() }
            if !received.plaintext.isEmpty { session?.receive(received.plaintext) }
            if received.hasEnded { streamEnded(stream) }
        } catch {
            fail("expected TLS records, found \(error)")
        }
    }

    func streamEnded(_ stream: StreamHandle) {
        guard self.stream != nil else { return }
        end("expected the end of the response, the connection ended", inOrder: true)
    }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) {
        guard self.stream != nil else { return }
        self.stream = nil
        if !untried.isEmpty {
            open()
            return
        }
        fail("expected a response, the connection failed: \(error)")
    }

    func streamDrained(_ stream: StreamHandle) { session?.drained() }

    func streamTimedOut(_ stream: StreamHandle) {
        if !untried.isEmpty {
            host.close(stream)
            self.stream = nil
            open()
            return
        }
        guard let session else {
            fail("expected a connection in time, found none")
            return
        }
        session.timedOut()
    }
}
