import CNghttp2

/// One client's HTTP/2 connection: frames in, frames out (RFC 9113, by nghttp2).
@safe final class HTTP2ServerSession {
    private var session: OpaquePointer?
    private unowned let owner: any HTTP2SessionOwner
    private let limits: HTTP2Limits
    /// The connection's number at its owner.
    let connection: Int32
    /// Reads header lists for all sessions of the worker; what is in hand between two receives is
    /// put aside.
    private let reader: HTTP2HeadReader
    private let memory: HTTP2Memory
    private var partial: HTTP2HeadReader.Partial?
    private var isInBlock = false
    /// Where nghttp2 keeps the session's streams; -1 before the first, or elsewhere.
    private var streamPage: Int32 = -1
    private var budget: HTTP2Budget
    /// Streams the client has open, and those it opened.
    private(set) var openStreamCount: UInt32 = 0
    private(set) var streamCount: UInt32 = 0
    /// The greatest stream that was accepted.
    private(set) var lastStream: Int32 = 0
    /// Ids between these were passed over: no stream will ever be theirs.
    private var passedOver: Range<Int32> = 0..<0
    /// Set once a budget was used up: the connection ends after what is to be sent.
    private(set) var isAbusive = false
    /// Frames that came whole.
    private(set) var frameCount: UInt32 = 0
    /// Whether a header list has come in part.
    var isWithinHead: Bool { partial != nil }
    /// Whether the client was told of an error of the whole connection.
    private(set) var hasFailed = false
    /// Whether the client has answered the PING that was sent with the notice of the end.
    private(set) var hasAnsweredNotice = false

    /// Begins a session and queues its SETTINGS; `nil` when nghttp2 has no memory.
    init?(
        owner: any HTTP2SessionOwner,
        connection: Int32,
        limits: HTTP2Limits,
        reader: HTTP2HeadReader,
        memory: HTTP2Memory
    ) {
        self.owner = owner
        self.connection = connection
        self.limits = limits
        self.reader = reader
        self.memory = memory
        budget = HTTP2Budget(limits)
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
        unsafe HTTP2Callbacks.install(callbacks)
        unsafe nghttp2_option_set_no_auto_window_update(option, 1)
        unsafe nghttp2_option_set_max_send_header_block_length(option, 131_072)
        let user = unsafe Unmanaged.passUnretained(self).toOpaque()
        let isOpen = unsafe memory.open { calls in
            unsafe nghttp2_session_server_new3(&session, callbacks, user, option, calls)
        }
        return isOpen && submitSettings()
    }

    private func submitSettings() -> Bool {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        let values: [(nghttp2_settings_id, UInt32)] = [
            (NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreamMax),
            (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowByteCount),
            (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(limits.headerListByteLimit)),
            (NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, limits.allowsExtendedConnect ? 1 : 0),
        ]
        let entries = values.map {
            nghttp2_settings_entry(settings_id: Int32($0.0.rawValue), value: $0.1)
        }
        let result = unsafe nghttp2_submit_settings(session, flag, entries, entries.count)
        // The connection's window is not to be what slows one of many streams.
        let window = unsafe nghttp2_session_set_local_window_size(session, flag, 0, 1 << 24)
        return result == 0 && window == 0
    }

    // MARK: Receiving

    /// Takes bytes that have arrived.
    ///
    /// - Returns: `false` when the connection is to be closed once the output is sent.
    func receive(_ bytes: RawSpan, nowNanoseconds: UInt64) -> Bool {
        budget.elapse(to: nowNanoseconds)
        if let partial {
            reader.resume(partial)
            self.partial = nil
        }
        let taken = unsafe bytes.withUnsafeBytes { buffer in
            unsafe nghttp2_session_mem_recv(
                session,
                buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
                buffer.count
            )
        }
        if isInBlock { partial = reader.putAside() }
        let page = memory.takeNewestPage()
        if page >= 0 { streamPage = page }
        if taken == Int(NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue) {
            goAway(.protocolError)
        } else if taken < 0 {
            // nghttp2 gives up on floods by budgets of its own and says nothing to the client.
            becomeAbusive()
        }
        return taken == bytes.byteCount && !isAbusive
    }

    /// Gives bytes of a body back to the client's windows.
    func consume(stream: Int32, _ byteCount: Int) {
        _ = unsafe nghttp2_session_consume(session, stream, byteCount)
    }

    /// Gives memory back that an idle session does not need: the table of its streams is empty.
    func rest() { memory.dropIfZero(streamPage) }

