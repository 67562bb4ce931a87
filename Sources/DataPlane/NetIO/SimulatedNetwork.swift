import Addressing
import LinuxSystem

/// A network in memory with a clock of its own: every delay, short read, short write and order of
/// events comes from one seed.
///
/// It keeps the contracts of edge-triggered epoll and of stream sockets, and nothing else. One
/// thread uses it.
@safe package final class SimulatedNetwork {
    /// Bytes that one direction of a connection holds.
    private static let windowByteCount = 65_536

    private struct Stream {
        var inbound: [UInt8] = []
        var consumed = 0
        var peer: Int32
        var local: SocketAddress
        var remote: SocketAddress
        var peerEnded = false
        var wasReset = false
        var resetsOnClose = false
        var error: Errno?
        var readyAt: UInt64
        var token: UInt64?
        var loop: ObjectIdentifier?
        var wantsEvent = true

        var waitingByteCount: Int { inbound.count - consumed }
    }

    private struct Listening {
        var address: SocketAddress
        var waiting: [Int32] = []
        var token: UInt64?
        var loop: ObjectIdentifier?
    }

    /// The clock, nanoseconds; starts at one second.
    package private(set) var nowNanoseconds: UInt64 = 1_000_000_000
    /// The longest delay before a connection's bytes are seen, nanoseconds.
    package var delayNanosecondsMax: UInt64 = 2_000_000
    /// Addresses that answer no connection, neither with yes nor with no.
    package var silentAddresses: Set<SocketAddress> = []

    private var streams: [Int32: Stream] = [:]
    private var listeners: [Int32: Listening] = [:]
    private var byAddress: [SocketAddress: Int32] = [:]
    private var nextDescriptor: Int32 = 3
    private var nextPort: UInt16 = 20_000
    private var random: UInt64

    /// Makes a network whose every choice follows from the seed.
    package init(seed: UInt64) {
        random = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    }

    /// A number in 0..<bound, from the seed.
    package func choose(_ bound: Int) -> Int {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return Int(random % UInt64(max(bound, 1)))
    }

    /// Moves the clock.
    package func advance(nanoseconds: UInt64) { nowNanoseconds += nanoseconds }

    /// Descriptors that are open: the leak check of a run.
    package var openDescriptorCount: Int { streams.count + listeners.count }

    // MARK: Peers of the test

    /// Opens a listening descriptor.
    package func listen(on address: SocketAddress) -> Int32 {
        let fd = descriptor()
        listeners[fd] = Listening(address: address)
        byAddress[address] = fd
        return fd
    }

    /// Connects to a listening address; a refused connection shows as an error.
    package func connect(to address: SocketAddress) -> Int32 {
        let fd = descriptor()
        nextPort = nextPort == 60_000 ? 20_000 : nextPort + 1
        let local = SocketAddress(.loopbackIPv4, nextPort)
        var stream = Stream(peer: -1, local: local, remote: address, readyAt: delayed())
        if silentAddresses.contains(address) {
            stream.readyAt = .max
        } else if let listener = byAddress[address] {
            let other = descriptor()
            stream.peer = other
            streams[other] = Stream(peer: fd, local: address, remote: local, readyAt: delayed())
            listeners[listener]?.waiting.append(other)
        } else {
            stream.error = .connectionRefused
        }
        streams[fd] = stream
        return fd
    }

    /// Takes a waiting connection.
    package func accept(_ fd: Int32) -> (fd: Int32, peer: SocketAddress)? {
        guard var listening = listeners[fd], !listening.waiting.isEmpty else { return nil }
        let taken = listening.waiting.removeFirst()
        listeners[fd] = listening
        return (taken, streams[taken]?.remote ?? SocketAddress(.anyIPv6, 0))
    }

    /// Receives what has arrived, as a test's peer does.
    ///
    /// - Returns: `nil` when the direction has ended or was reset.
    package func read(_ fd: Int32) -> [UInt8]? {
        guard var stream = streams[fd], !stream.wasReset, stream.error == nil else { return nil }
        let bytes = Array(stream.inbound[stream.consumed...])
        stream.inbound.removeAll()
        stream.consumed = 0
        streams[fd] = stream
        if !bytes.isEmpty { streams[stream.peer]?.wantsEvent = true }
        return bytes.isEmpty && stream.peerEnded ? nil : bytes
    }

    /// Sends bytes, as a test's peer does.
    ///
    /// - Returns: how many were taken.
    package func write(_ fd: Int32, _ bytes: ArraySlice<UInt8>) -> Int {
        guard let stream = streams[fd], var peer = streams[stream.peer], !stream.wasReset else {
            return 0
        }
        let room = SimulatedNetwork.windowByteCount - peer.waitingByteCount
        let count = min(room, bytes.count)
        guard count > 0 else { return 0 }
        peer.inbound.append(contentsOf: bytes.prefix(count))
        peer.wantsEvent = true
        peer.readyAt = max(peer.readyAt, delayed())
        streams[stream.peer] = peer
        return count
    }

    // MARK: System calls

    func receive(_ fd: Int32, _ target: UnsafeMutableRawPointer, _ byteCount: Int) -> Int {
        guard var stream = streams[fd] else { return -9 }
        if stream.wasReset { return -104 }
        if let error = stream.error { return -Int(error.rawValue) }
        guard stream.readyAt <= nowNanoseconds else { return -11 }
        guard stream.waitingByteCount > 0 else { return stream.peerEnded ? 0 : -11 }
        let count = 1 + choose(min(byteCount, stream.waitingByteCount))
        unsafe stream.inbound.withUnsafeBytes { source in
            unsafe target.copyMemory(
                from: source.baseAddress.unsafelyUnwrapped + stream.consumed,
                byteCount: count
            )
        }
        stream.consumed += count
        if stream.consumed == stream.inbound.count {
            stream.inbound.removeAll()
            stream.consumed = 0
        } else {
            stream.wantsEvent = true
        }
        streams[fd] = stream
        streams[stream.peer]?.wantsEvent = true
        return count
    }

    func send(_ fd: Int32, _ source: UnsafeRawPointer, _ byteCount: Int) -> Int {
        guard let stream = streams[fd] else { return -9 }
        if stream.wasReset { return -104 }
        guard streams[stream.peer] != nil else { return -32 }
        let bytes = unsafe UnsafeRawBufferPointer(start: source, count: byteCount)
        let copied = unsafe Array(bytes.prefix(1 + choose(byteCount)))
        let count = write(fd, copied[...])
        if count < byteCount { streams[fd]?.wantsEvent = true }
        return count == 0 ? -11 : count
    }

    /// Closes a descriptor, as either side does.
    package func close(_ fd: Int32) {
        if let listening = listeners.removeValue(forKey: fd) {
            byAddress[listening.address] = nil
            for waiting in listening.waiting { close(waiting) }
            return
        }
        guard let stream = streams.removeValue(forKey: fd) else { return }
        guard var peer = streams[stream.peer] else { return }
        peer.peerEnded = true
        if stream.resetsOnClose || stream.waitingByteCount > 0 { peer.wasReset = true }
        peer.wantsEvent = true
        streams[stream.peer] = peer
    }

    /// Ends one direction.
    package func endSending(_ fd: Int32) {
        guard let stream = streams[fd] else { return }
        streams[stream.peer]?.peerEnded = true
        streams[stream.peer]?.wantsEvent = true
    }

    /// Has `close` reset the connection.
    package func resetOnClose(_ fd: Int32) { streams[fd]?.resetsOnClose = true }

    func connectError(_ fd: Int32) -> Errno? { streams[fd]?.error }

    func localAddress(_ fd: Int32) -> SocketAddress {
        streams[fd]?.local ?? listeners[fd]?.address ?? SocketAddress(.anyIPv6, 0)
    }

    func watch(_ fd: Int32, _ token: UInt64, _ loop: EventLoop) {
        streams[fd]?.token = token
        streams[fd]?.wantsEvent = true
        streams[fd]?.loop = ObjectIdentifier(loop)
        listeners[fd]?.token = token
        listeners[fd]?.loop = ObjectIdentifier(loop)
    }

    // MARK: epoll

    func wait(_ loop: EventLoop, _ milliseconds: Int32) -> [(UInt64, Readiness)] {
        let found = gather(ObjectIdentifier(loop))
        guard found.isEmpty else { return found }
        let step = milliseconds < 0 ? delayNanosecondsMax : UInt64(milliseconds) * 1_000_000
        nowNanoseconds += min(max(step, 1_000), delayNanosecondsMax + 1_000)
        return gather(ObjectIdentifier(loop))
    }

    /// Edges that are due, in an order from the seed.
    private func gather(_ loop: ObjectIdentifier) -> [(UInt64, Readiness)] {
        var found: [(UInt64, Readiness)] = []
        for fd in listeners.keys.sorted() {
            guard let listening = listeners[fd], listening.loop == loop,
                let token = listening.token, !listening.waiting.isEmpty
            else { continue }
            found.append((token, .readable))
        }
        for fd in streams.keys.sorted() {
            guard let stream = streams[fd], stream.loop == loop, let token = stream.token,
                stream.wantsEvent, stream.readyAt <= nowNanoseconds
            else { continue }
            streams[fd]?.wantsEvent = false
            found.append((token, readiness(of: stream)))
        }
        let start = choose(found.count)
        return Array(found[start...] + found[..<start])
    }

    private func readiness(of stream: Stream) -> Readiness {
        var readiness: Readiness = []
        if stream.waitingByteCount > 0 || stream.peerEnded || stream.wasReset {
            readiness.insert(.readable)
        }
        if stream.error != nil || stream.wasReset {
            readiness.formUnion([.error, .hangUp, .readable, .writable])
        }
        if stream.peerEnded { readiness.insert(.peerEnded) }
        let peerWaiting = streams[stream.peer]?.waitingByteCount ?? 0
        if peerWaiting < SimulatedNetwork.windowByteCount { readiness.insert(.writable) }
        return readiness
    }

    private func descriptor() -> Int32 {
        nextDescriptor += 1
        return nextDescriptor
    }

    private func delayed() -> UInt64 {
        nowNanoseconds + UInt64(choose(Int(delayNanosecondsMax)))
    }
}
