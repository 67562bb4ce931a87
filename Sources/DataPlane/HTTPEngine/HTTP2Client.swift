/// A client's HTTP/2 connection with buffers of its own, for the control side: bytes in, events and
/// bytes out (RFC 9113). Simple before fast; the data path drives `HTTP2ClientSession` itself.
package final class HTTP2Client {
    /// What a server answers. Requests are named by the number that `request` gave them.
    package enum Event: Equatable {
        /// A final head, with the value of `Retry-After`, if any.
        case head(Int32, status: UInt16, retryAfter: String?)
        /// A piece of a body. Its bytes stay in the stream's window until `consume`.
        case body(Int32, [UInt8])
        /// The response is complete.
        case end(Int32)
        /// The stream ended before its response did, by an error code of RFC 9113 section 7.
        case reset(Int32, errorCode: UInt32)
    }

    private struct Request {
        var stream: Int32
        var body: [UInt8]
        var sentByteCount = 0
    }

    private var session: HTTP2ClientSession?
    private let list = HTTP2FieldList(capacity: 16)
    private var requests: [Int32: Request] = [:]
    private var requestCount: Int32 = 0
    private var events: [Event] = []
    private var passed: HTTP2Limit?
    private var hasBroken = false

    /// Begins a connection; its preface is the first output. `nil` when nghttp2 has no memory.
    package init?(limits: HTTP2Limits = HTTP2Limits()) {
        session = HTTP2ClientSession(owner: self, connection: 0, limits: limits)
        if session == nil { return nil }
    }

    // MARK: What is known of the server

    /// Whether the server's settings have come: `streamMax` is its own only then.
    package var hasSettings: Bool { session?.hasSettings == true }

    /// Requests that the server takes at a time.
    package var streamMax: Int { session?.streamMax ?? 0 }

    /// Whether another request may be sent at all: the server has not announced the end.
    package var takesRequests: Bool { session?.takesStreams == true && !hasBroken }

    /// Why the server said that the connection ends; `nil` before. 0 is no error.
    package var goAwayCode: UInt32? { session?.goAwayCode }

    /// Why the connection is over, if it is: the server broke the protocol or one of the limits.
    package var failure: String? {
        if let passed { return "the server went past a limit of HTTP/2: \(passed)" }
        guard hasBroken || session?.isOpen != true else { return nil }
        return "expected HTTP/2, the server broke its rules"
    }

    // MARK: Bytes

    /// Takes bytes that have arrived and returns what they say, in order.
    package func receive(_ bytes: RawSpan) -> [Event] {
        if session?.receive(bytes) != true { hasBroken = true }
        defer { events = [] }
        return events
    }

    /// Frames that may be sent now.
    ///
    /// - Parameter byteLimit: more is left for later once so many bytes are at hand.
    package func takeOutput(byteLimit: Int) -> [UInt8] {
        var output: [UInt8] = []
        session?.collect { run in
            output.append(copying: run)
            return output.count < byteLimit
        }
        return output
    }

    // MARK: Requests

    /// Sends a request.
    ///
    /// - Parameters:
    ///   - fields: pseudo-fields first, names in lower case; 16 at most.
    ///   - body: empty for none.
    /// - Returns: its number; `nil` when the connection takes no more.
    package func request(_ fields: [(name: String, value: String)], body: [UInt8]) -> Int32? {
        guard let session else { return nil }
        requestCount &+= 1
        let number = requestCount
        var text: [UInt8] = []
        var places: [(Range<Int>, Range<Int>)] = []
        for (name, value) in fields {
            let start = text.count
            text += Array(name.utf8)
            let middle = text.count
            text += Array(value.utf8)
            places.append((start..<middle, middle..<text.count))
        }
        let stream = text.withRawSpan { bytes -> Int32? in
            list.begin()
            for (name, value) in places {
                list.add(bytes.extracting(name), bytes.extracting(value))
            }
            return session.submitRequest(tag: number, list, hasBody: !body.isEmpty)
        }
        guard let stream else { return nil }
        requests[number] = Request(stream: stream, body: body)
        return number
    }

    /// Ends a request; nothing more is heard of it.
    package func cancel(_ number: Int32) {
        guard let request = requests.removeValue(forKey: number) else { return }
        session?.reset(stream: request.stream, .cancel)
        session?.forget(stream: request.stream)
    }

    /// Gives bytes of a body back to the server's window.
    package func consume(_ number: Int32, _ byteCount: Int) {
        guard let request = requests[number] else { return }
        session?.consume(stream: request.stream, byteCount)
    }

    /// Asks whether the server is still there; its answer is bytes that arrive.
    package func ping() { session?.ping() }

    /// Tells the server that the connection ends.
    package func goAway() { session?.goAway(.noError) }
}

extension HTTP2Client: HTTP2ClientOwner {
    func endpointHead(_ session: HTTP2ClientSession, tag: Int32, isEnd: Bool) {
        guard session.head.status >= 200 else { return }
        var retryAfter: String?
        for index in 0..<session.head.fieldCount where session.fields[index].id == .retryAfter {
            let value = session.text.bytes().extracting(session.fields[index].valueRange)
            var bytes: [UInt8] = []
            bytes.append(copying: value)
            retryAfter = String(decoding: bytes, as: UTF8.self)
        }
        events.append(.head(tag, status: session.head.status, retryAfter: retryAfter))
    }

    func endpointData(_ session: HTTP2ClientSession, tag: Int32, _ bytes: RawSpan) {
        var copy: [UInt8] = []
        copy.append(copying: bytes)
        events.append(.body(tag, copy))
    }

    func endpointTrailers(_ session: HTTP2ClientSession, tag: Int32) {}

    func endpointEnded(_ session: HTTP2ClientSession, tag: Int32) {
        guard let request = requests[tag] else { return }
        events.append(.end(tag))
        if request.sentByteCount < request.body.count {
            // The answer is known: what is left of the request is not wanted.
            cancel(tag)
        } else {
            requests[tag] = nil
        }
    }

    func endpointClosed(_ session: HTTP2ClientSession, tag: Int32, _ errorCode: UInt32) {
        guard requests.removeValue(forKey: tag) != nil else { return }
        events.append(.reset(tag, errorCode: errorCode))
    }

    func requestBody(
        _ session: HTTP2ClientSession,
        tag: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome {
        guard let request = requests[tag] else { return .deferred }
        let count = min(target.byteCount, request.body.count - request.sentByteCount)
        for offset in 0..<count {
            target.storeBytes(
                of: request.body[request.sentByteCount + offset],
                toByteOffset: offset,
                as: UInt8.self
            )
        }
        requests[tag]?.sentByteCount += count
        let isWhole = request.sentByteCount + count == request.body.count
        return isWhole ? .end(count) : .bytes(count)
    }

    func endpointLimitReached(_ limit: HTTP2Limit) {
        guard limit == .continuationFrames || limit == .controlFrames else { return }
        passed = limit
    }
}