    // MARK: Sending

    /// Begins a response.
    ///
    /// - Parameter hasBody: whether the owner will be asked for a body.
    func submitResponse(stream: Int32, _ fields: HTTP2FieldList, hasBody: Bool) {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = http2ReadBody
        if hasBody {
            _ = unsafe nghttp2_submit_response(
                session,
                stream,
                fields.first,
                fields.count,
                &provider
            )
        } else {
            _ = unsafe nghttp2_submit_response(session, stream, fields.first, fields.count, nil)
        }
    }

    /// Sends an interim response (RFC 9110 section 15.2).
    func submitInterim(stream: Int32, _ fields: HTTP2FieldList) {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_headers(
            session,
            flag,
            stream,
            nil,
            fields.first,
            fields.count,
            nil
        )
    }

    /// Ends a response with trailers; from within `http2ResponseBody` only.
    func submitTrailers(stream: Int32, _ fields: HTTP2FieldList) {
        _ = unsafe nghttp2_submit_trailer(session, stream, fields.first, fields.count)
    }

    /// A deferred body has bytes again.
    func resumeBody(stream: Int32) { _ = unsafe nghttp2_session_resume_data(session, stream) }

    /// Ends a stream with an error.
    func reset(stream: Int32, _ code: HTTP2ErrorCode) {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_rst_stream(session, flag, stream, code.rawValue)
    }

    /// Tells the client that streams after the last accepted one will not be served.
    func goAway(_ code: HTTP2ErrorCode) {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_goaway(session, flag, lastStream, code.rawValue, nil, 0)
    }

    /// Tells the client to open no more streams, and asks for a sign that it has heard: streams
    /// under way are still served (RFC 9113 section 6.8).
    func announceEnd() {
        let flag = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        _ = unsafe nghttp2_submit_shutdown_notice(session)
        let text: StaticString = "shutdown"
        _ = unsafe nghttp2_submit_ping(session, flag, text.utf8Start)
    }

