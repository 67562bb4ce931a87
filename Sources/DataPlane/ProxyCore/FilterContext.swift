import Addressing
import MeshModel

/// A request for a block, as a filter makes it on its worker.
package struct BlockRequest: Sendable {
    /// The socket's peer.
    package var source: IPAddress
    /// The listener's slot.
    package var listener: Int32
    /// The address and port the client dialled.
    package var destination: SocketAddress
    /// For how long, nanoseconds.
    package var ttlNanoseconds: UInt64
    /// Why, for people.
    package var reason: String
    /// Who asks.
    package var owner: BlockOwner
    /// Only count.
    package var dryRun: Bool

    /// Makes a request.
    package init(
        source: IPAddress,
        listener: Int32,
        destination: SocketAddress,
        ttlNanoseconds: UInt64,
        reason: String,
        owner: BlockOwner,
        dryRun: Bool
    ) {
        self.source = source
        self.listener = listener
        self.destination = destination
        self.ttlNanoseconds = ttlNanoseconds
        self.reason = reason
        self.owner = owner
        self.dryRun = dryRun
    }
}

/// One exchange as its filters see it. One object a worker, valid during a call only.
public final class FilterContext {
    unowned let proxy: HTTPProxy
    var exchange = ExchangeHandle.none
    var connection = ConnectionHandle.none
    /// The number of the call it is lent for.
    var call: UInt32 = 0
    /// Whether the call is of a phase that has a whole body.
    var mayReplaceBody = false
    /// Whether the call is of a phase that has a piece of a body.
    var mayReplaceData = false
    /// What the call puts in the place of its piece.
    var replacement: [UInt8]?
    /// Whether the body ends with the piece in hand; trailers may follow.
    package internal(set) var isBodyEnd = false
    /// Counts for the filter that is called.
    var tally: FilterTally?
    /// The listener of a connection that has no exchange.
    var abuseListener: Int32 = -1

    init(proxy: HTTPProxy) { self.proxy = proxy }

    /// The token by which the exchange can be resumed after a pause.
    package var token: FilterToken {
        FilterToken(index: exchange.index, generation: exchange.generation, call: call)
    }

    /// The worker's monotonic time, nanoseconds.
    package var nowNanoseconds: UInt64 { proxy.loop.nowNanoseconds }

    /// The exchange's number on this worker: no other has it until phase `log` is over.
    package var slot: Int32 { exchange.index }

    // MARK: Who and where

    /// The socket's peer: never an address from a header, be it of HTTP or of the PROXY protocol.
    package var peer: SocketAddress {
        proxy.connections.contains(connection)
            ? proxy.socketEnds(connection).peer : SocketAddress(.anyIPv6, 0)
    }

    /// The client's address: by the word of trusted proxies where the listener's policy has any,
    /// else the socket's peer. Not to be blocked: what a header says blocks nobody.
    package var clientAddress: IPAddress {
        guard exchange.isSome, proxy.exchanges[exchange].flags.contains(.knowsClient) else {
            return proxy.connections.contains(connection)
                ? proxy.connections[connection].peer.ip : .anyIPv6
        }
        return proxy.annexes[proxy.exchanges[exchange].annex].client
    }

    /// The address the client dialled.
    package var local: SocketAddress {
        proxy.connections.contains(connection)
            ? proxy.connections[connection].local : SocketAddress(.anyIPv6, 0)
    }

    /// The listener's slot; -1 where there is none.
    package var listener: Int32 {
        exchange.isSome ? proxy.exchanges[exchange].listener : abuseListener
    }

    /// The response's status; 0 while there is none. Of a local reply to gRPC, the one it had before
    /// it became a status of gRPC.
    package var status: UInt16 {
        guard exchange.isSome else { return 0 }
        let annex = proxy.exchanges[exchange].annex
        let local = proxy.annexes.contains(annex) ? proxy.annexes[annex].localStatus : 0
        return local == 0 ? proxy.exchanges[exchange].status : local
    }

    // MARK: The request

    /// Calls `body` with the method's bytes.
    package func withMethod<Result>(_ body: (RawSpan) -> Result) -> Result {
        body(proxy.headBytes(exchange).extracting(proxy.exchanges[exchange].head.methodRange))
    }

    /// Calls `body` with path and query.
    package func withPath<Result>(_ body: (RawSpan) -> Result) -> Result {
        body(proxy.headBytes(exchange).extracting(proxy.exchanges[exchange].head.pathRange))
    }

