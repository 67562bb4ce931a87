import Addressing
import DataPlane
import LinuxSystem
import MeshModel
import Telemetry

/// The status endpoint's connections, on the control loop: reads HTTP/1.1 requests, hands them to
/// the router one at a time per connection, and writes the answers.
final class StatusServer: StreamDelegate, ConnectionSink {
    /// Bytes of a request head: 431 past it.
    static let headByteLimit = 16_384
    /// Bytes of a request body: 413 past it.
    static let bodyByteLimit = 65_536

    /// The numbers of the listening sockets.
    private enum Port: Int32 {
        case network = 0
        case local = 1
    }

    private struct Connection {
        var channel: StatusRequest.Channel
        var input: [UInt8] = []
        var isAnswering = false
        var hasEnded = false
    }

    private let loop: EventLoop
    private let router: StatusRouter
    private var limits: StatusLimits { router.limits }
    private let acceptor: Acceptor
    private let host: StreamHost
    private var connections: [Int32: Connection] = [:]

    /// Makes a server without sockets. To be called before the loop runs, or on its thread.
    init(loop: EventLoop, router: StatusRouter) {
        self.loop = loop
        self.router = router
        let bounds = router.limits.bounds
        acceptor = Acceptor(loop: loop)
        host = StreamHost(
            loop: loop,
            streamMax: bounds.connectionMax,
            bufferBlockMax: bounds.bufferBlockMax
        )
    }

    /// Listens on TCP.
    ///
    /// - Returns: the address with the port that was given.
    func listen(on address: SocketAddress) throws(Errno) -> SocketAddress {
        let socket = try Socket.listen(on: address, SocketConfiguration())
        let bound = try Socket.localAddress(of: socket.rawValue)
        _ = try acceptor.add(socket, port: Port.network.rawValue, isShared: false, sink: self)
        return bound
    }

    /// Listens on a local socket; every user may connect and read.
    func listen(onPath path: String) throws(Errno) {
        let socket = try Socket.listen(onPath: path, mode: 0o666)
        _ = try acceptor.add(socket, port: Port.local.rawValue, isShared: false, sink: self)
    }

    /// Takes an accepted connection, or closes it when as many as may are open.
    func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
        let socket = OwnedFD(owning: fd)
        guard connections.count < limits.bounds.connectionMax else {
            limits.connections.add()
            return
        }
        var channel = StatusRequest.Channel.network
        if port == Port.local.rawValue {
            let user = (try? Socket.peerCredentials(of: fd))?.userID
            channel = .local(userID: user ?? .max)
        }
        guard let stream = try? host.adopt(socket, delegate: self) else { return }
        connections[stream.index] = Connection(channel: channel)
        armTimeout(stream)
    }

    // MARK: StreamDelegate

    func streamConnected(_ stream: StreamHandle) {}

    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
        guard var connection = connections[stream.index] else { return }
        connection.input.append(copying: bytes)
        connections[stream.index] = connection
        let limit = StatusServer.headByteLimit + StatusServer.bodyByteLimit
        if connection.input.count > limit { host.setPaused(stream, true) }
        if !connection.isAnswering { next(stream) }
    }

    func streamEnded(_ stream: StreamHandle) {
        guard connections[stream.index]?.isAnswering == true else {
            close(stream)
            return
        }
        connections[stream.index]?.hasEnded = true
    }

    func streamFailed(_ stream: StreamHandle, _ error: Errno) { connections[stream.index] = nil }

    func streamDrained(_ stream: StreamHandle) {}

    func streamTimedOut(_ stream: StreamHandle) {
        guard let connection = connections[stream.index], !connection.input.isEmpty,
            !connection.isAnswering
        else {
            close(stream)
            return
        }
        limits.timeout.add()
        refuse(stream, 408, "expected a whole request within \(limits.bounds.requestTimeout)")
    }

    // MARK: Requests

    private func armTimeout(_ stream: StreamHandle) {
        let nanoseconds = limits.bounds.requestTimeout.wholeNanoseconds
        host.setDeadline(stream, loop.nowNanoseconds + nanoseconds)
    }

    private func next(_ stream: StreamHandle) {
        guard var connection = connections[stream.index] else { return }
        switch StatusRequestReader.read(connection.input, channel: connection.channel) {
        case .needMore: return
        case .fault(let status, let reason):
            count(status)
            refuse(stream, status, reason)
        case .request(let request, let byteCount, let keepsAlive):
            connection.input.removeFirst(byteCount)
            connection.isAnswering = true
            connections[stream.index] = connection
            host.setDeadline(stream, 0)
            answer(request, stream, keepsAlive: keepsAlive)
        case .needContinue:
            write(stream, Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
    }

    private func answer(_ request: StatusRequest, _ stream: StreamHandle, keepsAlive: Bool) {
        let bound = LoopBound(self, to: loop)
        let router = self.router
        Task {
            let response = await router.respond(to: request)
            let bytes = response.bytes(
                keepsAlive: keepsAlive,
                withoutBody: request.method == "HEAD"
            )
            _ = bound.submit { $0.finish(stream, bytes, keepsAlive: keepsAlive) }
        }
    }

    private func finish(_ stream: StreamHandle, _ bytes: [UInt8], keepsAlive: Bool) {
        guard connections[stream.index]?.isAnswering == true, host.stream(stream) != nil else {
            return
        }
        write(stream, bytes)
        guard keepsAlive, connections[stream.index]?.hasEnded == false else {
            close(stream)
            return
        }
        connections[stream.index]?.isAnswering = false
        armTimeout(stream)
        host.setPaused(stream, false)
        if connections[stream.index]?.input.isEmpty == false { next(stream) }
    }

    private func refuse(_ stream: StreamHandle, _ status: Int, _ reason: String) {
        let response = StatusResponse.refusal(status, reason)
        write(stream, response.bytes(keepsAlive: false, withoutBody: false))
        close(stream)
    }

    private func count(_ status: Int) {
        switch status {
        case 431, 414: limits.head.add()
        case 413: limits.body.add()
        default: break
        }
    }

    private func write(_ stream: StreamHandle, _ bytes: [UInt8]) {
        let exhausted = host.exhaustedCount
        bytes.withRawSpan { _ = host.write(stream, $0) }
        if host.exhaustedCount > exhausted { limits.buffers.add() }
    }

    private func close(_ stream: StreamHandle) {
        connections[stream.index] = nil
        host.close(stream, whenDrained: true)
    }
}