    /// Whether anything is to be received or sent still.
    var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0
            && nghttp2_session_want_write(session) == 0
    }

    /// Whether the client's windows let a stream's body go on.
    func hasWindow(stream: Int32) -> Bool {
        unsafe nghttp2_session_get_stream_remote_window_size(session, stream) > 0
            && nghttp2_session_get_remote_window_size(session) > 0
    }

    /// Hands every frame that may be sent now to `body`, run by run.
    func collect(_ body: (RawSpan) -> Void) {
        while true {
            var data: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &data)
            guard count > 0, let data = unsafe data else { return }
            unsafe body(RawSpan(_unsafeStart: UnsafeRawPointer(data), byteCount: count))
        }
    }

    // MARK: What the callbacks forward

    func blockBegan(stream: Int32, isRequest: Bool) {
        isInBlock = true
        reader.begin()
        budget.blockBegan()
        guard isRequest else { return }
        if stream > lastStream + 2 { passedOver = (lastStream + 1)..<stream }
        lastStream = max(lastStream, stream)
        openStreamCount &+= 1
        streamCount &+= 1
        budget.streamOpened()
    }

    /// Takes one field of the list.
    func field(_ name: RawSpan, _ value: RawSpan) {
        if let limit = reader.add(name, value) { owner.http2LimitReached(self, limit) }
        if reader.isBomb { becomeAbusive() }
    }

    func requestReceived(stream: Int32, endStream: Bool) {
        isInBlock = false
        guard !reader.isTooLarge else {
            refuseHead(stream: stream)
            return
        }
        guard reader.isRequest, allowsProtocol else {
            reset(stream: stream, .protocolError)
            return
        }
        reader.joinCookies()
        owner.http2RequestHead(
            self,
            stream: stream,
            reader.usedBytes,
            reader.fields,
            reader.pseudo,
            endStream: endStream
        )
    }

    private var allowsProtocol: Bool {
        reader.pseudo.protocolLength == 0 || limits.allowsExtendedConnect
    }

    /// Whether the request in hand announces trailers; within `http2RequestHead`.
    var announcesTrailers: Bool { reader.hasTrailerField }

    /// Answers a list past its limits with 431 (RFC 9113 section 10.5.1). It is as costly as a
    /// reset and counted as one.
    private func refuseHead(stream: Int32) {
        owner.http2HeadRefused(self, stream: stream, status: 431)
        resetReceived()
    }

    /// The list behind a body.
    func trailersReceived(stream: Int32) {
        isInBlock = false
        if reader.isTooLarge {
            owner.http2TrailersRefused(self, stream: stream)
        } else if reader.isMalformed {
            reset(stream: stream, .protocolError)
        } else {
            owner.http2RequestTrailers(self, stream: stream, reader.usedBytes, reader.fields)
            owner.http2RequestEnded(self, stream: stream)
        }
    }

    /// A field that no message may hold, such as one with a line break in its value.
    func invalidField() { reader.noteInvalid() }

    func dataReceived(stream: Int32, _ bytes: RawSpan) {
        budget.dataPassed()
        owner.http2RequestData(self, stream: stream, bytes)
    }

    func requestEnded(stream: Int32) { owner.http2RequestEnded(self, stream: stream) }

    /// A frame begins. Only CONTINUATION goes on with the header list in hand, also where nghttp2
    /// passes over what is left of it.
    func frameBegan(_ type: UInt8, stream: Int32) {
        switch UInt32(type) {
        case NGHTTP2_CONTINUATION.rawValue:
            becomeAbusive(past: budget.continuationCounted())
            return
        case NGHTTP2_HEADERS.rawValue: headersBegan(stream: stream)
        default: break
        }
        isInBlock = false
    }

    /// A frame of headers begins: one that opens a stream past the bound is refused by nghttp2; an
    /// id that was passed over is the end (RFC 9113 section 5.1.1).
    private func headersBegan(stream: Int32) {
        if passedOver.contains(stream) {
            isAbusive = true
            goAway(.protocolError)
            return
        }
        guard stream > lastStream, openStreamCount >= limits.concurrentStreamMax else { return }
        owner.http2LimitReached(self, .concurrentStreams)
    }

    func streamClosed(stream: Int32, errorCode: UInt32) {
        if stream <= lastStream && openStreamCount > 0 { openStreamCount &-= 1 }
        owner.http2StreamClosed(self, stream: stream, errorCode: errorCode)
    }

    /// The last frame of a response has gone out: what is left of its request is not wanted (RFC
    /// 9113 section 8.1), unless it is the other side of a tunnel, which ends by itself.
    func responseSent(stream: Int32) {
        if unsafe nghttp2_session_get_stream_remote_close(session, stream) == 0,
            !owner.http2IsTunnel(self, stream: stream)
        {
            reset(stream: stream, .noError)
        }
    }

    func resetReceived() { becomeAbusive(past: budget.resetCounted()) }

    /// A stream was reset for what the client did, which is as costly as a reset of the client's
    /// own (CVE-2025-8671).
    func resetSent(_ code: UInt32) {
        switch HTTP2ErrorCode(rawValue: code) {
        case .protocolError, .flowControlError, .streamClosed, .frameSizeError, .refusedStream:
            resetReceived()
        case .noError, .internalError, .cancel, .connectError, .enhanceYourCalm, .http11Required,
            nil:
            break
        }
    }

    func controlFrameReceived() { becomeAbusive(past: budget.controlFrameCounted()) }

    func errorSent() { hasFailed = true }

    func frameReceived() { frameCount &+= 1 }

    func pingAnswered() { hasAnsweredNotice = true }

    private func becomeAbusive(past limit: HTTP2Limit?) {
        guard let limit, !isAbusive else { return }
        owner.http2LimitReached(self, limit)
        becomeAbusive()
    }

    private func becomeAbusive() {
        guard !isAbusive else { return }
        isAbusive = true
        goAway(.enhanceYourCalm)
    }

    /// Fills a DATA frame. One that the client's window keeps small counts against it, any other
    /// for it (CVE-2019-9511, data dribble).
    func readBody(stream: Int32, into target: inout MutableRawSpan) -> HTTP2BodyOutcome {
        let room = target.byteCount
        let outcome = owner.http2ResponseBody(self, stream: stream, into: &target)
        if case .bytes(room) = outcome, room < HTTP2Budget.payingByteCount {
            controlFrameReceived()
        } else if case .deferred = outcome {
            return outcome
        } else {
            budget.dataPassed()
        }
        return outcome
    }
}

/// Error codes the engine sends (RFC 9113 section 7).
enum HTTP2ErrorCode: UInt32 {
    case noError = 0
    case protocolError = 1
    case internalError = 2
    case flowControlError = 3
    case streamClosed = 5
    case frameSizeError = 6
    case refusedStream = 7
    case cancel = 8
    case connectError = 10
    case enhanceYourCalm = 11
    case http11Required = 13
}
