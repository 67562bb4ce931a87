import Addressing

/// Names an exchange of one worker.
typealias ExchangeHandle = Handle<Exchange>

/// A request head in its exchange's block: offsets from the block's start, neutral to the protocol
/// it came by.
package struct RequestHead: BitwiseCopyable {
    var method = HTTPMethod.other
    var methodOffset: Int32 = 0
    var methodLength: Int32 = 0
    /// Path and query.
    var pathOffset: Int32 = 0
    var pathLength: Int32 = 0
    /// The path alone.
    var pathOnlyLength: Int32 = 0
    var authorityOffset: Int32 = 0
    var authorityLength: Int32 = 0
    var minorVersion: UInt8 = 1
    var isHTTP2 = false
    var isTLS = false
    /// What the request wants its bytes to become.
    var tunnel = Tunnel.none
    var framing = BodyFraming.none
    var fieldCount: Int32 = 0
    /// Bytes of request line and fields as they came by HTTP/1.1, when they may be passed on in one
    /// piece where no field of `present` is to be left out; 0 when they may not.
    var verbatimByteCount: Int32 = 0
    /// The noted names among the fields that came.
    var present = HeaderMask()
    /// Bytes of the block in use by head and appended text.
    var byteCount: Int32 = 0

    init() {}

    /// The head of a request that came by HTTP/1.
    @inline(__always)
    init(_ parsed: borrowing HTTP1RequestHead) {
        method = parsed.method
        methodOffset = Int32(truncatingIfNeeded: parsed.methodOffset)
        methodLength = Int32(truncatingIfNeeded: parsed.methodLength)
        pathOffset = Int32(truncatingIfNeeded: parsed.pathOffset)
        pathLength = Int32(truncatingIfNeeded: parsed.pathLength)
        authorityOffset = Int32(truncatingIfNeeded: parsed.authorityOffset)
        authorityLength = Int32(truncatingIfNeeded: parsed.authorityLength)
        minorVersion = parsed.minorVersion
        framing = parsed.framing
        fieldCount = Int32(truncatingIfNeeded: parsed.fieldCount)
        byteCount = Int32(truncatingIfNeeded: parsed.headByteCount)
        present = parsed.present
        if parsed.isVerbatim { verbatimByteCount = byteCount &- 2 }
    }
}

