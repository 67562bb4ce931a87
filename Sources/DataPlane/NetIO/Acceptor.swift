import Addressing
import LinuxSystem

/// Takes over accepted connections, on the loop's thread.
package protocol ConnectionSink: AnyObject {
    /// Owns `fd` from here on.
    ///
    /// - Parameters:
    ///   - peer: the socket's peer.
    ///   - port: the number under which the listening socket was added.
    func accepted(_ fd: Int32, peer: SocketAddress, port: Int32)
}

/// Accepts on a loop's listening sockets and hands connections to their sinks.
package final class Acceptor: EventHandler {
    /// Connections taken from one socket in one turn, so that others have theirs.
    private static let acceptBatch = 64
    private struct Listening: BitwiseCopyable {
        var fd: Int32
        var port: Int32
    }

    private let sockets: Slab<Listening>
    private var sinks: [(any ConnectionSink)?] = []
    /// Connections accepted.
    package private(set) var acceptedCount: UInt64 = 0
    /// Accepts that failed for want of descriptors or memory.
    package private(set) var failedCount: UInt64 = 0
    /// Listening sockets refused because there were as many as may be.
    package private(set) var refusedListenerCount: UInt64 = 0

    /// Makes an acceptor without sockets.
    ///
    /// - Parameter listenerMax: listening sockets that it may have.
    package init(loop: EventLoop, listenerMax: Int = 64) {
        sockets = Slab(capacity: listenerMax)
        super.init(loop: loop)
    }

    /// Names a listening socket of an acceptor.
    package struct ListeningHandle: Hashable, Sendable {
        let index: Int32
        let generation: UInt32
    }

    /// Starts accepting on a socket, which the acceptor closes when it is removed.
    ///
    /// - Parameters:
    ///   - port: a number for the sink, which tells its listeners apart by it.
    ///   - isShared: the same open socket is added to several loops.
    package func add(
        _ socket: consuming OwnedFD,
        port: Int32,
        isShared: Bool,
        sink: any ConnectionSink
    ) throws(Errno) -> ListeningHandle {
        let fd = socket.rawValue
        guard let handle = sockets.insert(Listening(fd: fd, port: port)) else {
            refusedListenerCount &+= 1
            throw Errno(24)
        }
        do {
            try loop.watchListener(
                fd,
                self,
                index: handle.index,
                generation: handle.generation,
                isShared: isShared
            )
        } catch {
            sockets.remove(handle)
            throw error
        }
        _ = socket.release()
        while sinks.count <= Int(handle.index) { sinks.append(nil) }
        sinks[Int(handle.index)] = sink
        return ListeningHandle(index: handle.index, generation: handle.generation)
    }

    /// Stops accepting and closes the socket; connections stay.
    package func remove(_ listening: ListeningHandle) {
        let handle = Handle<Listening>(
            index: listening.index,
            generation: listening.generation
        )
        guard sockets.contains(handle) else { return }
        loop.network.close(sockets[handle].fd)
        sinks[Int(handle.index)] = nil
        sockets.remove(handle)
    }

    /// Takes waiting connections.
    public override func ready(_ token: EventToken, _ readiness: Readiness) {
        let handle = token.handle(of: Listening.self)
        guard sockets.contains(handle), let sink = sinks[Int(handle.index)] else {
            loop.staleEventCount &+= 1
            return
        }
        let listening = sockets[handle]
        for _ in 0..<Acceptor.acceptBatch {
            do {
                guard let (fd, peer) = try loop.network.accept(listening.fd) else { return }
                acceptedCount &+= 1
                sink.accepted(fd, peer: peer, port: listening.port)
            } catch {
                failedCount &+= 1
                return
            }
        }
    }
}
