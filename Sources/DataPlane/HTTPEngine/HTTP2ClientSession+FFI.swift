import CNghttp2

/// Hears what an endpoint answers on its HTTP/2 connection. Streams are named by the tag they were
/// opened with; a stream that was forgotten is not heard of any more. Called within
/// `HTTP2ClientSession.receive` and `collect`.
protocol HTTP2ClientOwner: AnyObject {
    /// A head has come, interim ones included: `session.head` until the call returns.
    func endpointHead(_ session: HTTP2ClientSession, tag: Int32, isEnd: Bool)
    /// A piece of a body. The stream's window is given back by `consume`.
    func endpointData(_ session: HTTP2ClientSession, tag: Int32, _ bytes: RawSpan)
    /// Trailers have come: `session.head` until the call returns. The end follows.
    func endpointTrailers(_ session: HTTP2ClientSession, tag: Int32)
    /// The endpoint has ended its response.
    func endpointEnded(_ session: HTTP2ClientSession, tag: Int32)
    /// The stream is gone, by whichever side.
    func endpointClosed(_ session: HTTP2ClientSession, tag: Int32, _ errorCode: UInt32)
    /// Copies some of a request's body into a frame.
    func requestBody(
        _ session: HTTP2ClientSession,
        tag: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome
    /// The endpoint went past one of the bounds; the session ends for it.
    func endpointLimitReached(_ limit: HTTP2Limit)
}

/// One HTTP/2 connection to an endpoint: frames in, frames out (RFC 9113, by nghttp2).
@safe final class HTTP2ClientSession {
    /// Streams that one connection carries before the endpoint has said how many it takes, and at
    /// most: another connection is made for more.
    static let streamMax: UInt32 = 100

    /// The fields of the head in hand, as places in its bytes.
    struct Head {
        var status: UInt16 = 0
        var contentLength: UInt64?
        var fieldCount = 0
        var isMalformed = false
        var isTooLarge = false
        /// Bytes of the list as RFC 9113 section 10.5.1 counts them.
        var byteCount = 0
    }

    private var session: OpaquePointer?
    private unowned let owner: any HTTP2ClientOwner
    private let limits: HTTP2Limits
    /// The connection's number at its owner.
    let connection: Int32
    /// The bytes of the head in hand.
    let text: ScratchBuffer
    /// Its fields.
    let fields: Table<HeaderField>
    private(set) var head = Head()
    private var continuationFrames: UInt32 = 0
    private var controlFrames: UInt32 = 0
    /// A request that could not be sent any more: the close that follows is a refusal.
    private var unsentStream: Int32 = 0
    /// Set once a bound was passed.
    private(set) var isAbusive = false
    /// Whether the endpoint's settings have come, acknowledgements of the own ones aside.
    private(set) var hasSettings = false
    /// Why the endpoint said that the connection ends (RFC 9113 section 6.8); `nil` before.
    private(set) var goAwayCode: UInt32?

    /// Begins a session and queues its preface; `nil` when nghttp2 has no memory.
    init?(owner: any HTTP2ClientOwner, connection: Int32, limits: HTTP2Limits) {
        self.owner = owner
        self.connection = connection
        self.limits = limits
        text = ScratchBuffer(capacity: limits.headerListByteLimit + 128)
        fields = Table(count: limits.fieldCountMax, repeating: HeaderField())
        guard start() else { return nil }
    }

    deinit { unsafe nghttp2_session_del(session) }

    private func start() -> Bool {
        var callbacks: OpaquePointer?
        var option: OpaquePointer?
        guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0,
            unsafe nghttp2_option_new(&option) == 0
        else { return false }
        defer {
            unsafe nghttp2_session_callbacks_del(callbacks)
            unsafe nghttp2_option_del(option)
        }
        unsafe HTTP2ClientCallbacks.install(callbacks)
        unsafe nghttp2_option_set_no_auto_window_update(option, 1)
        unsafe nghttp2_option_set_peer_max_concurrent_streams(option, HTTP2ClientSession.streamMax)
        unsafe nghttp2_option_set_max_send_header_block_length(option, 131_072)
        let user = unsafe Unmanaged.passUnretained(self).toOpaque()
        guard unsafe nghttp2_session_client_new2(&session, callbacks, user, option) == 0 else {
            return false
        }
        return submitSettings()
    }

