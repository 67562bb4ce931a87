/// Bounds that are no settings, for `/config`, and which counter goes with what a peer did.
extension HTTPProxy {
    /// Bytes of a chunk's extensions.
    package static let chunkExtensionByteLimit = ChunkedDecoder.extensionByteLimit
    /// Bytes of a body's trailers.
    package static let trailerByteLimit = ChunkedDecoder.trailerByteLimit
    /// Fields that `Connection` may name.
    package static let connectionOptionMax = FieldLines.nominationMax
    /// Bytes of a request's head with what routing and filters add to it.
    package static let editedTextByteLimit = ExchangeBlock.textByteLimit
    /// Fields of a request with what routing and filters add.
    package static let editedFieldMax = ExchangeBlock.fieldMax
    /// Header operations of a route and its backend.
    package static let headerOperationMax = ExchangeBlock.operationMax
    /// Bytes of one text in a line of the access log.
    package static let logTextByteLimit = AccessLog.textByteLimit

    /// Texts of the access log that were cut.
    package var logCutCount: UInt64 { accessLog.cutCount }

    /// Counts the limit that a message went past, if it is one.
    func countLimit(of fault: HTTP1Fault) {
        switch fault {
        case .startLineTooLong: counters.count(.startLineLimitHits)
        case .fieldLineTooLong: counters.count(.fieldLineLimitHits)
        case .headTooLarge: counters.count(.headLimitHits)
        case .fieldCountExceeded: counters.count(.fieldCountLimitHits)
        case .bodyTooLarge: counters.count(.announcedBodyLimitHits)
        case .chunkExtensionTooLong: counters.count(.chunkExtensionLimitHits)
        case .trailersTooLarge: counters.count(.trailerLimitHits)
        case .connectionOptionsExceeded: counters.count(.connectionOptionLimitHits)
        default: break
        }
    }

    func http2LimitReached(_ session: HTTP2ServerSession, _ limit: HTTP2Limit) { countLimit(limit) }

    /// Counts a bound of HTTP/2 that a peer went past.
    func countLimit(_ limit: HTTP2Limit) {
        switch limit {
        case .concurrentStreams: counters.count(.http2StreamLimitHits)
        case .headerListBytes: counters.count(.http2HeaderListLimitHits)
        case .fieldCount: counters.count(.http2FieldCountLimitHits)
        case .earlyResets: counters.count(.http2ResetLimitHits)
        case .continuationFrames: counters.count(.http2ContinuationLimitHits)
        case .controlFrames: counters.count(.http2ControlLimitHits)
        }
    }
}
