/// What has become of a request whose connection or stream is over.
enum APIEnding {
    /// It was surely not served: the server refused the stream, or announced the end before it
    /// (RFC 9113 section 8.7).
    case refused(String)
    /// The server announced the end of the connection without an error, and then ended it.
    case withdrawn(String)
    /// It broke off. Whether the connection had carried an earlier request: then the server may
    /// just have closed it while it was idle (RFC 9112 section 9.3.1).
    case broken(String, connectionWasUsed: Bool)
}

/// One request to the API server and the response to it, on the control loop's thread. Parts of the
/// response go to a stream; while more than `unreadByteLimit` wait there no more is read.
final class APIExchange {
    /// Bytes of the body that may wait for their reader.
    static let unreadByteLimit = 1_048_576
    /// How often a request is sent again.
    static let repeatMax = 3

    /// The request.
    let message: APIMessage
    /// The longest silence once bytes of the response have come.
    let silenceNanosecondsMax: UInt64
    /// What carries it; `nil` before and afterwards.
    weak var session: (any APISession)?
    /// When it is given up unless more comes, monotonic nanoseconds; its session's to set.
    var deadlineNanoseconds: UInt64 = 0
    /// How often it was sent again.
    var repeatCount = 0
    /// Whether a byte of the response has come.
    private(set) var hasAnswer = false
    /// Whether no more parts follow.
    private(set) var isOver = false
    private let continuation: AsyncStream<APIResponsePart>.Continuation
    private var unreadByteCount = 0

    /// Makes an exchange that a session begins.
    init(
        message: APIMessage,
        silenceNanosecondsMax: UInt64,
        continuation: AsyncStream<APIResponsePart>.Continuation
    ) {
        self.message = message
        self.silenceNanosecondsMax = silenceNanosecondsMax
        self.continuation = continuation
    }

    /// Whether so much waits for its reader that no more is to be read.
    var isFull: Bool { unreadByteCount > APIExchange.unreadByteLimit }

    /// Whether its reader has caught up.
    var hasRoom: Bool { unreadByteCount <= APIExchange.unreadByteLimit / 2 }

    /// Bytes of the response came, though they may be no part yet.
    func answered() { hasAnswer = true }

    /// Takes a part of the response; `end` and `broken` are the last.
    func deliver(_ part: APIResponsePart) {
        hasAnswer = true
        switch part {
        case .head: continuation.yield(part)
        case .body(let bytes):
            unreadByteCount += bytes.count
            continuation.yield(part)
        case .end, .withdrawn, .broken: finish(part)
        }
    }

    /// The reader took so many bytes of the body.
    func taken(_ byteCount: Int) {
        unreadByteCount -= byteCount
        session?.taken(self, byteCount)
    }

    /// Ends it; no more parts follow.
    func cancel() {
        let carrying = session
        finish(nil)
        carrying?.cancel(self)
    }

    /// It failed.
    func fail(_ sentence: String) { finish(.broken(sentence)) }

    private func finish(_ last: APIResponsePart?) {
        session = nil
        guard !isOver else { return }
        isOver = true
        if let last { continuation.yield(last) }
        continuation.finish()
    }
}
