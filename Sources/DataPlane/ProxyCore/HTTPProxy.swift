import Addressing
import LinuxSystem
import MeshModel

/// One worker's HTTP proxy: connections of both sides, the exchanges between them, and the view
/// they are routed by. Everything happens on the loop's thread.
package final class HTTPProxy: EventHandler {
    /// Bytes taken from a socket at once.
    static let receiveByteLimit = 65_536
    /// Times one connection is read in a row before others have their turn.
    static let readRoundMax = 8
    /// Blocks that were not needed for as long as this are given back to the kernel.
    static let trimStepMilliseconds: Int32 = 250
    static let trimStep = UInt64(trimStepMilliseconds) * 1_000_000
    /// Runs shorter than this are gathered before sending.
    static let gatherByteLimit = 8_192

    let limits: EngineLimits
    let timeouts: EngineTimeouts
    let connections: Slab<Connection>
    let exchanges: Slab<Exchange>
    let annexes: Slab<ExchangeAnnex>
    let pool: BufferPool
    let connectionTimers: SlotTimers
    let exchangeTimers: SlotTimers
    /// What was received, after what waited: the bytes in hand.
    let received = ScratchBuffer(
        capacity: BufferPool.blockByteCount * 2 + HTTPProxy.receiveByteLimit
    )
    /// What is being gathered for `gathering`.
    let gathered = ScratchBuffer(capacity: 131_072)
    /// Where addresses are rendered once for each connection.
    let addressScratch = ScratchBuffer(capacity: 64)
    /// Connections at entry points that bound them.
    var tally = ConnectionTally()
    /// What a listener's policy adds to the request in hand.
    let edgeText = ScratchBuffer(capacity: 32_768)
    /// Fields of the response in hand.
    let responseFields = Table<HeaderField>(count: 256, repeating: HeaderField())
    /// Field sections of both sides that were read lately.
    let fieldMemos = FieldMemos()
    let endpoints: EndpointTable
    /// What this worker counts.
    package let counters = EngineCounters()
    /// What this worker counts by listener, route and cluster.
    package let traffic: TrafficTables
    /// What this worker counts by endpoint.
    package let endpointTraffic: EndpointTraffic
    let accessLog: AccessLog
    /// Where spans go and how many are sampled; `nil` where requests are not traced.
    let tracing: Tracing?
    /// The configuration in force.
    var view = RoutingView()
    /// The connection whose output is being gathered.
    var gathering = ConnectionHandle.none
    /// The run of `received` that is to be sent on `gathering` as it is; nothing is gathered then.
    var passing = 0..<0
    /// Connections that want another turn.
    let scheduled: Table<ConnectionHandle>
    var scheduledCount = 0
    let identifiers: RequestIdentifiers
    var random: FastRandom
    /// TLS: the worker's end of all sessions, the sessions by connection slot, host tables by entry point.
    let tlsTransport = TLSTransport()
    let ciphertext = ScratchBuffer(capacity: HTTPProxy.receiveByteLimit)
    var tlsSessions: [TLSSession?] = []
    var tlsPorts: [Int32: TLSPort] = [:]
    /// What has come of ClientHellos that came in pieces, by connection slot, and the handshakes in
    /// hand on all ports.
    var greetings: [Int32: [UInt8]] = [:]
    var handshakeCount = 0
    /// Hosts that requests named on connections whose certificate is not for every host of their
    /// listener, and what was found.
    let nameMemos = Table<HostMemo>(count: HostMemo.count, repeating: HostMemo())
    /// HTTP/2 connections by connection slot, and what a response's fields are gathered in.
    var http2Connections: [HTTP2Connection?] = []
    let http2Text = ScratchBuffer(capacity: BufferPool.blockByteCount * 2)
    let http2Fields = HTTP2FieldList(capacity: HTTPProxy.http2FieldMax)
    private(set) lazy var http2Reader = HTTP2HeadReader(limits.http2)
    let http2Memory = HTTP2Memory()
    /// Connections to endpoints that are not HTTP/1.1 in cleartext, by connection slot; how they
    /// are made, by number; those of the latter that were found to speak HTTP/1.1.
    var upstreamStreams: [UpstreamStreams?] = []
    var transports: [Int32: UpstreamTransport] = [:]
    var http1Transports: Set<Int32> = []
    /// Those whose endpoints take no tunnels over HTTP/2.
    var http1Tunnels: Set<Int32> = []
    /// How many streams the endpoints of each took last.
    var streamMaxes: [Int32: Int] = [:]
    /// What TLS sessions agreed on last, by the endpoint's slot.
    var resumptions: [Int32: (transport: Int32, resumption: TLSResumption)] = [:]
    /// The fields of a message in hand that goes to an endpoint by HTTP/2.
    let writtenFields = Table<HeaderField>(count: 320, repeating: HeaderField())
    let upstreamFields = HTTP2FieldList(capacity: 512)
    /// Filter chains by the version of their set, and the version in force.
    var chainSets: [UInt32: ChainSet] = [:]
    var chainSetVersion: UInt32 = 0
    /// Numbers the calls of filters; a pause is resumed by its call's number.
    var filterCall: UInt32 = 0
    /// What filters put in the place of the piece of a body that is being shown.
    var replacedPiece: [UInt8]?
    /// The filters that live on this worker.
    package let filterStore = FilterStore()
    /// What filters are given.
    private(set) lazy var context = FilterContext(proxy: self)
    /// Leads into clients' network namespaces.
    package var gate: NamespaceGate?
    /// The mark of sockets made in clients' namespaces.
    package var originMark: UInt32 = 0
    /// Decides on and writes a block, at once, on this thread.
    package var blockSink: ((BlockRequest) -> BlockVerdict)?
    /// Reads what the packet layer saw of a source.
    package var observe: ((IPAddress) -> SourceObservation?)?
    /// Hears of filters that failed: name and reason.
    package var filterFaults: ((String, String) -> Void)?
    /// When connections whose age is bounded are too old, by slot.
    var ageEnds: [UInt64] = []
    /// Requests that came as early data, whose endpoint wants them after the handshake, by the slot of
    /// their client's connection.
    var earlyExchanges: [Int32: [ExchangeHandle]] = [:]
    /// Connections to endpoints that begin by the PROXY protocol, by the slot of their client's.
    var namedConnections: [Int32: [ConnectionHandle]] = [:]
    /// Connections of entry points with the PROXY protocol, by slot.
    var proxiedConnections: [Int32: ProxiedConnection] = [:]
    /// When the pool is looked at next; 0 while it has nothing to give back.
    var trimNanoseconds: UInt64 = 0
    /// Exchanges without a client.
    var shadowCount = 0
    /// No new requests on old connections: the process is about to end.
    var isDraining = false
    /// Why the last choice of an endpoint found none.
    var choiceRefusal = ResponseFlags.noHealthyUpstream
    /// Which bound it was, where that is `overflow`.
    var choiceOverflow = EngineCounter.breakerRequestOverflows
    /// Connections that are being made to several addresses of a name.
    var races: [AddressRace] = []
    /// Exchanges that wait for a connection, by cluster; empty where none does.
    var waitingLines: [Int32: WaitingLine] = [:]

    /// Makes a proxy on a loop.
    ///
    /// - Parameters:
    ///   - seed: for balancing and request ids; a simulation passes its own.
    ///   - log: where finished access-log text goes; `nil` for no log.
    ///   - logFormat: how a line is written; `nil` for JSON.
    ///   - tracing: how requests are traced; `nil` for not at all.
    package init(
        loop: EventLoop,
        limits: EngineLimits = EngineLimits(),
        seed: UInt64,
        log: LogRing? = nil,
        logFormat: LogFormat? = nil,
        tracing: TraceConfiguration? = nil
    ) {
        self.limits = limits
        timeouts = EngineTimeouts(limits)
        connections = Slab(capacity: limits.connectionMax)
        exchanges = Slab(capacity: limits.exchangeMax)
        annexes = Slab(capacity: limits.exchangeMax)
        pool = BufferPool(blockMax: limits.bufferBlockMax)
        let now = loop.nowNanoseconds
        connectionTimers = SlotTimers(capacity: limits.connectionMax, nowNanoseconds: now)
        exchangeTimers = SlotTimers(capacity: limits.exchangeMax, nowNanoseconds: now)
        endpoints = EndpointTable(limits)
        traffic = TrafficTables(rowMax: limits.trafficRowMax)
        endpointTraffic = EndpointTraffic(rowMax: limits.trafficRowMax)
        accessLog = AccessLog(ring: log, format: logFormat)
        self.tracing = tracing.map(Tracing.init)
        scheduled = Table(count: limits.connectionMax, repeating: .none)
        identifiers = RequestIdentifiers(seed: seed)
        random = FastRandom(seed: seed)
        super.init(loop: loop)
    }

    // MARK: Configuration

    /// Puts a view in force, with the chains its actions name by index. Exchanges in hand go on as
    /// they were routed.
    package func install(
        _ view: consuming RoutingView,
        chains: [FilterChain] = [],
        transports: [UpstreamTransport] = []
    ) {
        copyRouteNames()
        disownEndpoints(absentIn: view)
        self.view = view
        install(chains: chains)
        install(transports: transports)
        dropIdleOfAbsentEndpoints()
        adoptEndpoints()
    }

    /// Exchanges in hand keep their route's name when the view goes.
    private func copyRouteNames() {
        for index in 0..<exchanges.endIndex {
            guard let handle = exchanges.handle(at: index),
                exchanges[handle].flags.contains(.namesView)
            else { continue }
            let name = exchanges[handle].action.routeName
            let start = append(view.bytes(name), to: handle)
            let byteCount = start == nil ? 0 : name.byteCount
            exchanges[handle].action.routeName = TextRange(start: start ?? 0, byteCount: byteCount)
            exchanges[handle].flags.remove(.namesView)
        }
    }

    /// The version of the view in force.
    package var viewVersion: UInt64 { view.version }

    // MARK: Events

    /// Handles a socket's readiness.
    public override func ready(_ token: EventToken, _ readiness: Readiness) {
        let handle = token.handle(of: Connection.self)
        guard connections.contains(handle) else { return }
        switch connections[handle].role {
        case .downstream: downstreamReady(handle, readiness)
        case .upstream: upstreamReady(handle, readiness)
        }
        finishGathering()
    }

    /// Gives scheduled connections their turn, advances timers, hands log text over.
    public override func endTurn() {
        runScheduled()
        connectionTimers.advance(nowNanoseconds: loop.nowNanoseconds) { slot in
            if let handle = connections.handle(at: slot) { connectionTimedOut(handle) }
        }
        exchangeTimers.advance(nowNanoseconds: loop.nowNanoseconds) { slot in
            if let handle = exchanges.handle(at: slot) { exchangeTimedOut(handle) }
        }
        if !waitingLines.isEmpty { serveWaiting() }
        if pool.wantsTrim && trimNanoseconds <= loop.nowNanoseconds { trimPool() }
        finishGathering()
        accessLog.endTurn(nowNanoseconds: loop.nowNanoseconds)
        if let tracing { tracing.spans.endTurn(nowNanoseconds: loop.nowNanoseconds) }
    }

    /// Gives memory back that a burst took, in steps.
    private func trimPool() {
        if trimNanoseconds > 0 { pool.trim() }
        trimNanoseconds = pool.wantsTrim ? loop.nowNanoseconds &+ HTTPProxy.trimStep : 0
    }

    /// By the timers, by scheduled work, by log text that waits, by memory that is to be given back.
    public override func waitMilliseconds() -> Int32 {
        if scheduledCount > 0 { return 0 }
        let now = loop.nowNanoseconds
        let spanWait = EventHandler.sooner(
            tracing?.spans.waitMilliseconds(nowNanoseconds: now) ?? -1,
            pool.wantsTrim ? HTTPProxy.trimStepMilliseconds : -1
        )
        return EventHandler.sooner(
            accessLog.waitMilliseconds(nowNanoseconds: now),
            EventHandler.sooner(
                connectionTimers.waitMilliseconds(nowNanoseconds: now),
                EventHandler.sooner(
                    exchangeTimers.waitMilliseconds(nowNanoseconds: now),
                    spanWait
                )
            )
        )
    }

    /// Puts a connection on the list for the end of this turn or the next.
    func schedule(_ handle: ConnectionHandle) {
        guard !connections[handle].flags.contains(.scheduled) else { return }
        connections[handle].flags.insert(.scheduled)
        scheduled[scheduledCount] = handle
        scheduledCount += 1
    }

    private func runScheduled() {
        let count = scheduledCount
        for index in 0..<count {
            let handle = scheduled[index]
            guard connections.contains(handle) else { continue }
            connections[handle].flags.remove(.scheduled)
            runScheduled(handle)
            finishGathering()
        }
        for index in count..<scheduledCount { scheduled[index - count] = scheduled[index] }
        scheduledCount -= count
    }

    private func runScheduled(_ handle: ConnectionHandle) {
        let flags = connections[handle].flags
        if flags.contains(.broken) {
            connectionFailed(handle)
            return
        }
        switch connections[handle].role {
        case .downstream: resumeDownstream(handle)
        case .upstream: resumeUpstream(handle)
        }
    }

    /// A connection's sending or receiving failed.
    func connectionFailed(_ handle: ConnectionHandle) {
        switch connections[handle].role {
        case .downstream: downstreamFailed(handle)
        case .upstream: upstreamFailed(handle)
        }
    }

    /// Closes a connection and forgets it. Its exchange, if any, must have been dealt with.
    func close(_ handle: ConnectionHandle) {
        guard connections.contains(handle) else { return }
        if gathering == handle {
            gathered.reset()
            passing = 0..<0
            gathering = .none
        }
        if connections[handle].flags.contains(.pooled) { unlinkIdle(handle) }
        if connections[handle].flags.contains(.racing) { leaveRace(handle) }
        if connections[handle].flags.contains(.counted) { trackClosed(handle) }
        if connections[handle].flags.contains(.tallied) {
            tally.remove(connections[handle].peer.ip, entry: connections[handle].entry)
        }
        if connections[handle].transport >= 0 && connections[handle].role == .upstream {
            endTransport(handle)
        }
        if connections[handle].flags.contains(.named) { retireNamed(handle) }
        if connections[handle].flags.contains(.proxied) {
            proxiedConnections[handle.index] = nil
        }
        closeSessions(handle)
        loop.network.close(connections[handle].fd)
        connections[handle].input.clear(pool)
        connections[handle].output.clear(pool)
        connectionTimers.set(handle.index, 0)
        connections.remove(handle)
    }
}
