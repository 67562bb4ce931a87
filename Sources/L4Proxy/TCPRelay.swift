import Addressing
import DataPlane
import LinuxSystem
import MeshModel

/// One worker's relay of TCP bytes: pairs of sockets, each direction copied as it comes, ended on
/// its own (half-close), and paused while the other side takes nothing.
package final class TCPRelay: EventHandler {
    private static let receiveByteLimit = 65_536
    /// Times one direction is read in a row before others have their turn.
    private static let readRoundMax = 8

    /// One direction's source and sink are the two sides of a pair.
    struct Side: BitwiseCopyable {
        var fd: Int32 = -1
        /// Bytes waiting to be sent to this side.
        var output = ByteQueue()
        var isReadable = false
        /// This side has ended its direction.
        var hasEnded = false
        /// The other side's end has been passed on to this one.
        var isShut = false
    }

    struct Pair: BitwiseCopyable {
        var client = Side()
        var endpoint = Side()
        var isConnecting = true
        var isScheduled = false
        /// The client's first bytes may be, or must be, a header of the PROXY protocol.
        var awaitsHeader = false
        /// Of the header that the endpoint of the try in hand gets; 0 for none.
        var headerVersion: UInt8 = 0
        var tries: UInt8 = 0
        var route: Int32
        /// An endpoint to use in the place of the route's destination.
        var override: SocketAddress?
        var peer: SocketAddress
        var destination: SocketAddress
    }

    let limits: RelayLimits
    let pairs: Slab<Pair>
    let pool: BufferPool
    private let timers: SlotTimers
    let scratch = ScratchBuffer(capacity: TCPRelay.receiveByteLimit)
    private let scheduled: Table<Handle<Pair>>
    private var scheduledCount = 0
    private(set) var routes: [Int32: RelayRoute] = [:]
    /// What clients sent before their endpoint was connected, by slot: a header in part, or what
    /// stands behind one.
    var firstBytes: [Int32: [UInt8]] = [:]
    /// Counts headers with those of HTTP.
    package var count: ((EngineCounter) -> Void)?
    private let gate: NamespaceGate?
    private var turn: UInt32 = 0
    /// What was counted.
    package private(set) var counters = RelayCounters()

    /// Makes a relay on a loop. Must be called on the thread that will run the loop if routes lead
    /// into other namespaces, or with `gate` made there.
    package init(loop: EventLoop, limits: RelayLimits = RelayLimits(), gate: NamespaceGate?) {
        self.limits = limits
        self.gate = gate
        pairs = Slab(capacity: limits.pairMax)
        pool = BufferPool(blockMax: limits.bufferBlockMax)
        timers = SlotTimers(capacity: limits.pairMax, nowNanoseconds: loop.nowNanoseconds)
        scheduled = Table(count: limits.pairMax, repeating: .none)
        super.init(loop: loop)
    }

    /// Pairs that are open.
    package var pairCount: Int { pairs.count }

    /// Open pairs of some route.
    package func pairCount(route: Int32) -> Int {
        var count = 0
        for index in 0..<pairs.endIndex {
            if let handle = pairs.handle(at: index), pairs[handle].route == route { count += 1 }
        }
        return count
    }

    /// Says what stands behind a relay number; `nil` forgets it. Open pairs go on.
    package func set(_ number: Int32, _ route: RelayRoute?) { routes[number] = route }

    /// Takes over a client's socket.
    ///
    /// - Parameters:
    ///   - route: the relay number.
    ///   - destination: the address the client dialled.
    ///   - override: an endpoint to use in the place of the route's own destination.
    package func adopt(
        _ fd: Int32,
        peer: SocketAddress,
        route: Int32,
        destination: SocketAddress,
        override: SocketAddress? = nil
    ) {
        guard routes[route] != nil else {
            loop.network.close(fd)
            return
        }
        var pair = Pair(route: route, override: override, peer: peer, destination: destination)
        pair.client.fd = fd
        pair.client.isReadable = true
        guard let handle = pairs.insert(pair) else {
            counters.pairLimitHits &+= 1
            loop.network.close(fd)
            return
        }
        counters.connections &+= 1
        do {
            try loop.watch(fd, self, index: handle.index * 2, generation: handle.generation)
        } catch {
            close(handle)
            return
        }
        if let proxyProtocol = routes[route]?.proxyProtocol, proxyProtocol.acceptance != .off {
            awaitHeader(handle, proxyProtocol)
        } else {
            connect(handle)
        }
    }

    // MARK: Connecting

    func connect(_ handle: Handle<Pair>) {
        while pairs[handle].tries < limits.triesMax {
            pairs[handle].tries += 1
            guard let fd = openUpstream(handle) else { continue }
            pairs[handle].endpoint.fd = fd
            pairs[handle].isConnecting = true
            setDeadline(handle, limits.connectTimeout)
            do {
                try loop.watch(
                    fd,
                    self,
                    index: handle.index * 2 + 1,
                    generation: handle.generation
                )
                return
            } catch {
                break
            }
        }
        if pairs[handle].tries >= limits.triesMax { counters.triesLimitHits &+= 1 }
        counters.connectFailures &+= 1
        reset(handle)
    }

    private func openUpstream(_ handle: Handle<Pair>) -> Int32? {
        let pair = pairs[handle]
        guard let route = routes[pair.route] else { return nil }
        var configuration = SocketConfiguration()
        configuration.mark = route.mark
        var source: SocketAddress?
        let target: SocketAddress
        switch route.destination {
        case .original: target = pair.override ?? pair.destination
        case .originalKeepingSource:
            target = pair.destination
            source = SocketAddress(pair.peer.ip, 0)
            configuration.isTransparent = true
        case .endpoints(let shares):
            guard let chosen = choose(shares) else { return nil }
            target = chosen.address
            pairs[handle].headerVersion = chosen.headerVersion
        }
        guard let gate, route.namespace >= 0 else {
            return try? loop.network.connect(to: target, from: source, configuration)
        }
        let network = loop.network
        return try? gate.inside(route.namespace) { () throws(Errno) -> Int32 in
            try network.connect(to: target, from: source, configuration)
        }
    }

    /// Weighted round robin over the shares, round robin within one.
    private func choose(
        _ shares: [RelayShare]
    ) -> (address: SocketAddress, headerVersion: UInt8)? {
        let sum = shares.reduce(0) { $0 &+ $1.weight }
        guard sum > 0 else { return nil }
        turn &+= 1
        var ticket = turn % sum
        for share in shares {
            guard ticket >= share.weight else {
                guard !share.endpoints.isEmpty else { return nil }
                let endpoint = share.endpoints[Int(turn / sum) % share.endpoints.count]
                return (endpoint, share.proxyProtocolVersion)
            }
            ticket -= share.weight
        }
        return nil
    }

    private func finishConnecting(_ handle: Handle<Pair>) {
        let fd = pairs[handle].endpoint.fd
        if loop.network.connectError(fd) != nil {
            retry(handle)
            return
        }
        pairs[handle].isConnecting = false
        setDeadline(handle, limits.idleTimeout)
        pairs[handle].endpoint.isReadable = true
        guard queueFirstBytes(handle) else {
            counters.bufferLimitHits &+= 1
            reset(handle)
            return
        }
        // A server that speaks first may have spoken with the same event.
        copy(handle, fromClient: false)
        guard pairs.contains(handle), flush(handle, toEndpoint: true) else { return }
        copy(handle, fromClient: true)
    }

    private func retry(_ handle: Handle<Pair>) {
        loop.network.close(pairs[handle].endpoint.fd)
        pairs[handle].endpoint.fd = -1
        connect(handle)
    }

    // MARK: Events

    /// Copies what has come, sends what waited.
    public override func ready(_ token: EventToken, _ readiness: Readiness) {
        let isClient = token.index % 2 == 0
        let handle = Handle<Pair>(index: token.index / 2, generation: token.generation)
        guard pairs.contains(handle) else { return }
        if pairs[handle].awaitsHeader {
            receiveHeader(handle)
            return
        }
        if !isClient && pairs[handle].isConnecting {
            if !readiness.isDisjoint(with: [.writable, .error, .hangUp]) {
                finishConnecting(handle)
            }
            return
        }
        if readiness.contains(.error) {
            reset(handle)
            return
        }
        if readiness.contains(.writable) {
            guard flush(handle, toEndpoint: !isClient) else { return }
            copy(handle, fromClient: !isClient)
            guard pairs.contains(handle) else { return }
        }
        if !readiness.isDisjoint(with: [.readable, .peerEnded, .hangUp]) {
            if isClient {
                pairs[handle].client.isReadable = true
            } else {
                pairs[handle].endpoint.isReadable = true
            }
            copy(handle, fromClient: isClient)
        }
    }

    /// Gives scheduled pairs their turn and advances timers.
    public override func endTurn() {
        let count = scheduledCount
        for index in 0..<count {
            let handle = scheduled[index]
            guard pairs.contains(handle) else { continue }
            pairs[handle].isScheduled = false
            copy(handle, fromClient: true)
            if pairs.contains(handle) { copy(handle, fromClient: false) }
        }
        for index in count..<scheduledCount { scheduled[index - count] = scheduled[index] }
        scheduledCount -= count
        timers.advance(nowNanoseconds: loop.nowNanoseconds) { slot in
            if let handle = pairs.handle(at: slot) { timedOut(handle) }
        }
    }

    /// By the timers and scheduled work.
    public override func waitMilliseconds() -> Int32 {
        scheduledCount > 0 ? 0 : timers.waitMilliseconds(nowNanoseconds: loop.nowNanoseconds)
    }

    private func timedOut(_ handle: Handle<Pair>) {
        if pairs[handle].awaitsHeader {
            count?(.proxyHeaderTimeouts)
            reset(handle)
        } else if pairs[handle].isConnecting {
            counters.connectTimeouts &+= 1
            retry(handle)
        } else {
            counters.idleTimeouts &+= 1
            close(handle)
        }
    }

    // MARK: Copying

    private func copy(_ handle: Handle<Pair>, fromClient: Bool) {
        for _ in 0..<TCPRelay.readRoundMax {
            guard pairs.contains(handle), !pairs[handle].isConnecting else { return }
            let source = fromClient ? pairs[handle].client : pairs[handle].endpoint
            let sink = fromClient ? pairs[handle].endpoint : pairs[handle].client
            guard source.isReadable, !source.hasEnded, sink.output.isEmpty else { return }
            let outcome = loop.network.receive(
                source.fd,
                into: scratch,
                at: 0,
                byteLimit: TCPRelay.receiveByteLimit
            )
            switch outcome {
            case .received(let count):
                send(handle, scratch.bytes(0, count), toEndpoint: fromClient)
            case .blocked:
                setReadable(handle, fromClient, false)
                return
            case .ended:
                ended(handle, fromClient: fromClient)
                return
            case .failed:
                reset(handle)
                return
            }
        }
        schedule(handle)
    }

    private func send(_ handle: Handle<Pair>, _ bytes: RawSpan, toEndpoint: Bool) {
        if toEndpoint {
            counters.bytesUp &+= UInt64(bytes.byteCount)
        } else {
            counters.bytesDown &+= UInt64(bytes.byteCount)
        }
        setDeadline(handle, limits.idleTimeout)
        let fd = toEndpoint ? pairs[handle].endpoint.fd : pairs[handle].client.fd
        let (count, outcome) = loop.network.send(fd, bytes)
        if case .failed = outcome {
            reset(handle)
            return
        }
        guard count < bytes.byteCount else { return }
        let rest = bytes.extracting(count..<bytes.byteCount)
        let kept =
            toEndpoint
            ? pairs[handle].endpoint.output.append(rest, pool)
            : pairs[handle].client.output.append(rest, pool)
        if !kept {
            counters.bufferLimitHits &+= 1
            reset(handle)
        }
    }

    /// Sends what waits for a side.
    ///
    /// - Returns: whether the pair is still there and nothing waits for that side.
    private func flush(_ handle: Handle<Pair>, toEndpoint: Bool) -> Bool {
        let outcome: SendOutcome
        if toEndpoint {
            let fd = pairs[handle].endpoint.fd
            outcome = loop.network.send(fd, &pairs[handle].endpoint.output, pool)
        } else {
            let fd = pairs[handle].client.fd
            outcome = loop.network.send(fd, &pairs[handle].client.output, pool)
        }
        switch outcome {
        case .sent:
            passEndOn(handle, toEndpoint: toEndpoint)
            return pairs.contains(handle)
        case .blocked: return false
        case .failed:
            reset(handle)
            return false
        }
    }

    private func ended(_ handle: Handle<Pair>, fromClient: Bool) {
        if fromClient {
            pairs[handle].client.hasEnded = true
        } else {
            pairs[handle].endpoint.hasEnded = true
        }
        passEndOn(handle, toEndpoint: fromClient)
    }

    /// Ends a side's direction once the other has ended and everything was sent; closes when both
    /// have.
    private func passEndOn(_ handle: Handle<Pair>, toEndpoint: Bool) {
        let source = toEndpoint ? pairs[handle].client : pairs[handle].endpoint
        let sink = toEndpoint ? pairs[handle].endpoint : pairs[handle].client
        guard source.hasEnded, sink.output.isEmpty, !sink.isShut else { return }
        loop.network.endSending(sink.fd)
        if toEndpoint {
            pairs[handle].endpoint.isShut = true
        } else {
            pairs[handle].client.isShut = true
        }
        if pairs[handle].endpoint.isShut && pairs[handle].client.isShut { close(handle) }
    }

    private func setReadable(_ handle: Handle<Pair>, _ isClient: Bool, _ value: Bool) {
        if isClient {
            pairs[handle].client.isReadable = value
        } else {
            pairs[handle].endpoint.isReadable = value
        }
    }

    private func schedule(_ handle: Handle<Pair>) {
        guard pairs.contains(handle), !pairs[handle].isScheduled else { return }
        pairs[handle].isScheduled = true
        scheduled[scheduledCount] = handle
        scheduledCount += 1
    }

    func setDeadline(_ handle: Handle<Pair>, _ duration: Duration) {
        let parts = duration.components
        let nanoseconds =
            UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
        timers.set(handle.index, loop.nowNanoseconds &+ nanoseconds)
    }

    /// Closes a pair so that both sides see it was not an end.
    func reset(_ handle: Handle<Pair>) {
        loop.network.resetOnClose(pairs[handle].client.fd)
        if pairs[handle].endpoint.fd >= 0 {
            loop.network.resetOnClose(pairs[handle].endpoint.fd)
        }
        close(handle)
    }

    private func close(_ handle: Handle<Pair>) {
        loop.network.close(pairs[handle].client.fd)
        if pairs[handle].endpoint.fd >= 0 { loop.network.close(pairs[handle].endpoint.fd) }
        pairs[handle].client.output.clear(pool)
        pairs[handle].endpoint.output.clear(pool)
        if !firstBytes.isEmpty { firstBytes[handle.index] = nil }
        timers.set(handle.index, 0)
        pairs.remove(handle)
    }
}
