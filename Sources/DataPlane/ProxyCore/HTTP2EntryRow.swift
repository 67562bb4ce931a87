import MeshModel

/// What an entry point's policy sets for the versions of HTTP that it speaks; 0 stands for the
/// node's own limits.
struct HTTP2EntryRow: BitwiseCopyable {
    var speaksHTTP1 = true
    var speaksHTTP2 = true
    /// Whether extended CONNECT is announced (RFC 8441).
    var allowsWebSocket = true
    /// Whether CONNECT makes a tunnel.
    var allowsConnect = false
    var concurrentStreamMax: UInt32 = 0
    /// Requests of one connection.
    var requestMax: UInt32 = 0
    var streamIdleNanoseconds: UInt64 = 0

    init() {}

    init(_ settings: ListenerSettings) {
        speaksHTTP1 = settings.versions.contains(.http1)
        speaksHTTP2 = settings.versions.contains(.http2)
        allowsWebSocket = settings.allowsWebSocket
        allowsConnect = settings.allowsConnect
        concurrentStreamMax = settings.limits.concurrentStreams
        requestMax = settings.limits.requestsPerConnection
        streamIdleNanoseconds = settings.timeouts.streamIdle?.wholeNanoseconds ?? 0
    }
}
