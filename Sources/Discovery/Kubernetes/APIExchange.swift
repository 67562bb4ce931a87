import Addressing
import DataPlane
import LinuxSystem

/// One request to the API server on a connection of its own, on the control loop's thread. Parts of
/// the response go to a stream; while more than `unreadByteLimit` wait there the connection is not read.
final class APIExchange: StreamDelegate {
    /// Bytes of the body that may wait for their reader.
    static let unreadByteLimit = 1_048_576
    /// Time for connecting, TLS and the response's head.
    static let headTimeoutNanoseconds: UInt64 = 30_000_000_000

    private let host: StreamHost
    private let request: [UInt8]
    private let idleTimeoutNanoseconds: UInt64
    private let continuation: AsyncStream<APIResponsePart>.Continuation
    private var tls: TLSClient?
    private var isRequestSent = false
    private var reader = APIResponseReader()
    private var stream: StreamHandle?
    private var unreadByteCount = 0
    private var isOver = false

    /// Makes an exchange; `start` begins it.
    ///
    /// - Parameters:
    ///   - idleTimeoutNanoseconds: the longest silence once the head has come.
    init(
        host: StreamHost,
        request: [UInt8],
        tls: TLSClient?,
        idleTimeoutNanoseconds: UInt64,
        continuation: AsyncStream<APIResponsePart>.Continuation
    ) {
        self.host = host
        self.request = request
        self.tls = tls
        self.idleTimeoutNanoseconds = idleTimeoutNanoseconds
        self.continuation = continuation
    }

    /// Connects and sends the request.
    func start(_ address: SocketAddress) {
        do {
            let handle = try host.connect(to: address, delegate: self)
            stream = handle
            host.setDeadline(handle, host.loop.nowNanoseconds + APIExchange.headTimeoutNanoseconds)
            try Socket.keepAlive(
                host.descriptor(of: handle),
                idleSeconds: 15,
                intervalSeconds: 5,
                probeCount: 3
            )
        } catch {
            finish(.broken("expected a connection to \(address), found \(error)"))
        }
    }

    /// The reader took so many bytes of the body.
    func taken(_ byteCount: Int) {
        unreadByteCount -= byteCount
        guard let stream, unreadByteCount <= APIExchange.unreadByteLimit / 2 else { return }
        host.setPaused(stream, false)
    }

    /// Closes the connection; no more parts follow.
    func cancel() { finish(nil) }

    func streamConnected(_ stream: StreamHandle) {
        guard let tls else {
            sendRequest()
            return
        }
        do {
            write(try tls.start())
        } catch {
            finish(.broken("expected a TLS handshake, found \(error)"))
        }
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
            if tls.isEstablished, !isRequestSent { sendRequest() }
            deliver(received.plaintext)
            if received.hasEnded { ended() }
        } catch {
            finish(.broken("expected TLS records, found \(error)"))
        }
    }

    func streamEnded(_ stream: StreamHandle) { ended() }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) {
        self.stream = nil
        finish(.broken("expected a response, the connection failed: \(error)"))
    }

    func streamDrained(_ stream: StreamHandle) {}

    func streamTimedOut(_ stream: StreamHandle) {
        finish(.broken("expected bytes in time, none came"))
    }

    private func sendRequest() {
        isRequestSent = true
        guard let tls else {
            write(request)
            return
        }
        let sealed = request.withRawSpan { bytes in
            Result { () throws(TLSError) in try tls.send(bytes) }
        }
        switch sealed {
        case .success(let bytes): write(bytes)
        case .failure(let error): finish(.broken("expected to send, found \(error)"))
        }
    }

    private func write(_ bytes: [UInt8]) {
        guard let stream, !bytes.isEmpty else { return }
        _ = bytes.withRawSpan { host.write(stream, $0) }
    }

    private func deliver(_ plaintext: [UInt8]) {
        guard !isOver, !plaintext.isEmpty else { return }
        if let stream {
            host.setDeadline(stream, host.loop.nowNanoseconds + idleTimeoutNanoseconds)
        }
        for part in reader.receive(plaintext) {
            if case .body(let bytes) = part { unreadByteCount += bytes.count }
            switch part {
            case .end, .broken:
                finish(part)
                return
            case .head, .body: continuation.yield(part)
            }
        }
        if let stream, unreadByteCount > APIExchange.unreadByteLimit {
            host.setPaused(stream, true)
        }
    }

    private func ended() {
        guard !isOver else { return }
        finish(reader.ended())
    }

    private func finish(_ last: APIResponsePart?) {
        guard !isOver else { return }
        isOver = true
        if let stream { host.close(stream) }
        stream = nil
        if let last { continuation.yield(last) }
        continuation.finish()
    }
}
