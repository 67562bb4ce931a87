import Addressing
import DataPlane
import LinuxSystem
import MeshModel

/// One probe to be made.
struct ProbeRequest: Sendable {
    /// Whom to ask.
    var address: SocketAddress
    /// What to ask.
    var exchange: ProbeExchange
    /// For all of it.
    var timeoutNanoseconds: UInt64
    /// Of the header of the PROXY protocol in front, which says that nobody is behind; 0 for none.
    var proxyVersion: UInt8 = 0
    /// TLS and what is asked of the certificate; `nil` for cleartext.
    var tls: (context: TLSContext, settings: BackendTLSSettings)?
}

/// Probes of endpoints on the control loop's thread, each on a connection of its own.
final class HealthProbes {
    /// Probes in hand at a time; more wait for their turn.
    static let probeMax = 64

    private let host: StreamHost

    /// Makes the streams of a loop.
    init(loop: EventLoop) {
        host = StreamHost(loop: loop, streamMax: HealthProbes.probeMax, bufferBlockMax: 256)
    }

    /// Makes a probe.
    ///
    /// - Parameter end: told once whether it succeeded.
    func begin(_ request: ProbeRequest, _ end: @escaping @Sendable (Bool) -> Void) {
        let probe = HealthProbe(host, request, end)
        probe.connect()
    }
}

/// One probe under way. Its host's stream keeps it.
private final class HealthProbe: StreamDelegate {
    private let host: StreamHost
    private let request: ProbeRequest
    private var exchange: ProbeExchange
    private var tls: TLSClient?
    private var isSent = false
    private var end: (@Sendable (Bool) -> Void)?

    init(_ host: StreamHost, _ request: ProbeRequest, _ end: @escaping @Sendable (Bool) -> Void) {
        self.host = host
        self.request = request
        self.end = end
        exchange = request.exchange
    }

    func connect() {
        if let settings = request.tls {
            tls = TLSClient(settings.context, endpoint: settings.settings)
            guard tls != nil else {
                finish(nil, succeeded: false)
                return
            }
        }
        do {
            let stream = try host.connect(to: request.address, delegate: self)
            host.setDeadline(stream, host.loop.nowNanoseconds + request.timeoutNanoseconds)
        } catch {
            finish(nil, succeeded: false)
        }
    }

    func streamConnected(_ stream: StreamHandle) {
        if request.proxyVersion > 0 {
            write(stream, ProxyHeader(ends: nil).bytes(version: request.proxyVersion))
        }
        guard end != nil else { return }
        guard let tls else {
            send(stream)
            return
        }
        do {
            write(stream, try tls.start())
        } catch {
            finish(stream, succeeded: false)
        }
    }

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard let tls else {
            var plaintext: [UInt8] = []
            plaintext.append(copying: bytes)
            take(plaintext, stream)
            return
        }
        do {
            let received = try tls.receive(bytes)
            write(stream, received.output)
            if tls.isEstablished, !isSent {
                guard tls.hasName else {
                    finish(stream, succeeded: false)
                    return
                }
                send(stream)
            }
            if end != nil, !received.plaintext.isEmpty { take(received.plaintext, stream) }
            if end != nil, received.hasEnded { finish(stream, succeeded: false) }
        } catch {
            finish(stream, succeeded: false)
        }
    }

    /// Sends the request, or is done where a connection was all that was wanted.
    private func send(_ stream: StreamHandle) {
        isSent = true
        if exchange.request.isEmpty {
            finish(stream, succeeded: true)
        } else {
            seal(stream, exchange.request)
        }
    }

    private func take(_ plaintext: [UInt8], _ stream: StreamHandle) {
        switch exchange.receive(plaintext) {
        case .undecided(let reply): if !reply.isEmpty { seal(stream, reply) }
        case .healthy: finish(stream, succeeded: true)
        case .unhealthy: finish(stream, succeeded: false)
        }
    }

    private func seal(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard let tls else {
            write(stream, bytes)
            return
        }
        let sealed = bytes.withRawSpan { bytes in
            Result { () throws(TLSError) in try tls.send(bytes) }
        }
        switch sealed {
        case .success(let bytes): write(stream, bytes)
        case .failure: finish(stream, succeeded: false)
        }
    }

    private func write(_ stream: StreamHandle, _ bytes: [UInt8]) {
        guard !bytes.isEmpty, end != nil else { return }
        _ = bytes.withRawSpan { host.write(stream, $0) }
    }

    private func finish(_ stream: StreamHandle?, succeeded: Bool) {
        guard let end else { return }
        self.end = nil
        if let stream { host.close(stream) }
        end(succeeded)
    }

    func streamEnded(_ stream: StreamHandle) { finish(stream, succeeded: false) }
    func streamFailed(_ stream: StreamHandle, _ error: Errno) { finish(nil, succeeded: false) }
    func streamDrained(_ stream: StreamHandle) {}
    func streamTimedOut(_ stream: StreamHandle) { finish(stream, succeeded: false) }
}
