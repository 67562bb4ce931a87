import DataPlane

/// Limits of the HTTP engine.
extension LimitList {
    var http: [Row] {
        sizes + messages + times
    }

    private var sizes: [Row] {
        let engine = limits.engine
        return [
            Self.row(
                "http.connectionMax",
                "connections",
                engine.connectionMax,
                .connectionLimitHits,
                "Per worker, both sides; bounds memory. One more is closed at once."
            ),
            Self.row(
                "tls.handshakeMax",
                "handshakes",
                engine.handshakeMax,
                .handshakeLimitHits,
                "Per worker, in hand at a time; a connection that would begin one more is closed."
            ),
            Self.row(
                "http.exchangeMax",
                "requests",
                engine.exchangeMax,
                .exchangeLimitHits,
                "Per worker, a block each. One more is answered 503."
            ),
            Self.row(
                "http.bufferBlockMax",
                "blocks",
                engine.bufferBlockMax,
                .bufferLimitHits,
                "Per worker; bounds memory under slow peers, whose connections end."
            ),
            Self.row(
                "http.idlePerEndpointMax",
                "connections",
                engine.idlePerEndpointMax,
                .poolLimitHits,
                "Idle connections kept per endpoint and worker; more are closed."
            ),
            Self.row(
                "http.idleSearchMax",
                "connections",
                engine.idleSearchMax,
                .idleSearchLimitHits,
                "Idle connections looked at for one of the client's namespace; then one is opened."
            ),
            Self.row(
                "http.triesMax",
                "tries",
                engine.triesMax,
                .triesLimitHits,
                "Connections one exchange may try; then it is answered 503."
            ),
            Self.row(
                "http.retryBodyByteLimit",
                "bytes",
                engine.retryBodyByteLimit,
                .retryBodyLimitHits,
                "Of a body, held to be sent again where a policy has retries; more has one try."
            ),
            Self.row(
                "http.mirrorMax",
                "requests",
                engine.mirrorMax,
                .mirrorLimitHits,
                "Copies of requests in hand per worker; more are not made."
            ),
            Self.row(
                "http.mirrorBodyByteLimit",
                "bytes",
                engine.mirrorBodyByteLimit,
                .mirrorBodyLimitHits,
                "Of a copy that its endpoint has not taken yet; then the copy is dropped."
            ),
            Self.row(
                "http.discardByteLimit",
                "bytes",
                engine.discardByteLimit,
                .discardLimitHits,
                "Of a body whose response is out already; then the connection ends."
            ),
        ]
    }

    private var messages: [Row] {
        let head = limits.engine.head
        return [
            Self.row(
                "http.headByteLimit",
                "bytes",
                head.headByteLimit,
                .headLimitHits,
                "A head is kept whole; a longer one is answered 431."
            ),
            Self.row(
                "http.startLineByteLimit",
                "bytes",
                head.startLineByteLimit,
                .startLineLimitHits,
                "A longer request line is answered 414."
            ),
            Self.row(
                "http.fieldLineByteLimit",
                "bytes",
                head.fieldLineByteLimit,
                .fieldLineLimitHits,
                "A head with a longer field line is answered 431."
            ),
            Self.row(
                "http.fieldCountMax",
                "fields",
                head.fieldCountMax,
                .fieldCountLimitHits,
                "A head with more fields is answered 431."
            ),
            Self.row(
                "http.connectionOptionMax",
                "fields",
                HTTPProxy.connectionOptionMax,
                .connectionOptionLimitHits,
                "Each is compared with every field; Connection naming more is answered 400."
            ),
            Self.row(
                "http.bodyByteLimit",
                "bytes",
                head.bodyByteLimit,
                .announcedBodyLimitHits,
                "A body announced longer is answered 413."
            ),
            Self.row(
                "http.chunkExtensionByteLimit",
                "bytes",
                HTTPProxy.chunkExtensionByteLimit,
                .chunkExtensionLimitHits,
                "Nobody reads them; a chunk with more is answered 400."
            ),
            Self.row(
                "http.trailerByteLimit",
                "bytes",
                HTTPProxy.trailerByteLimit,
                .trailerLimitHits,
                "A body with longer trailers is answered 431."
            ),
            Self.row(
                "proxyProtocol.headerByteLimit",
                "bytes",
                ProxyHeader.byteLimit,
                .proxyHeaderLimitHits,
                "A header with its records; a connection that begins by a longer one is reset."
            ),
            Self.row(
                "http.editedTextByteLimit",
                "bytes",
                HTTPProxy.editedTextByteLimit,
                .editedTextLimitHits,
                "A head with what routes and filters add to it, in one block; 431 beyond it."
            ),
            Self.row(
                "http.editedFieldMax",
                "fields",
                HTTPProxy.editedFieldMax,
                .editedFieldLimitHits,
                "Fields of a request with those added; 431 beyond it."
            ),
            Self.row(
                "http.interimMax",
                "responses",
                HTTPProxy.interimMax,
                .interimLimitHits,
                "Interim ones before an answer; an endpoint that sends more gets a 502 in its place."
            ),
            Self.row(
                "http.headerOperationMax",
                "operations",
                HTTPProxy.headerOperationMax,
                .headerOperationLimitHits,
                "Header changes of a route and its backend together; 431 beyond it."
            ),
        ]
    }

