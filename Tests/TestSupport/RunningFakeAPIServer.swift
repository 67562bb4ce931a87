import Addressing
import DataPlane
import LinuxSystem

/// A fake server with the loops that it and a client run on.
package struct RunningFakeAPIServer {
    /// The server.
    package let server: LoopBound<FakeAPIServer>
    /// Streams of a loop for a client in this process.
    package let client: LoopBound<StreamHost>
    /// The port on loopback.
    package let port: UInt16
    private let loops: [LoopBound<EventLoop>]

    /// Starts a server on a free port of loopback.
    package init() throws {
        let serverLoop = try EventLoop()
        let server = FakeAPIServer()
        let host = StreamHost(loop: serverLoop) { _ in server }
        server.attach(host)
        let socket = try Socket.listen(on: SocketAddress(.loopbackIPv4, 0))
        port = try Socket.localAddress(of: socket.rawValue).port
        let acceptor = Acceptor(loop: serverLoop)
        _ = try acceptor.add(socket, port: 1, isShared: false, sink: host)
        let clientLoop = try EventLoop()
        client = LoopBound(StreamHost(loop: clientLoop), to: clientLoop)
        self.server = LoopBound(server, to: serverLoop)
        loops = [
            LoopBound(serverLoop, to: serverLoop), LoopBound(clientLoop, to: clientLoop),
        ]
        for loop in loops { try LoopThread.start(loop, name: "fake-api") }
    }

    /// Runs on the server's thread.
    package func tell(_ body: @escaping @Sendable (FakeAPIServer) -> Void) async {
        _ = await server.perform(body)
    }

    /// Asks on the server's thread.
    package func ask<Result: Sendable>(
        _ body: @escaping @Sendable (FakeAPIServer) -> Result
    ) async -> Result? {
        await server.perform(body)
    }

    /// Ends both loops.
    package func stop() { for loop in loops { loop.stop() } }
}
