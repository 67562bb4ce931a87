/// The exchanges of one connection to an endpoint that is not HTTP/1.1 in cleartext: those that
/// wait for it to be made, then, with HTTP/2, its streams.
final class UpstreamStreams {
    /// One exchange.
    struct Row: BitwiseCopyable {
        /// Its stream; 0 while it waits.
        var stream: Int32 = 0
        /// None for a free row.
        var exchange = ExchangeHandle.none
        /// What of the request's body no frame has taken yet.
        var body = ByteQueue()
        /// All of the request is in `body`.
        var isEnded = false
        /// Frames have taken some of the body.
        var isPulled = false
        /// The last frame of the request was made.
        var localEnded = false
        /// The response has ended, or the stream is closed.
        var remoteEnded = false
        /// Bytes of the response that the stream's window is owed.
        var owedByteCount: Int32 = 0
        /// Until when the endpoint must do something, monotonic nanoseconds.
        var deadlineNanoseconds: UInt64 = 0
        /// The next free row; -1 for none.
        var nextFree: Int32 = -1
    }

    let transport: UpstreamTransport
    /// The HTTP/2 session, once it is spoken.
    var session: HTTP2ClientSession?
    private var rows: [Row] = []
    private var firstFree: Int32 = -1
    /// Exchanges.
    private(set) var count = 0
    /// Streams opened.
    var openedCount = 0
    /// When the connection's deadline was set for; 0 for not at all.
    var sweepNanoseconds: UInt64 = 0
    /// Nothing is carried, and its time for that runs: what arrives meanwhile gives it no more.
    var isIdle = false
    /// How long it may carry nothing, by its cluster's policy; 0: the node's own.
    var idleNanoseconds: UInt64 = 0
    /// When bytes came last, and whether the endpoint was asked since if it is there.
    var heardNanoseconds: UInt64 = 0
    var isAsked = false
    /// Requests wait for the endpoint's settings.
    var awaitsSettings = false
    /// How many streams endpoints of this transport took last; 0 where that is not known.
    private let expectedMax: Int
    /// Connections that wait for a protocol to be agreed on may be found to carry one exchange only.
    let isShared: Bool

    init(_ transport: UpstreamTransport, isShared: Bool, expecting expectedMax: Int) {
        self.transport = transport
        self.expectedMax = expectedMax
        self.isShared = isShared
    }

    var isEmpty: Bool { count == 0 }
    var rowCount: Int { rows.count }

    /// The exchange that has been here longest of those that wait for a connection.
    var firstExchange: ExchangeHandle? { rows.first { $0.exchange != .none }?.exchange }

    /// Whether another exchange may join.
    var hasRoom: Bool {
        guard let session, session.hasSettings else {
            let most = expectedMax > 0 ? expectedMax : Int(HTTP2ClientSession.streamMax)
            return session?.takesStreams != false && (count == 0 || isShared && count < most)
        }
        return session.takesStreams && count < session.streamMax
    }

    /// Whether a stream may be opened before the endpoint's settings are there: it refuses what is
    /// more than it takes, so that one alone goes ahead where nothing is known (RFC 9113 section
    /// 5.1.2).
    var opensEarly: Bool { openedCount < max(expectedMax, 1) }

    /// Streams that are open, of those that are bound.
    var openCount: Int { rows.count { $0.stream != 0 } }

    subscript(row: Int) -> Row {
        _read { yield rows[row] }
        _modify { yield &rows[row] }
    }

    /// Adds an exchange.
    ///
    /// - Returns: its row.
    func add(_ exchange: ExchangeHandle, deadline: UInt64) -> Int {
        var row = Row()
        row.exchange = exchange
        row.deadlineNanoseconds = deadline
        isIdle = false
        count += 1
        guard firstFree >= 0 else {
            rows.append(row)
            return rows.count - 1
        }
        let index = Int(firstFree)
        firstFree = rows[index].nextFree
        rows[index] = row
        return index
    }

    /// Frees a row, whose body must have been taken or cleared.
    func remove(_ index: Int) {
        rows[index] = Row()
        rows[index].nextFree = firstFree
        firstFree = Int32(index)
        count -= 1
    }
}
