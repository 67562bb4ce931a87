import Addressing

/// Names an annex of one worker.
typealias AnnexHandle = Handle<ExchangeAnnex>

/// The two directions of an exchange, as filters see them.
enum FilterSide: BitwiseCopyable {
    case request
    case response

    /// The phase of the head.
    var head: FilterPhases { self == .request ? .requestHeaders : .responseHeaders }
    /// The phase of a piece of the body.
    var data: FilterPhases { self == .request ? .requestData : .responseData }
    /// The phase of the trailers.
    var trailers: FilterPhases { self == .request ? .requestTrailers : .responseTrailers }
    /// The phase of the whole message.
    var whole: FilterPhases { self == .request ? .request : .response }

    /// A filter's index in a chain of `count`, by how many are called before it: requests pass the
    /// first filter first, responses the last.
    func position(_ step: Int, of count: Int) -> Int {
        self == .request ? step : count - 1 - step
    }
}

/// How far the filters of one direction are. Steps count filters in the order of the direction.
struct FilterProgress: BitwiseCopyable {
    /// Filters that have had the head.
    var headStep: Int16 = 0
    /// The filter that waits for body before its successors have the head; -1 for none.
    var waitingStep: Int16 = -1
    /// It waits for the first piece only.
    var waitsForPiece = false
    /// The limit of the filter that waits for all.
    var byteLimit = 0
    /// Held bytes at the front that every filter has seen.
    var passedByteCount = 0
    /// Held bytes after those are in the filters' hands.
    var hasPiece = false
    var pieceIsLast = false
    /// The body ends with the piece; trailers may follow.
    var pieceEndsBody = false
    var pieceByteCount = 0
    /// Filters that have seen the piece, and the trailers.
    var dataStep: Int16 = 0
    var trailerStep: Int16 = 0
    /// The end of the body has been part of a piece, or there is no body.
    var endShown = false
    /// The end of the message has been sent on.
    var isConcluded = false
    /// The call that paused; 0 for none.
    var pausedCall: UInt32 = 0
    var pausedStep: Int16 = 0
    var pausedPhase: FilterPhases = []
    /// Until when it may be paused, monotonic nanoseconds.
    var deadlineNanoseconds: UInt64 = 0

    var isPaused: Bool { pausedCall != 0 }
    var waitsForAll: Bool { waitingStep >= 0 && !waitsForPiece }
}

/// Trailer fields in an annex's block: offsets from the start of their text.
struct TrailerList: BitwiseCopyable {
    /// Bytes of their text.
    var byteCount = 0
    /// How many there are.
    var fieldCount = 0
}

/// What an exchange that has filters, trailers or a tunnel keeps besides its own record.
struct ExchangeAnnex: BitwiseCopyable {
    var request = FilterProgress()
    var response = FilterProgress()
    /// The response's head while filters have it: text, fields, and bytes of text in use.
    var responseHead = HTTP1ResponseHead()
    var responseBlock = BufferPool.Block.none
    var responseTextByteCount = 0
    /// Body that filters hold; the request's is the exchange's own.
    var responseBody = ByteQueue()
    /// The whole response has been received, or it is a local reply.
    var responseIsReceived = false
    /// Nothing more is to be done for the exchange's messages.
    var isOver = false
    /// The client by the word of trusted proxies.
    var client = IPAddress.anyIPv6
    /// The most of a body, by its listener.
    var bodyByteLimit: UInt64 = 0
    /// How long a tunnel may be idle.
    var streamIdleNanoseconds: UInt64 = 0
    /// Trailers of both directions.
    var trailerBlock = BufferPool.Block.none
    var requestTrailers = TrailerList()
    var responseTrailers = TrailerList()
    /// Response headers kept for the log, in the exchange's block.
    var keptResponse = TextRange()
    /// When the request was complete, where the log asks for it; monotonic nanoseconds.
    var requestEndNanoseconds: UInt64 = 0
    /// The status of a local reply that went out as another, to gRPC; 0 for none.
    var localStatus: UInt16 = 0
    /// What is to become of the target, and the target as it was asked for once it is changed.
    var change = ChangeRow()
    var askedPath = TextRange()
    var askedPathOnlyByteCount: Int32 = 0
    var askedAuthority = TextRange()
    /// Came as early data; its endpoint is told so, and may ask for it again (RFC 8470). Such an
    /// exchange is `ruled`.
    var isEarly = false
    /// The client has been told to go on with its body: once is enough.
    var isContinued = false
    /// What it is traced as.
    var trace = TraceContext()

    /// What policy says of its tries, and how far they are.
    var tries = TryState()

    subscript(side: FilterSide) -> FilterProgress {
        get { side == .request ? request : response }
        set {
            if side == .request { request = newValue } else { response = newValue }
        }
    }
}

/// Where the parts of a trailer block are.
enum TrailerBlock {
    /// Room for one direction's text.
    static let textByteLimit = 10_240
    /// Fields of one direction.
    static let fieldMax = 128

    static func textOffset(_ side: FilterSide) -> Int { side == .request ? 0 : textByteLimit }

    static func fieldOffset(_ side: FilterSide) -> Int {
        let size = fieldMax * MemoryLayout<HeaderField>.stride
        return 2 * textByteLimit + (side == .request ? 0 : size)
    }
}

extension HTTPProxy {
    /// The exchange's annex, made when it has none. There is room for one of every exchange.
    func annex(_ exchange: ExchangeHandle) -> AnnexHandle {
        let present = exchanges[exchange].annex
        if present.isSome { return present }
        let made = annexes.insert(ExchangeAnnex()) ?? .none
        exchanges[exchange].annex = made
        return made
    }

    /// Gives back what an exchange's annex holds.
    func releaseAnnex(_ exchange: ExchangeHandle) {
        let annex = exchanges[exchange].annex
        guard annexes.contains(annex) else { return }
        annexes[annex].responseBody.clear(pool)
        if exchanges[exchange].flags.contains(.ruled) { releaseTries(exchange, annex) }
        pool.give(annexes[annex].responseBlock)
        pool.give(annexes[annex].trailerBlock)
        annexes.remove(annex)
        exchanges[exchange].annex = .none
    }
}