/// One request with its response, whatever protocols carry them.
package struct Exchange: BitwiseCopyable {
    /// What is true of it now.
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt32

        /// The whole request has been received.
        static let requestEnded = Flags(rawValue: 1 << 0)
        /// The response's head has gone downstream.
        static let responseStarted = Flags(rawValue: 1 << 1)
        /// The whole response has been received from upstream.
        static let responseEnded = Flags(rawValue: 1 << 2)
        /// The response body goes downstream in chunks.
        static let chunkedResponse = Flags(rawValue: 1 << 3)
        /// Some of the request's body has been forwarded.
        static let bodyForwarded = Flags(rawValue: 1 << 4)
        /// A filter holds the request.
        static let paused = Flags(rawValue: 1 << 5)
        /// A filter waits for the whole request.
        static let buffering = Flags(rawValue: 1 << 6)
        /// The response is a local reply.
        static let local = Flags(rawValue: 1 << 7)
        /// The head has been handed to an upstream connection.
        static let dispatched = Flags(rawValue: 1 << 9)
        /// A filter of the chain wants the response.
        static let filtersResponse = Flags(rawValue: 1 << 10)
        /// HTTP/2: the downstream stream is gone.
        static let streamClosed = Flags(rawValue: 1 << 11)
        /// Holds its chain's set.
        static let usesChain = Flags(rawValue: 1 << 12)
        /// A filter of the chain wants the request's body as it comes.
        static let filtersBody = Flags(rawValue: 1 << 13)
        /// The response's head has come, or a local reply is ready, and filters have it.
        static let responseHeld = Flags(rawValue: 1 << 14)
        /// The request has trailers.
        static let requestTrailers = Flags(rawValue: 1 << 15)
        /// The response has trailers.
        static let responseTrailers = Flags(rawValue: 1 << 16)
        /// Its route's name is in the text of the view in force.
        static let namesView = Flags(rawValue: 1 << 17)
        /// Forwarding fields stand among the request's own, as its listener's policy wants them.
        static let forwards = Flags(rawValue: 1 << 24)
        /// Its annex knows the client behind trusted proxies.
        static let knowsClient = Flags(rawValue: 1 << 25)
        /// Its annex bounds a body that does not say its length.
        static let boundedBody = Flags(rawValue: 1 << 26)
        /// Bytes flow both ways as they come.
        static let tunnel = Flags(rawValue: 1 << 27)
        /// Its own deadline is that of its waiting for a connection.
        static let timesWaiting = Flags(rawValue: 1 << 31)
        /// Retries, times or copies by policy: its annex has the row.
        static let ruled = Flags(rawValue: 1 << 20)
        /// A second try of another exchange, without a client.
        static let hedge = Flags(rawValue: 1 << 22)
        /// Waits for its next try, without a connection.
        static let awaitsRetry = Flags(rawValue: 1 << 21)
        /// Its cluster has policies that count what becomes of it.
        static let tracked = Flags(rawValue: 1 << 28)
        /// Its connection is not made yet, or it waits for one; counted as pending.
        static let awaitsConnection = Flags(rawValue: 1 << 29)
        /// Its last response operation tells the client of its tie to the endpoint.
        static let tellsAffinity = Flags(rawValue: 1 << 30)
        /// The response said a status of gRPC: `grpcStatus`.
        static let grpc = Flags(rawValue: 1 << 18)
        /// Its annex has a change of target that is still to be made.
        static let changesTarget = Flags(rawValue: 1 << 8)
        /// Its annex has the target as it was asked for.
        static let changedTarget = Flags(rawValue: 1 << 23)
        /// A span of it is written when it ends.
        static let traced = Flags(rawValue: 1 << 19)
    }

    var downstream: ConnectionHandle
    /// The HTTP/2 stream; 0 with HTTP/1.
    var stream: Int32 = 0
    var upstream = ConnectionHandle.none
    /// Its row among the upstream connection's `UpstreamStreams`, from 1; 0 with HTTP/1.
    var upstreamStream: Int32 = 0
    var flags: Flags = []
    /// Head bytes, field table and response operations.
    var block: BufferPool.Block
    var head = RequestHead()
    var entry: Int32
    var listener: Int32 = -1
    var action = RoutedAction()
    /// Request body held back for a filter or a connecting upstream (HTTP/2, buffering).
    var requestBody = ByteQueue()
    /// Response body waiting for the HTTP/2 stream's window.
    var responseBody = ByteQueue()
    /// Bytes of the request that the HTTP/2 client's window is still owed.
    var unconsumedByteCount = 0
    var tries: UInt8 = 0
    /// Interim responses that came before the response.
    var interimCount: UInt8 = 0
    var responseFlags: ResponseFlags = []
    var status: UInt16 = 0
    /// The status of gRPC, where the flags say that there is one.
    var grpcStatus: UInt8 = 0
    /// Monotonic times, nanoseconds; 0 for not yet.
    var startNanoseconds: UInt64
    var upstreamStartNanoseconds: UInt64 = 0
    var upstreamHeadNanoseconds: UInt64 = 0
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    /// The request id: 128 bits.
    var requestID = Digits32()
    var upstreamAddress = SocketAddress(.anyIPv6, 0)
    var upstreamText = AddressText()
    /// Which filter replied, an index of the chain; -1 for none.
    var replier: Int16 = -1
    /// The authenticated consumer's number; -1 for none.
    var consumer: Int32 = -1
    /// What it keeps besides, with filters or trailers; none without.
    var annex = AnnexHandle.none
}

/// What an exchange keeps of the view it was routed by, so that it pins none.
struct RoutedAction: BitwiseCopyable {
    var cluster: Int32 = -1
    var chain: Int32 = -1
    /// The chain's set when the exchange was routed; chains of older sets live until their last
    /// exchange ends.
    var chainSet: UInt32 = 0
    var routeRow: Int32 = -1
    var requestTimeoutNanoseconds: UInt64 = 0
    /// Header operations copied to the block: the response's, then the request's.
    var responseOperationCount: Int32 = 0
    var requestOperationCount: Int32 = 0
    /// The route's name: in the text of the view in force, or copied to the block when another view
    /// came.
    var routeName = TextRange()

