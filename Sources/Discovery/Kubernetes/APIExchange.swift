/// One request to the API server and the response to it, on the control loop's thread. Parts of the
/// response go to a stream; while more than `unreadByteLimit` wait there the connection is not read.
final class APIExchange {
    /// Bytes of the body that may wait for their reader.
    static let unreadByteLimit = 1_048_576

    /// What is to become of the connection after some bytes.
    enum Progress: Equatable {
        /// More of the response is to come.
        case goesOn
        /// The response is complete.
        case complete(connectionIsReusable: Bool)
        /// What came is no response.
        case broken
    }

    /// The request's head; it has no body.
    let request: [UInt8]
    /// The longest silence once bytes of the response have come.
    let silenceNanosecondsMax: UInt64
    /// The connection that carries it; `nil` before and afterwards.
    weak var connection: APIConnection?
    /// Whether it was sent a second time, because a connection that had been idle turned out to be
    /// closed.
    var isRepeated = false
    /// Whether a byte of the response has come.
    private(set) var hasAnswer = false
    private let continuation: AsyncStream<APIResponsePart>.Continuation
    private var reader = APIResponseReader()
    private var unreadByteCount = 0
    private var isOver = false

    /// Makes an exchange that a connection begins.
    init(
        request: [UInt8],
        silenceNanosecondsMax: UInt64,
        continuation: AsyncStream<APIResponsePart>.Continuation
    ) {
        self.request = request
        self.silenceNanosecondsMax = silenceNanosecondsMax
        self.continuation = continuation
    }

    /// Whether so much waits for its reader that the connection is not to be read.
    var isFull: Bool { unreadByteCount > APIExchange.unreadByteLimit }

    /// Takes bytes of the response.
    func receive(_ bytes: [UInt8]) -> Progress {
        guard !isOver else { return .broken }
        hasAnswer = true
        for part in reader.receive(bytes) {
            switch part {
            case .head: continuation.yield(part)
            case .body(let bytes):
                unreadByteCount += bytes.count
                continuation.yield(part)
            case .end:
                finish(part)
                return .complete(connectionIsReusable: reader.leavesConnectionOpen)
            case .broken:
                finish(part)
                return .broken
            }
        }
        return .goesOn
    }

    /// The reader took so many bytes of the body.
    func taken(_ byteCount: Int) {
        unreadByteCount -= byteCount
        guard unreadByteCount <= APIExchange.unreadByteLimit / 2 else { return }
        connection?.resume()
    }

    /// Ends it and its connection; no more parts follow.
    func cancel() {
        let carrying = connection
        finish(nil)
        carrying?.close()
    }

    /// The connection ended in order.
    func connectionEnded() { finish(reader.ended()) }

    /// The connection failed.
    func fail(_ sentence: String) { finish(.broken(sentence)) }

    private func finish(_ last: APIResponsePart?) {
        connection = nil
        guard !isOver else { return }
        isOver = true
        if let last { continuation.yield(last) }
        continuation.finish()
    }
}
