import Addressing
import LinuxSystem

/// Names a stream of a `StreamHost`.
package typealias StreamHandle = Handle<StreamHost.Stream>

/// Hears what happens on a host's streams, on the loop's thread. A stream may be closed in any of
/// these calls.
package protocol StreamDelegate: AnyObject {
    /// An outgoing connection is established.
    func streamConnected(_ stream: StreamHandle)
    /// Bytes came; they are valid during the call.
    func streamReceived(_ stream: StreamHandle, _ bytes: RawSpan)
    /// The peer ended its direction; what was written is still sent.
    func streamEnded(_ stream: StreamHandle)
    /// The connection failed or could not be made. The stream is closed already.
    func streamFailed(_ stream: StreamHandle, _ error: Errno)
    /// Everything written has been sent.
    func streamDrained(_ stream: StreamHandle)
    /// The deadline set for the stream has passed.
    func streamTimedOut(_ stream: StreamHandle)
}

/// Byte streams for the control loop: the status endpoint and the API client. Simple before fast;
/// the data path has its own connections.
package final class StreamHost: EventHandler, ConnectionSink {
    /// One stream.
    package struct Stream: BitwiseCopyable {
        fileprivate var fd: Int32
        fileprivate var output = ByteQueue()
        fileprivate var isConnecting: Bool
        fileprivate var isReadPaused = false
        fileprivate var isReadable = false
        fileprivate var closesWhenDrained = false
        fileprivate var hasEnded = false
        /// The socket's peer.
        package fileprivate(set) var peer: SocketAddress
        /// The number of the listening socket; -1 for outgoing streams.
        package fileprivate(set) var port: Int32
    }

    /// Streams open at once.
    package let streamMax: Int
    private static let receiveByteLimit = 65_536

    private let streams: Slab<Stream>
    private let delegates: DelegateTable
    private let pool: BufferPool
    private let scratch = ScratchBuffer(capacity: StreamHost.receiveByteLimit)
    private let timers: SlotTimers
    private let listenDelegate: (Int32) -> (any StreamDelegate)?

    private final class DelegateTable {
        var delegates: [(any StreamDelegate)?]

        init(count: Int) { delegates = Array(repeating: nil, count: count) }
    }

    /// Makes a host.
    ///
    /// - Parameters:
    ///   - bufferBlockMax: blocks of 32 KiB for output that the peers have not taken yet.
    ///   - listenDelegate: who hears of accepted streams, by listening port number.
    package init(
        loop: EventLoop,
        streamMax: Int = 1_024,
        bufferBlockMax: Int = 4_096,
        listenDelegate: @escaping (Int32) -> (any StreamDelegate)? = { _ in nil }
    ) {
        self.streamMax = streamMax
        streams = Slab(capacity: streamMax)
        delegates = DelegateTable(count: streamMax)
        pool = BufferPool(blockMax: bufferBlockMax)
        timers = SlotTimers(capacity: streamMax, nowNanoseconds: loop.nowNanoseconds)
        self.listenDelegate = listenDelegate
        super.init(loop: loop)
    }

    /// Streams ended because their output found no block.
    package private(set) var exhaustedCount: UInt64 = 0

    /// How many streams are open.
    package var streamCount: Int { streams.count }

    /// Begins a connection.
    package func connect(
        to address: SocketAddress,
        delegate: any StreamDelegate
    ) throws(Errno) -> StreamHandle {
        let fd = try loop.network.connect(to: address, from: nil, SocketConfiguration())
        let stream = Stream(fd: fd, isConnecting: true, peer: address, port: -1)
        return try add(stream, delegate)
    }

    /// Takes over a connected descriptor.
    package func adopt(
        _ socket: consuming OwnedFD,
        delegate: any StreamDelegate
    ) throws(Errno) -> StreamHandle {
        let peer = (try? Socket.peerAddress(of: socket.rawValue)) ?? SocketAddress(.anyIPv6, 0)
        let stream = Stream(fd: socket.release(), isConnecting: false, peer: peer, port: -1)
        return try add(stream, delegate)
    }

    /// Takes an accepted connection, or closes it when `streamMax` are open.
    package func accepted(_ fd: Int32, peer: SocketAddress, port: Int32) {
        guard let delegate = listenDelegate(port) else {
            loop.network.close(fd)
            return
        }
        _ = try? add(Stream(fd: fd, isConnecting: false, peer: peer, port: port), delegate)
    }

    /// The socket's peer and listening port number.
    package func stream(_ handle: StreamHandle) -> Stream? {
        streams.contains(handle) ? streams[handle] : nil
    }

    /// The stream's descriptor, for socket options; -1 when it is closed.
    package func descriptor(of handle: StreamHandle) -> Int32 {
        streams.contains(handle) ? streams[handle].fd : -1
    }

    /// Sends bytes, keeping what the socket does not take at once.
    ///
    /// - Returns: `false` when the stream is closed, or was closed for want of buffers.
    @discardableResult
    package func write(_ handle: StreamHandle, _ bytes: RawSpan) -> Bool {
        guard streams.contains(handle) else { return false }
        var sent = 0
        if streams[handle].output.isEmpty && !streams[handle].isConnecting {
            let (count, outcome) = loop.network.send(streams[handle].fd, bytes)
            if case .failed(let error) = outcome {
                fail(handle, error)
                return false
            }
            sent = count
        }
        guard sent < bytes.byteCount else { return true }
        let rest = bytes.extracting(sent..<bytes.byteCount)
        guard streams[handle].output.append(rest, pool) else {
            exhaustedCount &+= 1
            fail(handle, Errno(12))
            return false
        }
        return true
    }

    /// Bytes written and not sent yet.
    package func pendingByteCount(_ handle: StreamHandle) -> Int {
        streams.contains(handle) ? streams[handle].output.byteCount : 0
    }

    /// Stops or resumes receiving: back pressure towards the peer.
    package func setPaused(_ handle: StreamHandle, _ isPaused: Bool) {
        guard streams.contains(handle) else { return }
        streams[handle].isReadPaused = isPaused
        if !isPaused && streams[handle].isReadable { receive(handle) }
    }

    /// Sets when `streamTimedOut` is called, monotonic nanoseconds; 0 for never.
    package func setDeadline(_ handle: StreamHandle, _ deadlineNanoseconds: UInt64) {
        guard streams.contains(handle) else { return }
        timers.set(handle.index, deadlineNanoseconds)
    }

    /// Closes, after sending what is pending if asked.
    package func close(_ handle: StreamHandle, whenDrained: Bool = false) {
        guard streams.contains(handle) else { return }
        if whenDrained && !streams[handle].output.isEmpty {
            streams[handle].closesWhenDrained = true
            return
        }
        loop.network.close(streams[handle].fd)
        streams[handle].output.clear(pool)
        timers.set(handle.index, 0)
        delegates.delegates[Int(handle.index)] = nil
        streams.remove(handle)
    }

    // MARK: Events

    /// Receives and sends what is possible.
    public override func ready(_ token: EventToken, _ readiness: Readiness) {
        let handle = token.handle(of: Stream.self)
        guard streams.contains(handle) else {
            loop.staleEventCount &+= 1
            return
        }
        if streams[handle].isConnecting {
            guard finishConnecting(handle, readiness) else { return }
        }
        if readiness.contains(.writable) { flush(handle) }
        guard streams.contains(handle) else { return }
        if !readiness.isDisjoint(with: [.readable, .error, .hangUp, .peerEnded]) {
            streams[handle].isReadable = true
            if !streams[handle].isReadPaused { receive(handle) }
        }
    }

    /// Advances deadlines.
    public override func endTurn() {
        timers.advance(nowNanoseconds: loop.nowNanoseconds) { slot in
            guard let handle = streams.handle(at: slot) else { return }
            delegates.delegates[Int(slot)]?.streamTimedOut(handle)
        }
    }

    /// By the streams' deadlines.
    public override func waitMilliseconds() -> Int32 {
        timers.waitMilliseconds(nowNanoseconds: loop.nowNanoseconds)
    }

    private func add(
        _ stream: Stream,
        _ delegate: any StreamDelegate
    ) throws(Errno) -> StreamHandle {
        guard let handle = streams.insert(stream) else {
            loop.network.close(stream.fd)
            throw Errno(24)
        }
        delegates.delegates[Int(handle.index)] = delegate
        do {
            try loop.watch(stream.fd, self, handle)
        } catch {
            close(handle)
            throw error
        }
        return handle
    }

    private func finishConnecting(_ handle: StreamHandle, _ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.writable, .error, .hangUp]) else { return false }
        if let error = loop.network.connectError(streams[handle].fd) {
            fail(handle, error)
            return false
        }
        streams[handle].isConnecting = false
        delegates.delegates[Int(handle.index)]?.streamConnected(handle)
        return streams.contains(handle)
    }

    private func flush(_ handle: StreamHandle) {
        guard !streams[handle].output.isEmpty else { return }
        let fd = streams[handle].fd
        let outcome = loop.network.send(fd, &streams[handle].output, pool)
        if case .failed(let error) = outcome {
            fail(handle, error)
            return
        }
        guard outcome == .sent else { return }
        if streams[handle].closesWhenDrained {
            close(handle)
        } else {
            delegates.delegates[Int(handle.index)]?.streamDrained(handle)
        }
    }

    private func receive(_ handle: StreamHandle) {
        let scratch = self.scratch
        while streams.contains(handle), !streams[handle].isReadPaused, !streams[handle].hasEnded {
            let outcome = loop.network.receive(
                streams[handle].fd,
                into: scratch,
                at: 0,
                byteLimit: StreamHost.receiveByteLimit
            )
            guard let delegate = delegates.delegates[Int(handle.index)] else { return }
            switch outcome {
            case .received(let count):
                delegate.streamReceived(handle, scratch.bytes(0, count))
            case .ended:
                streams[handle].hasEnded = true
                delegate.streamEnded(handle)
            case .blocked:
                streams[handle].isReadable = false
                return
            case .failed(let error):
                fail(handle, error)
            }
        }
    }

    private func fail(_ handle: StreamHandle, _ error: Errno) {
        let delegate = delegates.delegates[Int(handle.index)]
        close(handle)
        delegate?.streamFailed(handle, error)
    }
}