    private func submitSettings() -> Bool {
        let entries = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue),
                value: 0
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: limits.streamWindowByteCount
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(limits.headerListByteLimit)
            ),
        ]
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        let result = unsafe nghttp2_submit_settings(session, flag, entries, entries.count)
        // The connection's window is not to be what slows one of many streams.
        let window = unsafe nghttp2_session_set_local_window_size(session, flag, 0, 1 << 24)
        return result == 0 && window == 0
    }

    // MARK: Receiving

    /// Takes bytes that have arrived.
    ///
    /// - Returns: `false` when the connection is broken.
    func receive(_ bytes: RawSpan) -> Bool {
        let taken = unsafe bytes.withUnsafeBytes { buffer in
            unsafe nghttp2_session_mem_recv(
                session,
                buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
                buffer.count
            )
        }
        return taken == bytes.byteCount && !isAbusive && isOpen
    }

    /// Whether the session goes on; it does not once a GOAWAY that ends it was sent.
    var isOpen: Bool { unsafe nghttp2_session_want_read(session) != 0 }

    /// Gives bytes of a stream's body back to the endpoint's window.
    func consume(stream: Int32, _ byteCount: Int) {
        _ = unsafe nghttp2_session_consume_stream(session, stream, byteCount)
    }

    /// Streams that the endpoint lets be open at a time.
    var streamMax: Int {
        let settings = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        let remote = unsafe nghttp2_session_get_remote_settings(session, settings)
        return Int(min(remote, HTTP2ClientSession.streamMax))
    }

    /// Whether another stream may be opened: the endpoint has not announced the end, and ids are
    /// left.
    var takesStreams: Bool {
        let isAllowed = unsafe nghttp2_session_check_request_allowed(session) != 0
        return isAllowed && !isAbusive
    }

    /// Whether the endpoint takes extended CONNECT (RFC 8441 section 3).
    var takesTunnels: Bool {
        let setting = NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL
        return unsafe nghttp2_session_get_remote_settings(session, setting) == 1
    }

    // MARK: Sending

    /// Opens a stream.
    ///
    /// - Parameters:
    ///   - tag: what it is named by, above 0.
    ///   - hasBody: whether the owner will be asked for a body.
    /// - Returns: its id; `nil` when no more streams can be opened.
    func submitRequest(tag: Int32, _ list: HTTP2FieldList, hasBody: Bool) -> Int32? {
        let user = unsafe UnsafeMutableRawPointer(bitPattern: Int(tag))
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = http2ReadRequestBody
        let stream: Int32
        if hasBody {
            stream = unsafe nghttp2_submit_request(
                session,
                nil,
                list.first,
                list.count,
                &provider,
                user
            )
        } else {
            stream = unsafe nghttp2_submit_request(
                session,
                nil,
                list.first,
                list.count,
                nil,
                user
            )
        }
        return stream > 0 ? stream : nil
    }

    /// Ends a request with trailers; from within `requestBody` only.
    func submitTrailers(stream: Int32, _ list: HTTP2FieldList) {
        _ = unsafe nghttp2_submit_trailer(session, stream, list.first, list.count)
    }

    /// A deferred body has bytes again.
    func resumeBody(stream: Int32) { _ = unsafe nghttp2_session_resume_data(session, stream) }

    /// Hears no more of a stream.
    func forget(stream: Int32) {
        _ = unsafe nghttp2_session_set_stream_user_data(session, stream, nil)
    }

    /// Ends a stream with an error.
    func reset(stream: Int32, _ code: HTTP2ErrorCode) {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_rst_stream(session, flag, stream, code.rawValue)
    }

    /// Asks whether the endpoint is still there.
    func ping() {
        _ = unsafe nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    /// Tells the endpoint that the connection ends.
    func goAway(_ code: HTTP2ErrorCode) {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_goaway(session, flag, 0, code.rawValue, nil, 0)
    }

    /// Hands frames that may be sent now to `body`, run by run, until it says `false`.
    func collect(_ body: (RawSpan) -> Bool) {
        while true {
            var data: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &data)
            guard count > 0, let data = unsafe data else { return }
            let run = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(data), byteCount: count)
            guard body(run) else { return }
        }
    }

    // MARK: What the callbacks forward

    private func tag(of stream: Int32) -> Int32 {
        let user = unsafe nghttp2_session_get_stream_user_data(session, stream)
        return Int32(truncatingIfNeeded: Int(bitPattern: user))
    }

    func blockBegan() {
        text.reset()
        head = Head()
        continuationFrames = 0
    }

    /// Takes one field of the list; of a list past its limits the rest is passed over, so that the
    /// table that both ends share stays whole (RFC 7541 section 2.2).
    func field(_ name: RawSpan, _ value: RawSpan) {
        head.byteCount += name.byteCount + value.byteCount + 32
        guard !head.isTooLarge else { return }
        if head.byteCount > limits.headerListByteLimit || head.fieldCount >= limits.fieldCountMax {
            let isLong = head.byteCount > limits.headerListByteLimit
            owner.endpointLimitReached(isLong ? .headerListBytes : .fieldCount)
            head.isTooLarge = true
            return
        }
        let nameOffset = text.count
        text.append(name)
        let valueOffset = text.count
        text.append(value)
        if name.byteCount > 0 && name.byte(at: 0) == UInt8(ascii: ":") {
            head.status = UInt16(HTTP2ClientSession.decimal(value) ?? 0)
            return
        }
        let id = HeaderID.identify(text.bytes(), offset: nameOffset, count: name.byteCount)
        if id == .contentLength { head.contentLength = HTTP2ClientSession.decimal(value) }
        fields[head.fieldCount] = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(valueOffset),
            nameLength: UInt16(clamping: name.byteCount),
            valueLength: UInt16(clamping: value.byteCount),
            id: id,
            flags: id.isHopByHop ? .hopByHop : []
        )
        head.fieldCount += 1
    }

    private static func decimal(_ bytes: RawSpan) -> UInt64? {
        guard (1...18).contains(bytes.byteCount) else { return nil }
        var value: UInt64 = 0
        for position in 0..<bytes.byteCount {
            let digit = bytes.byte(at: position) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return value
    }

    /// A field that no message may hold, such as one with a line break in its value.
    func invalidField() { head.isMalformed = true }

    /// A whole list has come: a response's, an interim one's, or trailers, which have no status.
    func headReceived(stream: Int32, isEnd: Bool) {
        let tag = tag(of: stream)
        guard tag > 0 else { return }
        guard !head.isMalformed, !head.isTooLarge, head.status > 0 || isEnd else {
            reset(stream: stream, .protocolError)
            forget(stream: stream)
            owner.endpointClosed(self, tag: tag, HTTP2ErrorCode.protocolError.rawValue)
            return
        }
        controlFrames = 0
        if head.status > 0 {
            owner.endpointHead(self, tag: tag, isEnd: isEnd)
        } else {
            owner.endpointTrailers(self, tag: tag)
        }
        if isEnd { ended(stream: stream) }
    }

    func dataReceived(stream: Int32, _ bytes: RawSpan) {
        // What is for one client is its stream's to bear: the connection goes on for the others.
        _ = unsafe nghttp2_session_consume_connection(session, bytes.byteCount)
        controlFrames = 0
        let tag = tag(of: stream)
        if tag > 0 { owner.endpointData(self, tag: tag, bytes) }
    }

    func ended(stream: Int32) {
        let tag = tag(of: stream)
        if tag > 0 { owner.endpointEnded(self, tag: tag) }
    }

    func streamClosed(stream: Int32, errorCode: UInt32) {
        let tag = tag(of: stream)
        guard tag > 0 else { return }
        let isUnsent = stream == unsentStream
        owner.endpointClosed(
            self,
            tag: tag,
            isUnsent ? HTTP2ErrorCode.refusedStream.rawValue : errorCode
        )
    }

    func goAwayReceived(_ code: UInt32) { goAwayCode = code }

    func requestNotSent(stream: Int32) { unsentStream = stream }

    func continuationReceived() {
        continuationFrames &+= 1
        if continuationFrames > limits.continuationFrameMax { becomeAbusive(.continuationFrames) }
    }

    func settingsReceived() { hasSettings = true }

    /// Nobody asked for a push: the settings that came before any request forbid it (RFC 9113
    /// section 8.4).
    func pushReceived() {
        guard !isAbusive else { return }
        isAbusive = true
        goAway(.protocolError)
    }

    /// A frame that carries nothing of a response: heads and bodies pay for them.
    func controlFrameReceived() {
        controlFrames &+= 1
        if controlFrames > limits.controlFrameMax { becomeAbusive(.controlFrames) }
    }

    private func becomeAbusive(_ limit: HTTP2Limit) {
        guard !isAbusive else { return }
        isAbusive = true
        owner.endpointLimitReached(limit)
        goAway(.enhanceYourCalm)
    }

    func readBody(stream: Int32, into target: inout MutableRawSpan) -> HTTP2BodyOutcome {
        let tag = tag(of: stream)
        guard tag > 0 else { return .deferred }
        return owner.requestBody(self, tag: tag, into: &target)
    }
}