    /// Takes over an action but for its cluster, and keeps the operations that were copied already.
    @inline(__always)
    mutating func adopt(_ row: ActionRow, _ chainSet: UInt32) {
        chain = row.chain
        self.chainSet = chainSet
        routeRow = row.routeRow
        requestTimeoutNanoseconds = row.requestTimeoutNanoseconds
        routeName = row.routeName
    }
}

/// Where the parts of an exchange's block are.
enum ExchangeBlock {
    /// Room for the head's bytes and for text appended to it.
    static let textByteLimit = 24_576
    /// Where the field table begins.
    static let fieldOffset = 24_576
    /// Fields of a request, those added by the proxy included.
    static let fieldMax = 256
    /// Where copied operations begin.
    static let operationOffset = fieldOffset + fieldMax * MemoryLayout<HeaderField>.stride
    /// Operations that can be copied.
    static let operationMax =
        (BufferPool.blockByteCount - operationOffset) / MemoryLayout<OperationRow>.stride
}

/// Why an exchange ended as it did; shown as Envoy's response flags.
package struct ResponseFlags: OptionSet, BitwiseCopyable, Sendable {
    /// The bits.
    package let rawValue: UInt16

    /// Makes a set of bits.
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `NR`: no route matched.
    package static let noRoute = ResponseFlags(rawValue: 1 << 0)
    /// `UH`: no endpoint is ready.
    package static let noHealthyUpstream = ResponseFlags(rawValue: 1 << 1)
    /// `UF`: no connection could be made.
    package static let upstreamConnectFailure = ResponseFlags(rawValue: 1 << 2)
    /// `UC`: the upstream closed the connection.
    package static let upstreamClosed = ResponseFlags(rawValue: 1 << 3)
    /// `UT`: the upstream took too long.
    package static let upstreamTimeout = ResponseFlags(rawValue: 1 << 4)
    /// `UPE`: the upstream broke the protocol.
    package static let upstreamProtocolError = ResponseFlags(rawValue: 1 << 5)
    /// `DC`: the client went away.
    package static let downstreamClosed = ResponseFlags(rawValue: 1 << 6)
    /// `DPE`: the client broke the protocol.
    package static let downstreamProtocolError = ResponseFlags(rawValue: 1 << 7)
    /// `UO`: a limit of the engine was reached.
    package static let overflow = ResponseFlags(rawValue: 1 << 8)
    /// `NC`: the backend reference is invalid.
    package static let invalidBackend = ResponseFlags(rawValue: 1 << 9)
    /// `FI`: a filter failed.
    package static let filterFailure = ResponseFlags(rawValue: 1 << 10)
    /// `LR`: a filter replied.
    package static let localReply = ResponseFlags(rawValue: 1 << 11)
    /// `DT`: the client took too long.
    package static let downstreamTimeout = ResponseFlags(rawValue: 1 << 12)
    /// `URX`: the tries were used up.
    package static let triesUsedUp = ResponseFlags(rawValue: 1 << 13)

    /// `SI`: nothing moved in a stream or tunnel for too long.
    package static let streamIdleTimeout = ResponseFlags(rawValue: 1 << 14)

    /// Bits by their text, in the order they are shown.
    static let names: [(flag: ResponseFlags, name: StaticString)] = [
        (.noRoute, "NR"), (.noHealthyUpstream, "UH"), (.upstreamConnectFailure, "UF"),
        (.upstreamClosed, "UC"), (.upstreamTimeout, "UT"), (.upstreamProtocolError, "UPE"),
        (.downstreamClosed, "DC"), (.downstreamProtocolError, "DPE"), (.overflow, "UO"),
        (.invalidBackend, "NC"), (.filterFailure, "FI"), (.localReply, "LR"),
        (.downstreamTimeout, "DT"), (.triesUsedUp, "URX"), (.streamIdleTimeout, "SI"),
    ]
}