    /// Calls `body` with host and port as asked for.
    package func withAuthority<Result>(_ body: (RawSpan) -> Result) -> Result {
        body(proxy.headBytes(exchange).extracting(proxy.exchanges[exchange].head.authorityRange))
    }

    /// How many lines the request has of a name (lower case).
    package func requestHeaderCount(_ name: StaticString) -> Int {
        let bytes = proxy.headBytes(exchange)
        let fields = proxy.headFields(exchange)
        var count = 0
        for index in fields.indices where fields[index].isNamed(name, in: bytes) { count += 1 }
        return count
    }

    /// How many lines the request has of a name given as bytes (any case).
    package func requestHeaderCount(named name: RawSpan) -> Int {
        let bytes = proxy.headBytes(exchange)
        let fields = proxy.headFields(exchange)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        var count = 0
        for index in fields.indices where fields[index].isNamed(id, name, in: bytes) { count += 1 }
        return count
    }

    /// Calls `body` with the first value of a name given as bytes (any case).
    ///
    /// - Returns: `nil` when the request has no such line.
    package func withRequestHeader<Result>(
        named name: RawSpan,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        let bytes = proxy.headBytes(exchange)
        let fields = proxy.headFields(exchange)
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        for index in fields.indices where fields[index].isNamed(id, name, in: bytes) {
            return body(bytes.extracting(fields[index].valueRange))
        }
        return nil
    }

    /// Takes every line of a name out of the request.
    package func removeRequestHeader(named name: RawSpan) {
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        proxy.removeFields(exchange, id, name)
    }

    /// Appends a line to the request.
    ///
    /// - Returns: `false` when the head has no room left.
    @discardableResult
    package func addRequestHeader(named name: RawSpan, value: RawSpan) -> Bool {
        let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
        return proxy.addField(exchange, id, name, value)
    }

    /// Puts another path and query in the place of the request's. The route stays.
    ///
    /// - Returns: `false` when the head has no room left.
    @discardableResult
    package func replacePath(_ path: RawSpan) -> Bool {
        guard let start = proxy.append(path, to: exchange) else { return false }
        proxy.exchanges[exchange].head.pathOffset = start
        proxy.exchanges[exchange].head.pathLength = Int32(path.byteCount)
        proxy.exchanges[exchange].head.verbatimByteCount = 0
        return true
    }

    // MARK: State between phases and plugins

    /// The consumer's number, set by an authenticating filter; -1 for none.
    package var consumer: Int32 {
        get { proxy.exchanges[exchange].consumer }
        set { proxy.exchanges[exchange].consumer = newValue }
    }

    /// The exchange's chain, an index among those installed with the view.
    package var chain: Int32 { proxy.exchanges[exchange].action.chain }

    /// Puts another chain in the place of the exchange's, from the filter after this one on: the
    /// consumer's own filters, once it is known.
    package func goOn(with chain: Int32, from position: Int) {
        proxy.change(exchange, to: chain, at: position)
    }

    // MARK: Coupling with the packet layer

    /// Asks for the socket's peer to be blocked at this listener. Decided and written at once. A
    /// peer that named another client by the PROXY protocol is not: it speaks for many.
    ///
    /// - Returns: whether the block was granted, and if not, why; both are counted for the plugin.
    @discardableResult
    package func block(
        for duration: Duration,
        reason: String,
        owner: BlockOwner,
        dryRun: Bool
    ) -> BlockVerdict {
        guard !proxy.isProxied(connection) else {
            tally?.counts.count(.refused(.proxied))
            return .refused(.proxied)
        }
        let request = BlockRequest(
            source: peer.ip,
            listener: listener,
            destination: local,
            ttlNanoseconds: duration.wholeNanoseconds,
            reason: reason,
            owner: owner,
            dryRun: dryRun
        )
        let verdict = proxy.blockSink?(request) ?? .refused(.notCoupled)
        tally?.counts.count(verdict)
        return verdict
    }

    /// What the packet layer saw of the socket's peer; `nil` where it does not run.
    package var observation: SourceObservation? { proxy.observe?(peer.ip) }
}

extension HeaderField {
    /// Whether the field has a name given as lower-case text.
    func isNamed(_ name: StaticString, in bytes: RawSpan) -> Bool {
        bytes.equalsIgnoringCase(Int(nameOffset), Int(nameLength), name)
    }
}