    private var times: [Row] {
        let engine = limits.engine
        return [
            Self.row(
                "http.headerTimeout",
                engine.headerTimeout,
                .headerTimeouts,
                "A slow head is answered 408."
            ),
            Self.row(
                "tls.handshakeTimeout",
                engine.handshakeTimeout,
                .handshakeTimeouts,
                "From accepting to the end of the handshake; then the connection ends."
            ),
            Self.row(
                "proxyProtocol.headerTimeout",
                engine.proxyHeaderTimeout,
                .proxyHeaderTimeouts,
                "From accepting to the end of a header that must come; then the connection ends."
            ),
            Self.row(
                "http.idleTimeout",
                engine.idleTimeout,
                .idleTimeouts,
                "An idle client is closed."
            ),
            Self.row(
                "http.bodyTimeout",
                engine.bodyTimeout,
                .bodyTimeouts,
                "A stalled body is answered 408."
            ),
            Self.row(
                "http.discardTimeout",
                engine.discardTimeout,
                .discardTimeouts,
                "A client that goes on sending after its answer is closed."
            ),
            Self.row(
                "http.sendTimeout",
                engine.sendTimeout,
                .sendTimeouts,
                "A client that takes nothing of its response is closed."
            ),
            Self.row(
                "http.connectTimeout",
                engine.connectTimeout,
                .connectTimeouts,
                "An endpoint that does not answer is given up for another."
            ),
            Self.row(
                "http.upstreamIdleTimeout",
                engine.upstreamIdleTimeout,
                .upstreamTimeouts,
                "An endpoint that owes a response is given up: 504."
            ),
            Self.row(
                "http.tunnelIdleTimeout",
                engine.tunnelIdleTimeout,
                .tunnelTimeouts,
                "A tunnel through which nothing moves is cut."
            ),
            Self.row(
                "http.poolIdleTimeout",
                engine.poolIdleTimeout,
                .poolIdleTimeouts,
                "An idle connection to an endpoint is closed."
            ),
        ]
    }

    var http2: [Row] {
        let http2 = limits.engine.http2
        return [
            Self.row(
                "http2.concurrentStreamMax",
                "streams",
                http2.concurrentStreamMax,
                .http2StreamLimitHits,
                "Open at once on a connection; one more is refused."
            ),
            Self.row(
                "http2.headerListByteLimit",
                "bytes",
                http2.headerListByteLimit,
                .http2HeaderListLimitHits,
                "A longer header list ends its stream."
            ),
            Self.row(
                "http2.fieldCountMax",
                "fields",
                http2.fieldCountMax,
                .http2FieldCountLimitHits,
                "A header list of more fields ends its stream."
            ),
            Self.row(
                "http2.earlyResetMax",
                "streams",
                http2.earlyResetMax,
                .http2ResetLimitHits,
                "Reset by the client or for what it sent, forgiven by time; one more ends the connection."
            ),
            Self.row(
                "http2.continuationFrameMax",
                "frames",
                http2.continuationFrameMax,
                .http2ContinuationLimitHits,
                "Of one header list; one more ends the connection."
            ),
            Self.row(
                "http2.controlFrameMax",
                "frames",
                http2.controlFrameMax,
                .http2ControlLimitHits,
                "That ask for nothing, forgiven by work and time; one more ends the connection."
            ),
            Self.row(
                "http2.streamIdleTimeout",
                limits.engine.streamIdleTimeout,
                .streamIdleTimeouts,
                "A stream on which nothing moves is given up: 408, 504 or a reset."
            ),
        ]
    }

    var filters: [Row] {
        [
            Self.row(
                "filter.timeBudget",
                Filter.timeBudgetDefault,
                .filterOverruns,
                "One call of a filter that sets no other; a longer one costs its exchange a 500."
            ),
            Self.row(
                "filter.pauseMax",
                limits.engine.filterPauseMax,
                .pauseTimeouts,
                "The longest a filter may hold an exchange; then it is answered 500."
            ),
            Self.row(
                "filter.bodyByteLimit",
                "bytes",
                limits.engine.filterBodyByteLimit,
                .bodyLimitHits,
                "The most of a body that a filter may have held for it; a longer one gets 413."
            ),
        ]
    }
}
