/// What a client has cost lately without asking for anything in return (RFC 9113 section 10.5).
/// What is counted is forgiven with time and with work, so that a connection that lives long is not
/// ended by what each of its days brings.
struct HTTP2Budget: BitwiseCopyable {
    /// Bytes of a DATA frame that is worth its header; one that the client's window keeps smaller
    /// is work for nothing.
    static let payingByteCount = 256
    /// How many control frames a DATA frame pays for: a window update each for its stream and its
    /// connection, a PING that measures it, one more.
    private static let paidFrames: UInt32 = 4
    /// What is forgiven each tenth of a second.
    private static let forgivenResets: UInt64 = 4
    private static let forgivenFrames: UInt64 = 10
    private static let tickNanoseconds: UInt64 = 100_000_000
    /// Streams after which all resets are forgiven.
    private static let forgivingStreams: UInt32 = 1_000

    private let limits: HTTP2Limits
    private var resets: UInt32 = 0
    private var controlFrames: UInt32 = 0
    private var continuationFrames: UInt32 = 0
    private var streams: UInt32 = 0
    private var tick: UInt64 = 0

    init(_ limits: HTTP2Limits) { self.limits = limits }

    /// Time has passed; monotonic.
    mutating func elapse(to nowNanoseconds: UInt64) {
        let now = nowNanoseconds / HTTP2Budget.tickNanoseconds
        guard now > tick else { return }
        let ticks = min(now - tick, 1_000)
        tick = now
        resets -= UInt32(min(UInt64(resets), ticks * HTTP2Budget.forgivenResets))
        controlFrames -= UInt32(min(UInt64(controlFrames), ticks * HTTP2Budget.forgivenFrames))
    }

    /// A request has begun.
    mutating func streamOpened() {
        controlFrames = 0
        streams &+= 1
        if streams % HTTP2Budget.forgivingStreams == 0 { resets = 0 }
    }

    /// A header block has begun.
    mutating func blockBegan() { continuationFrames = 0 }

    /// A DATA frame with a payload went either way.
    mutating func dataPassed() {
        controlFrames -= min(controlFrames, HTTP2Budget.paidFrames)
    }

    /// A stream was reset by the client, or for what the client did.
    ///
    /// - Returns: the limit that was reached.
    mutating func resetCounted() -> HTTP2Limit? {
        resets &+= 1
        return resets > limits.earlyResetMax ? .earlyResets : nil
    }

    /// A frame came that costs work and asks for nothing.
    ///
    /// - Returns: the limit that was reached.
    mutating func controlFrameCounted() -> HTTP2Limit? {
        controlFrames &+= 1
        return controlFrames > limits.controlFrameMax ? .controlFrames : nil
    }

    /// A CONTINUATION frame came.
    ///
    /// - Returns: the limit that was reached.
    mutating func continuationCounted() -> HTTP2Limit? {
        continuationFrames &+= 1
        return continuationFrames > limits.continuationFrameMax ? .continuationFrames : nil
    }
}
