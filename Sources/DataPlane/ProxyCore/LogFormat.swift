/// The line of a text access log, compiled from a format with Envoy's operators: pieces that are
/// written one after the other, over one text.
package struct LogFormat: Sendable, Equatable {
    /// Names of response headers that one format may ask for: their values are kept aside until
    /// the line is written.
    package static let responseNameMax = 16
    /// Pieces of one format.
    package static let pieceMax = 256

    /// A header, or a part of the request that is asked for like one.
    struct Name: BitwiseCopyable, Sendable {
        enum Kind: UInt8, BitwiseCopyable {
            case none
            case field
            case method
            case path
            case authority
            case scheme
        }

        var kind = Kind.none
        var id = HeaderID.other
        /// The name in lower case, in the format's text.
        var text = TextRange()
        /// Its place among the response headers that are kept aside.
        var kept: Int32 = -1
    }

    /// The first of two names that there is, cut.
    struct Lookup: BitwiseCopyable, Sendable {
        var first = Name()
        var second = Name()
        var byteLimit = AccessLog.textByteLimit
    }

    /// What is known of every exchange.
    enum Value: String, CaseIterable, Sendable {
        case protocolName = "PROTOCOL"
        case responseCode = "RESPONSE_CODE"
        case responseCodeDetails = "RESPONSE_CODE_DETAILS"
        case responseFlags = "RESPONSE_FLAGS"
        case bytesReceived = "BYTES_RECEIVED"
        case bytesSent = "BYTES_SENT"
        case duration = "DURATION"
        case requestDuration = "REQUEST_DURATION"
        case responseDuration = "RESPONSE_DURATION"
        case responseTransferDuration = "RESPONSE_TX_DURATION"
        case upstreamHost = "UPSTREAM_HOST"
        case upstreamCluster = "UPSTREAM_CLUSTER"
        case upstreamAttempts = "UPSTREAM_REQUEST_ATTEMPT_COUNT"
        case routeName = "ROUTE_NAME"
        case remoteAddress = "DOWNSTREAM_REMOTE_ADDRESS"
        case remoteHost = "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"
        case remotePort = "DOWNSTREAM_REMOTE_PORT"
        case directAddress = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS"
        case directHost = "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT"
        case localAddress = "DOWNSTREAM_LOCAL_ADDRESS"
        case localHost = "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"
        case localPort = "DOWNSTREAM_LOCAL_PORT"
        case serverName = "REQUESTED_SERVER_NAME"
        case grpcNumber = "GRPC_STATUS_NUMBER"
        case traceID = "TRACE_ID"
        case requestID = "STREAM_ID"
    }

    /// A part of the time a request began.
    enum TimePart: BitwiseCopyable, Sendable {
        /// RFC 3339 with milliseconds.
        case whole
        case year
        case month
        case monthName
        case day
        case hour
        case minute
        case second
        case date
        case timeOfDay
        case epoch
        /// `UTC`.
        case zoneName
        /// `+0000`.
        case zoneOffset
        /// That many digits of the second's fraction, 1...9.
        case fraction(Int)
    }

    /// How a gRPC status is written.
    enum StatusStyle: String, CaseIterable, Sendable {
        case camel = "CAMEL_STRING"
        case snake = "SNAKE_STRING"
        case number = "NUMBER"
    }

    enum Piece: BitwiseCopyable, Sendable {
        case text(TextRange)
        case time(TimePart)
        case request(Lookup)
        case response(Lookup)
        case trailer(Lookup)
        case grpcStatus(StatusStyle)
        case value(Value)
    }

    /// The format as it was written.
    package let source: String
    let pieces: [Piece]
    let text: [UInt8]
    /// The response headers that are kept aside, in order.
    let responseNames: [Name]
    /// Whether the time at which a request was complete is to be noted.
    let wantsRequestEnd: Bool

    /// Compiles a format.
    ///
    /// - Throws: what was expected and what came, and where in the text.
    package init(_ source: String) throws(LogFormatFault) {
        var compiler = LogFormatCompiler(source)
        try compiler.compile()
        self.source = source
        pieces = compiler.pieces
        text = compiler.text
        responseNames = compiler.responseNames
        wantsRequestEnd = compiler.wantsRequestEnd
    }

    /// Two formats are the same when their texts are.
    package static func == (left: LogFormat, right: LogFormat) -> Bool {
        left.source == right.source
    }
}

/// Why a format cannot be used.
package struct LogFormatFault: Error, Equatable, Sendable {
    /// Expected … , found … at byte …
    package let reason: String
}
