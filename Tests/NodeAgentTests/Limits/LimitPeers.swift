import Addressing
import DataPlane
import LinuxSystem

/// The clients and endpoints of a test, on a loop that turns while the test waits.
final class LimitPeers {
    /// One end of a connection.
    final class Peer: StreamDelegate {
        fileprivate unowned let peers: LimitPeers
        fileprivate(set) var stream = StreamHandle.none
        /// What came, as text.
        private(set) var text = ""
        private(set) var isConnected = false
        /// The other side has ended its direction, or the connection is gone.
        private(set) var isOver = false

        fileprivate init(_ peers: LimitPeers) { self.peers = peers }

        func streamConnected(_ stream: StreamHandle) { isConnected = true }
        func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan) {
            var copy: [UInt8] = []
            copy.append(copying: bytes)
            text += String(decoding: copy, as: UTF8.self)
            peers.received?(self)
        }
        func streamEnded(_ stream: StreamHandle) { isOver = true }
        func streamFailed(_ stream: StreamHandle, _ error: Errno) { isOver = true }
        func streamDrained(_ stream: StreamHandle) {}
        func streamTimedOut(_ stream: StreamHandle) {}

        func send(_ text: String) { send(Array(text.utf8)) }

        func send(_ bytes: [UInt8]) {
            bytes.withRawSpan { _ = peers.host.write(stream, $0) }
        }

        /// Takes nothing more.
        func pause() { peers.host.setPaused(stream, true) }

        func close() { peers.host.close(stream) }
    }

    let loop: EventLoop
    private let host: StreamHost
    private let acceptor: Acceptor
    /// Connections that came to `port`.
    private(set) var accepted: [Peer] = []
    /// Where the endpoint listens.
    let port: UInt16
    /// Called with a peer that something came for.
    var received: ((Peer) -> Void)?
    /// Whether accepted connections are not read.
    var pausesAccepted = false

    init() throws {
        loop = try EventLoop()
        host = StreamHost(loop: loop)
        acceptor = Acceptor(loop: loop)
        let socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        port = try Socket.localAddress(of: socket.rawValue).port
        _ = try acceptor.add(socket, port: 0, isShared: false, sink: Sink(self))
    }

    private final class Sink: ConnectionSink {
        private unowned let peers: LimitPeers

        init(_ peers: LimitPeers) { self.peers = peers }

        func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
            let new = Peer(peers)
            guard let stream = try? peers.host.adopt(OwnedFD(owning: fd), delegate: new) else {
                return
            }
            new.stream = stream
            if peers.pausesAccepted { new.pause() }
            peers.accepted.append(new)
        }
    }

    /// Answers every request head at the endpoint.
    func answers(_ response: String = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") {
        received = { peer in
            if peer.text.hasSuffix("\r\n\r\n"), self.accepted.contains(where: { $0 === peer }) {
                peer.send(response)
            }
        }
    }

    /// Opens a connection and waits for it.
    func connect(_ port: UInt16, from source: IPAddress? = nil) throws -> Peer {
        let peer = Peer(self)
        let target = SocketAddress(.loopbackIPv4, port)
        if let source {
            let fd = try loop.network.connect(
                to: target,
                from: SocketAddress(source, 0),
                SocketConfiguration()
            )
            RawThread.sleep(milliseconds: 20)
            peer.stream = try host.adopt(OwnedFD(owning: fd), delegate: peer)
            return peer
        }
        peer.stream = try host.connect(to: target, delegate: peer)
        wait { peer.isConnected || peer.isOver }
        return peer
    }

    /// Turns the loop until something is so, at most three seconds.
    @discardableResult
    func wait(_ condition: () -> Bool) -> Bool {
        for _ in 0..<300 {
            if condition() { return true }
            loop.turn(waitingUpTo: 10)
        }
        return condition()
    }

    /// Lets what is under way arrive.
    func settle() { for _ in 0..<10 { loop.turn(waitingUpTo: 10) } }
}
