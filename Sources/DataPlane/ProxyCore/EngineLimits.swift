import MeshModel

/// The bounds of one worker's HTTP engine. Every one has a counter in `EngineCounters` and a line in
/// `/config`.
package struct EngineLimits: Sendable, BitwiseCopyable {
    /// Connections of both sides. Bounds memory: about 300 bytes each, idle.
    package var connectionMax = 32_768
    /// Requests in hand. Bounds memory: a block each.
    package var exchangeMax = 8_192
    /// Blocks of 32 KiB for heads and blocked output. Bounds memory under slow peers.
    package var bufferBlockMax = 16_384
    /// Idle connections kept for one endpoint.
    package var idlePerEndpointMax = 256
    /// Connections that one exchange may try.
    package var triesMax: UInt8 = 3
    /// Bytes of a request's body that are held to be sent again, where a policy has retries.
    package var retryBodyByteLimit = 1 << 20
    /// Copies of requests in hand for other clusters.
    package var mirrorMax = 1_024
    /// Bytes of a copy that its endpoint has not taken yet.
    package var mirrorBodyByteLimit = 1 << 18
    /// Bytes thrown away of a request whose response is out already.
    package var discardByteLimit = 1 << 28
    /// From the first byte of a head to its last: slow heads hold a connection no longer.
    package var headerTimeout = Duration.seconds(10)
    /// From accepting to the end of the header of the PROXY protocol, where one is required.
    package var proxyHeaderTimeout = Duration.seconds(5)
    /// TLS handshakes in hand. Bounds memory: about 40 KiB each, and a ClientHello in pieces.
    package var handshakeMax = 4_096
    /// From accepting to the end of the TLS handshake, where a listener sets nothing else.
    package var handshakeTimeout = Duration.seconds(10)
    /// For the rest of a request whose response is out already.
    package var discardTimeout = Duration.seconds(5)
    /// Between requests of a connection.
    package var idleTimeout = Duration.seconds(75)
    /// Between two arrivals of a request's body.
    package var bodyTimeout = Duration.seconds(30)
    /// For the client to take some of a blocked response.
    package var sendTimeout = Duration.seconds(30)
    /// Without progress of either direction of an HTTP/2 stream.
    package var streamIdleTimeout = Duration.seconds(300)
    /// For TCP to an endpoint.
    package var connectTimeout = Duration.seconds(5)
    /// From beginning a connection to one address of a name to beginning another to the next, where
    /// it has addresses of both families (RFC 8305 section 5).
    package var raceDelay = Duration.milliseconds(250)
    /// Between two arrivals from an endpoint that owes a response.
    package var upstreamIdleTimeout = Duration.seconds(60)
    /// A tunnel through which nothing moves either way ends after this.
    package var tunnelIdleTimeout = Duration.seconds(3_600)
    /// An idle upstream connection is closed after this.
    package var poolIdleTimeout = Duration.seconds(50)
    /// Idle connections of an endpoint that are looked at for one of the client's namespace.
    package var idleSearchMax = 64
    /// The longest that a filter may hold an exchange, whatever it asks for.
    package var filterPauseMax = Duration.seconds(60)
    /// The most of a body that a filter may have held for it, whatever it asks for.
    package var filterBodyByteLimit = 8 << 20
    /// Listening sockets of one worker.
    package var listenerMax = 4_096
    /// Entry points, and as many listeners, clusters and counted routes.
    package var nameMax = 16_384
    /// Endpoints over all clusters.
    package var endpointMax = 65_536
    /// Listeners, routes and clusters with counts of their own; the last row takes the others'.
    package var trafficRowMax = 4_096
    /// The bounds of an HTTP/2 connection.
    package var http2 = HTTP2Limits()
    /// How a request head is bounded: 16 KiB, 128 fields.
    package var head = HeadLimits(headByteLimit: 16_384, fieldCountMax: 128)

    /// Makes the default limits.
    package init() {}
}

/// The limits' times in the form the engine uses: nanoseconds.
struct EngineTimeouts: BitwiseCopyable {
    let header: UInt64
    let handshake: UInt64
    let proxyHeader: UInt64
    let idle: UInt64
    let body: UInt64
    let discard: UInt64
    let send: UInt64
    let connect: UInt64
    let raceDelay: UInt64
    let streamIdle: UInt64
    /// Between two looks at the streams of an HTTP/2 connection.
    let sweep: UInt64
    let upstreamIdle: UInt64
    let poolIdle: UInt64
    let tunnelIdle: UInt64

    init(_ limits: EngineLimits) {
        header = limits.headerTimeout.wholeNanoseconds
        handshake = limits.handshakeTimeout.wholeNanoseconds
        proxyHeader = limits.proxyHeaderTimeout.wholeNanoseconds
        idle = limits.idleTimeout.wholeNanoseconds
        body = limits.bodyTimeout.wholeNanoseconds
        discard = limits.discardTimeout.wholeNanoseconds
        send = limits.sendTimeout.wholeNanoseconds
        connect = limits.connectTimeout.wholeNanoseconds
        raceDelay = max(limits.raceDelay.wholeNanoseconds, 1_000_000)
        streamIdle = limits.streamIdleTimeout.wholeNanoseconds
        sweep = EngineTimeouts.sweep(header: header, send: send, body: body)
        upstreamIdle = limits.upstreamIdleTimeout.wholeNanoseconds
        poolIdle = limits.poolIdleTimeout.wholeNanoseconds
        tunnelIdle = limits.tunnelIdleTimeout.wholeNanoseconds
    }

    /// A quarter of the shortest of some times, 50 ms to 5 s.
    static func sweep(header: UInt64, send: UInt64, body: UInt64) -> UInt64 {
        min(max(min(header, min(send, body)) / 4, 50_000_000), 5_000_000_000)
    }
}
