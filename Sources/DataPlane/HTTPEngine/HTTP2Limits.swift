/// The bounds of one HTTP/2 connection. A peer that breaks one is told ENHANCE_YOUR_CALM and
/// closed (RFC 9113 section 10.5).
package struct HTTP2Limits: BitwiseCopyable, Sendable {
    /// Streams the client may have open.
    package var concurrentStreamMax: UInt32 = 128
    /// Bytes of one header list.
    package var headerListByteLimit = 16_384
    /// Fields of one header list.
    package var fieldCountMax = 128
    /// Receive window of a stream, bytes: what a slow upstream may leave waiting.
    package var streamWindowByteCount: UInt32 = 262_144
    /// Whether extended CONNECT is announced (RFC 8441).
    package var allowsExtendedConnect = true
    /// Streams that a client may reset, or have reset by what it sends; time and each thousand
    /// streams forgive (CVE-2023-44487, CVE-2025-8671).
    package var earlyResetMax: UInt32 = 256
    /// CONTINUATION frames of one header block: a list within its limit fits in two
    /// (CVE-2024-27316, CVE-2023-45288).
    package var continuationFrameMax: UInt32 = 8
    /// Frames that ask for nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA. Streams,
    /// bodies and time forgive (CVE-2019-9511, -9512, -9515, -9518).
    package var controlFrameMax: UInt32 = 1_000

    /// Makes the default limits.
    package init() {}
}

/// Which of the bounds a peer went past.
enum HTTP2Limit {
    case concurrentStreams
    case headerListBytes
    case fieldCount
    case earlyResets
    case continuationFrames
    case controlFrames
}

/// How much of a response's body was ready to be framed.
enum HTTP2BodyOutcome {
    /// Bytes were copied; more may follow.
    case bytes(Int)
    /// Nothing is there now.
    case deferred
    /// Bytes were copied and the body ends with them.
    case end(Int)
    /// Bytes were copied, the body ends with them, and trailers that were submitted follow.
    case trailers(Int)
}

/// Hears what a session's peer asks for. Called within `HTTP2ServerSession.receive` and `collect`.
protocol HTTP2SessionOwner: AnyObject {
    /// A request's header list is complete; the spans are valid during the call.
    func http2RequestHead(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ pseudo: HTTP2Pseudo,
        endStream: Bool
    )
    /// A request's header list was refused; the session has answered.
    func http2HeadRefused(_ session: HTTP2ServerSession, stream: Int32, status: UInt16)
    /// A piece of a request's body. It stays in the peer's window until `consume` is called.
    func http2RequestData(_ session: HTTP2ServerSession, stream: Int32, _ bytes: RawSpan)
    /// A request's trailers are complete; the spans are valid during the call. The end follows.
    func http2RequestTrailers(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    )
    /// A request's trailers exceed their limits.
    func http2TrailersRefused(_ session: HTTP2ServerSession, stream: Int32)
    /// The client has ended a request.
    func http2RequestEnded(_ session: HTTP2ServerSession, stream: Int32)
    /// The client went past one of the bounds; what follows of that is the session's.
    func http2LimitReached(_ session: HTTP2ServerSession, _ limit: HTTP2Limit)
    /// A stream is gone; 0 is no error.
    func http2StreamClosed(_ session: HTTP2ServerSession, stream: Int32, errorCode: UInt32)
    /// Whether what the client sends on a stream is wanted after the last frame of its response: it
    /// is a tunnel.
    func http2IsTunnel(_ session: HTTP2ServerSession, stream: Int32) -> Bool
    /// Copies a response's body into a frame.
    func http2ResponseBody(
        _ session: HTTP2ServerSession,
        stream: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome
}
