import Addressing

/// Names a connection of one worker.
typealias ConnectionHandle = Handle<Connection>

/// One socket of the HTTP proxy, towards a client or towards an endpoint.
package struct Connection: BitwiseCopyable {
    /// Which side of the proxy it is on.
    enum Role: UInt8, BitwiseCopyable {
        case downstream
        case upstream
    }

    /// What is true of it now.
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt32

        /// The kernel may hold bytes that were not received yet.
        static let readable = Flags(rawValue: 1 << 0)
        /// Bytes are left with the kernel: the other side is slower, or a request is in hand.
        static let readPaused = Flags(rawValue: 1 << 1)
        /// The peer has ended its direction.
        static let peerEnded = Flags(rawValue: 1 << 2)
        /// Close once the output is sent.
        static let closesWhenSent = Flags(rawValue: 1 << 3)
        /// The response is out, the rest of the request is thrown away before closing.
        static let discards = Flags(rawValue: 1 << 4)
        /// A connect is under way.
        static let connecting = Flags(rawValue: 1 << 5)
        /// It has served an exchange before this one.
        static let reused = Flags(rawValue: 1 << 6)
        /// Waits on the worker's list for a turn.
        static let scheduled = Flags(rawValue: 1 << 7)
        /// Sending failed; to be closed at the end of the event.
        static let broken = Flags(rawValue: 1 << 8)
        /// TLS is spoken.
        static let tls = Flags(rawValue: 1 << 9)
        /// HTTP/2 is spoken.
        static let http2 = Flags(rawValue: 1 << 10)
        /// The first bytes have not told HTTP/1 from HTTP/2 yet.
        static let detects = Flags(rawValue: 1 << 11)
        /// Not to be used for another exchange.
        static let closesAfterExchange = Flags(rawValue: 1 << 12)
        /// Idle in an endpoint's pool.
        static let pooled = Flags(rawValue: 1 << 13)
        /// Only its own source may use it (captured traffic).
        static let unpoolable = Flags(rawValue: 1 << 14)
        /// Has HTTP/2 output to be collected at the end of the turn.
        static let collects = Flags(rawValue: 1 << 15)
        /// Its entry point may have the PROXY protocol: the worker knows its socket's own addresses.
        static let proxied = Flags(rawValue: 1 << 16)
        /// Its first bytes may be, or must be, a header of the PROXY protocol, and are not read yet.
        static let awaitsProxyHeader = Flags(rawValue: 1 << 17)
        /// Its entry point has times of its own.
        static let timed = Flags(rawValue: 1 << 18)
        /// Connections to endpoints were made in its name.
        static let named = Flags(rawValue: 1 << 19)
        /// Its client sent early data, and has not completed its handshake: what came may be a
        /// replay.
        static let early = Flags(rawValue: 1 << 23)
        /// Its entry point bounds its age.
        static let ages = Flags(rawValue: 1 << 20)
        /// Counted in the worker's tally by entry point and source.
        static let tallied = Flags(rawValue: 1 << 21)
        /// A connect is under way beside others to addresses of the same name.
        static let racing = Flags(rawValue: 1 << 22)
        /// The sending direction has been ended, the other goes on.
        static let sendEnded = Flags(rawValue: 1 << 27)
        /// Its exchanges are in `UpstreamStreams`: it is not, or not yet, one of HTTP/1.1.
        static let multiplexed = Flags(rawValue: 1 << 30)
        /// A TLS handshake with an endpoint is under way.
        static let securing = Flags(rawValue: 1 << 29)
        /// Counted among its endpoint's and its cluster's connections.
        static let counted = Flags(rawValue: 1 << 28)
        /// A TLS handshake is in hand.
        static let handshaking = Flags(rawValue: 1 << 24)
        /// Names of its listener have different certificates: each request's is compared.
        static let comparesNames = Flags(rawValue: 1 << 25)
        /// Endpoints are told of the client's certificate.
        static let forwardsCertificate = Flags(rawValue: 1 << 26)
    }

    var fd: Int32
    var role: Role
    var flags: Flags = []
    /// The network namespace its exchanges connect from, a descriptor; -1 for the node's own. Below
    /// -1 upstream: of the one client in whose name it was made (`HTTPProxy.clientKey`).
    var origin: Int32 = -1
    /// The entry point it came in by; upstream the number of its `UpstreamTransport`, -1 for
    /// HTTP/1.1 in cleartext.
    var entry: Int32 = -1
    var peer: SocketAddress
    var local: SocketAddress
    /// The peer's text, for the access log and forwarding fields.
    var peerText = AddressText()
    /// Bytes received and not parsed yet: a partial head, pipelined requests.
    var input = ByteQueue()
    /// Looks for the end of the head that `input` begins.
    var headEnd = HeadEndSearch()
    /// Bytes (ciphertext with TLS) the socket has not taken yet.
    var output = ByteQueue()
    /// The exchange in hand; none when idle or with HTTP/2 downstream.
    var exchange = Handle<Exchange>.none
    /// The body that is arriving: a request's downstream, a response's upstream.
    var body = BodyReader()
    /// Bytes thrown away while it `discards`.
    var bodyDiscarded = 0
    /// Exchanges begun.
    var exchangeCount: UInt32 = 0
    /// The endpoint and its slot's generation; -1 downstream.
    var endpoint: Int32 = -1
    var endpointGeneration: UInt32 = 0
    /// Links of the endpoint's list of idle connections; -1 for none.
    var poolNext: Int32 = -1
    var poolPrevious: Int32 = -1
    /// The number of the host table while the client's handshake is in hand, then the listener that
    /// its session is under; -1 for any and without TLS.
    var tlsListener: Int32 = -1
}

