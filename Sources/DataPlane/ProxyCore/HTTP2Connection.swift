/// One client's HTTP/2 connection: its session, its streams and how far its end is.
final class HTTP2Connection {
    /// How the end of a connection comes (RFC 9113 section 6.8).
    enum End: BitwiseCopyable {
        /// It is not near.
        case open
        /// The client has been asked to open no more streams; those on their way are served.
        case announced
        /// No stream after the last one is served.
        case final
    }

    let session: HTTP2ServerSession
    var streams = HTTP2StreamTable()
    var end = End.open
    /// Requests after which the end is announced; 0 for never.
    let requestMax: UInt32
    /// Without progress a stream is given up after as many seconds.
    let streamIdleSeconds: UInt32
    /// When the streams are looked at next, monotonic nanoseconds; 0 for not at all.
    var sweepNanoseconds: UInt64 = 0
    /// Since when a header list has been in hand; 0 for none.
    var headNanoseconds: UInt64 = 0
    /// When an idle connection that rests is closed; 0 before it rests.
    var idleNanoseconds: UInt64 = 0
    /// Frames received when the idle time began.
    var frameCount: UInt32 = 0

    init(session: HTTP2ServerSession, requestMax: UInt32, streamIdleSeconds: UInt32) {
        self.session = session
        self.requestMax = requestMax
        self.streamIdleSeconds = streamIdleSeconds
    }
}
