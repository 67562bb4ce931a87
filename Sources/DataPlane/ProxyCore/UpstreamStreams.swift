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
    /// When bytes came last, and whether the endpoint was asked since if it is there.
    var heardNanoseconds: UInt64 = 0
    var isAsked = false
    /// Connections that wait for a protocol to be agreed on may be found to carry one exchange only.
    let isShared: Bool

    init(_ transport: UpstreamTransport, isShared: Bool) {
        self.transport = transport
        self.isShared = isShared
    }

    var isEmpty: Bool { count == 0 }
    var rowCount: Int { rows.count }

    /// Whether another exchange may join.
    var hasRoom: Bool {
        if let session { return session.takesStreams && count < session.streamMax }
        return count == 0 || isShared && count < Int(HTTP2ClientSession.streamMax)
    }

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