extension Connection {
    /// The number of an upstream connection's `UpstreamTransport`; -1 for HTTP/1.1 in cleartext.
    @inline(__always)
    var transport: Int32 {
        get { entry }
        set { entry = newValue }
    }
}

/// Follows one body of HTTP/1 as its bytes arrive (RFC 9112 section 6).
struct BodyReader: BitwiseCopyable {
    private(set) var framing = BodyFraming.none
    private var remaining: UInt64 = 0
    private var chunks = ChunkedDecoder()
    private(set) var isComplete = true

    init() {}

    init(_ framing: BodyFraming) {
        self.framing = framing
        switch framing {
        case .none: isComplete = true
        case .length(let length):
            remaining = length
            isComplete = length == 0
        case .chunked, .untilClose: isComplete = false
        }
    }

    /// What the next bytes are.
    enum Step: BitwiseCopyable {
        /// Payload: the first `skipped` bytes are framing, `byteCount` bytes of body follow.
        case data(skipped: Int, byteCount: Int)
        /// Framing only; more must come.
        case needMore(consumed: Int)
        /// The body ended within or after these bytes.
        case end(consumed: Int)
        /// The framing is broken.
        case fault(HTTP1Fault)
    }

    /// Bytes of a chunked body's trailer section that were taken so far.
    var trailerByteCount: Int { framing == .chunked ? chunks.trailerByteCount : 0 }

    /// Takes the next step over bytes that have arrived.
    mutating func next(_ bytes: RawSpan) -> Step {
        switch framing {
        case .none: return .end(consumed: 0)
        case .untilClose: return .data(skipped: 0, byteCount: bytes.byteCount)
        case .length:
            guard remaining > 0 else { return .end(consumed: 0) }
            let count = Int(min(UInt64(bytes.byteCount), remaining))
            remaining -= UInt64(count)
            isComplete = remaining == 0
            return .data(skipped: 0, byteCount: count)
        case .chunked: return nextChunk(bytes)
        }
    }

    private mutating func nextChunk(_ bytes: RawSpan) -> Step {
        switch chunks.next(bytes) {
        case .data(let range):
            return .data(skipped: range.lowerBound, byteCount: range.count)
        case .needMore(let consumed):
            return .needMore(consumed: consumed)
        case .end(let consumed):
            isComplete = true
            return .end(consumed: consumed)
        case .fault(let fault):
            return .fault(fault)
        }
    }

    /// The peer has closed: whether that ends the body rightly.
    mutating func peerClosed() -> Bool {
        if framing == .untilClose { isComplete = true }
        return isComplete
    }
}
