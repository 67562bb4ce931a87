import CNghttp2

/// One client's HTTP/2 connection: frames in, frames out (RFC 9113, by nghttp2).
@safe final class HTTP2ServerSession {
    private var session: OpaquePointer?
    private unowned let owner: any HTTP2SessionOwner
    private let limits: HTTP2Limits
    /// The connection's number at its owner.
    let connection: Int32
    /// Header bytes and fields of the block being received.
    private let text: ScratchBuffer
    private let fields: Table<HeaderField>
    private var fieldCount = 0
    private var pseudo = HTTP2Pseudo()
    private var blockStream: Int32 = 0
    private var isMalformed = false
    private var isTooLarge = false
    private var blockByteCount = 0
    private var sawRegularField = false
    private var earlyResets: UInt32 = 0
    private var controlFrames: UInt32 = 0
    private var continuationFrames: UInt32 = 0
    private var streamsOpened: UInt32 = 0
    private var openStreams: UInt32 = 0
    /// The greatest stream that was accepted.
    private(set) var lastStream: Int32 = 0
    /// Set once a budget was used up: the connection ends after what is to be sent.
    private(set) var isAbusive = false

    /// Begins a session and queues its SETTINGS; `nil` when nghttp2 has no memory.
    init?(owner: any HTTP2SessionOwner, connection: Int32, limits: HTTP2Limits) {
        self.owner = owner
        self.connection = connection
        self.limits = limits
        text = ScratchBuffer(capacity: limits.headerListByteLimit)
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
        unsafe HTTP2Callbacks.install(callbacks)
        unsafe nghttp2_option_set_no_auto_window_update(option, 1)
        unsafe nghttp2_option_set_max_send_header_block_length(option, 131_072)
        let user = unsafe Unmanaged.passUnretained(self).toOpaque()
        guard unsafe nghttp2_session_server_new2(&session, callbacks, user, option) == 0 else {
            return false
        }
        return submitSettings()
    }

    private func submitSettings() -> Bool {
        let entries = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: limits.concurrentStreamMax
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
    /// - Returns: `false` when the connection is to be closed once the output is sent.
    func receive(_ bytes: RawSpan) -> Bool {
        let taken = unsafe bytes.withUnsafeBytes { buffer in
            unsafe nghttp2_session_mem_recv(
                session,
                buffer.baseAddress?.assumingMemoryBound(to: UInt8.self),
                buffer.count
            )
        }
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

    // MARK: Sending

    /// Begins a response. Fields are name and value places in `bytes`; names are lowered.
    ///
    /// - Parameter hasBody: whether the owner will be asked for a body.
    func submitResponse(
        stream: Int32,
        status: UInt16,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        hasBody: Bool
    ) {
        unsafe bytes.withUnsafeBytes { buffer in
            var lowered = HTTP2Names(status: status, byteCount: bytes.byteCount)
            if let base = buffer.baseAddress { unsafe lowered.copy(base, fields) }
            unsafe lowered.withFields { (list: UnsafePointer<nghttp2_nv>, count: Int) in
                var provider = unsafe nghttp2_data_provider()
                unsafe provider.read_callback = http2ReadBody
                if hasBody {
                    _ = unsafe nghttp2_submit_response(session, stream, list, count, &provider)
                } else {
                    _ = unsafe nghttp2_submit_response(session, stream, list, count, nil)
                }
            }
        }
    }

    /// Ends a response with trailers; from within `http2ResponseBody` only.
    func submitTrailers(stream: Int32, _ bytes: RawSpan, _ fields: Span<HeaderField>) {
        unsafe bytes.withUnsafeBytes { buffer in
            var lowered = HTTP2Names(byteCount: bytes.byteCount)
            if let base = buffer.baseAddress { unsafe lowered.copy(base, fields) }
            unsafe lowered.withFields { (list: UnsafePointer<nghttp2_nv>, count: Int) in
                _ = unsafe nghttp2_submit_trailer(session, stream, list, count)
            }
        }
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

    /// Whether anything is to be received or sent still.
    var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0
            && nghttp2_session_want_write(session) == 0
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

    fileprivate func blockBegan(stream: Int32, isRequest: Bool) {
        blockStream = stream
        text.reset()
        fieldCount = 0
        pseudo = HTTP2Pseudo()
        isMalformed = false
        isTooLarge = false
        blockByteCount = 0
        sawRegularField = false
        continuationFrames = 0
        guard isRequest else { return }
        lastStream = max(lastStream, stream)
        openStreams &+= 1
        streamsOpened &+= 1
        controlFrames = 0
        if streamsOpened % 1_000 == 0 { earlyResets = 0 }
    }

    /// Takes one field of the list; of a list past its limits the rest is passed over, so that the
    /// table that both ends share stays whole (RFC 7541 section 2.2).
    fileprivate func field(
        _ name: UnsafeBufferPointer<UInt8>,
        _ value: UnsafeBufferPointer<UInt8>
    ) {
        blockByteCount += name.count + value.count + 32
        guard !isTooLarge else { return }
        if blockByteCount > limits.headerListByteLimit || fieldCount >= limits.fieldCountMax {
            let isLong = blockByteCount > limits.headerListByteLimit
            owner.http2LimitReached(self, isLong ? .headerListBytes : .fieldCount)
            isTooLarge = true
            return
        }
        let nameOffset = text.count
        unsafe text.append(RawSpan(_unsafeElements: name))
        let valueOffset = text.count
        unsafe text.append(RawSpan(_unsafeElements: value))
        if unsafe name.first == UInt8(ascii: ":") {
            addPseudo(nameOffset, name.count, valueOffset, value.count)
        } else {
            sawRegularField = true
            addField(nameOffset, name.count, valueOffset, value.count)
        }
    }

    private func addPseudo(_ nameOffset: Int, _ nameLength: Int, _ offset: Int, _ length: Int) {
        let span = text.bytes()
        if span.equalsIgnoringCase(nameOffset, nameLength, ":method") {
            pseudo.methodOffset = offset
            pseudo.methodLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":path") {
            pseudo.pathOffset = offset
            pseudo.pathLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":authority") {
            pseudo.authorityOffset = offset
            pseudo.authorityLength = length
        } else if span.equalsIgnoringCase(nameOffset, nameLength, ":scheme") {
            pseudo.hasScheme = true
        }
    }

    private func addField(_ nameOffset: Int, _ nameLength: Int, _ offset: Int, _ length: Int) {
        let span = text.bytes()
        let id = HeaderID.identify(span, offset: nameOffset, count: nameLength)
        switch id {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade:
            isMalformed = true
            return
        case .host where pseudo.authorityLength == 0:
            pseudo.authorityOffset = offset
            pseudo.authorityLength = length
            return
        case .host:
            // Two readers must not see two hosts (RFC 9113 section 8.3.1).
            let isSame =
                length == pseudo.authorityLength
                && span.equalsIgnoringCase(offset, pseudo.authorityOffset, count: length)
            if !isSame { isMalformed = true }
            return
        case .contentLength:
            guard let number = HTTP2ServerSession.decimal(span, offset, length),
                pseudo.contentLength == nil || pseudo.contentLength == number
            else {
                isMalformed = true
                return
            }
            pseudo.contentLength = number
            return
        default: break
        }
        fields[fieldCount] = HeaderField(
            nameOffset: UInt32(nameOffset),
            valueOffset: UInt32(offset),
            nameLength: UInt16(clamping: nameLength),
            valueLength: UInt16(clamping: length),
            id: id,
            flags: id.isHopByHop ? .hopByHop : []
        )
        fieldCount += 1
    }

    private static func decimal(_ bytes: RawSpan, _ offset: Int, _ length: Int) -> UInt64? {
        guard (1...18).contains(length) else { return nil }
        var value: UInt64 = 0
        for position in offset..<(offset + length) {
            let digit = bytes.byte(at: position) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            value = value * 10 + UInt64(digit)
        }
        return value
    }

    fileprivate func requestReceived(stream: Int32, endStream: Bool) {
        guard !isTooLarge else {
            refuseHead(stream: stream)
            return
        }
        guard !isMalformed, pseudo.methodLength > 0, pseudo.hasScheme, hasValidTarget() else {
            reset(stream: stream, .protocolError)
            return
        }
        owner.http2RequestHead(
            self,
            stream: stream,
            text.bytes(),
            fields.span.extracting(0..<fieldCount),
            pseudo,
            endStream: endStream
        )
    }

    /// Answers a list past its limits with 431 (RFC 9113 section 10.5.1). It is as costly as a
    /// reset and counted as one.
    private func refuseHead(stream: Int32) {
        owner.http2HeadRefused(self, stream: stream, status: 431)
        submitResponse(stream: stream, status: 431, RawSpan(), Span(), hasBody: false)
        resetReceived()
    }

    /// The list behind a body.
    fileprivate func trailersReceived(stream: Int32) {
        if isTooLarge {
            owner.http2TrailersRefused(self, stream: stream)
        } else if isMalformed {
            reset(stream: stream, .protocolError)
        } else {
            owner.http2RequestTrailers(
                self,
                stream: stream,
                text.bytes(),
                fields.span.extracting(0..<fieldCount)
            )
            owner.http2RequestEnded(self, stream: stream)
        }
    }

    /// Whether path and authority could stand in a request line of HTTP/1 as they are.
    private func hasValidTarget() -> Bool {
        let span = text.bytes()
        guard pseudo.pathLength > 0, span.byte(at: pseudo.pathOffset) == UInt8(ascii: "/") else {
            return false
        }
        let end = pseudo.pathOffset + pseudo.pathLength
        var at = pseudo.pathOffset
        while at < end {
            let mask = ByteScan.notTargetByte(span.word(at: at))
            if mask != 0 && at + ByteScan.firstLane(mask) < end { return false }
            at += 8
        }
        let authority =
            pseudo.authorityOffset..<(pseudo.authorityOffset + pseudo.authorityLength)
        return RequestLine.isAuthority(span, authority, mayBeEmpty: true)
    }

    /// A field that no message may hold, such as one with a line break in its value.
    fileprivate func invalidField() { isMalformed = true }

    fileprivate func dataReceived(stream: Int32, _ bytes: RawSpan) {
        owner.http2RequestData(self, stream: stream, bytes)
    }

    fileprivate func requestEnded(stream: Int32) { owner.http2RequestEnded(self, stream: stream) }

    /// A frame begins: one that opens a stream past the bound is refused by nghttp2.
    fileprivate func headersBegan(stream: Int32) {
        guard stream > lastStream, openStreams >= limits.concurrentStreamMax else { return }
        owner.http2LimitReached(self, .concurrentStreams)
    }

    fileprivate func streamClosed(stream: Int32, errorCode: UInt32) {
        if stream <= lastStream && openStreams > 0 { openStreams &-= 1 }
        owner.http2StreamClosed(self, stream: stream, errorCode: errorCode)
    }

    /// The last frame of a response has gone out: what is left of its request is not wanted (RFC
    /// 9113 section 8.1).
    fileprivate func responseSent(stream: Int32) {
        if unsafe nghttp2_session_get_stream_remote_close(session, stream) == 0 {
            reset(stream: stream, .noError)
        }
    }

    fileprivate func resetReceived() {
        earlyResets &+= 1
        if earlyResets > limits.earlyResetMax { becomeAbusive(.earlyResets) }
    }

    /// A frame that makes nghttp2 reset its stream: as costly as a reset of the client's own
    /// (CVE-2025-8671).
    fileprivate func invalidFrameReceived() { resetReceived() }

    fileprivate func continuationReceived() {
        continuationFrames &+= 1
        if continuationFrames > limits.continuationFrameMax { becomeAbusive(.continuationFrames) }
    }

    fileprivate func controlFrameReceived() {
        controlFrames &+= 1
        if controlFrames > limits.controlFrameMax { becomeAbusive(.controlFrames) }
    }

    private func becomeAbusive(_ limit: HTTP2Limit? = nil) {
        guard !isAbusive else { return }
        isAbusive = true
        if let limit { owner.http2LimitReached(self, limit) }
        goAway(.enhanceYourCalm)
    }

    fileprivate func readBody(stream: Int32, into target: inout MutableRawSpan)
        -> HTTP2BodyOutcome
    {
        owner.http2ResponseBody(self, stream: stream, into: &target)
    }
}

/// Error codes the engine sends (RFC 9113 section 7).
enum HTTP2ErrorCode: UInt32 {
    case noError = 0
    case protocolError = 1
    case internalError = 2
    case cancel = 8
    case enhanceYourCalm = 11
}

/// The session behind a callback's user pointer.
private func session(_ user: UnsafeMutableRawPointer?) -> HTTP2ServerSession? {
    guard let user = unsafe user else { return nil }
    return unsafe Unmanaged<HTTP2ServerSession>.fromOpaque(user).takeUnretainedValue()
}

/// nghttp2's callbacks: each unpacks and forwards.
private enum HTTP2Callbacks {
    static func install(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
            _,
            frame,
            user in
            guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
            let isRequest =
                unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST
            unsafe session.blockBegan(
                stream: frame.pointee.hd.stream_id,
                isRequest: isRequest
            )
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks, http2Field)
        unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) {
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            user in
            unsafe session(user)?.invalidField()
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) {
            _,
            header,
            user in
            guard let header = unsafe header, let session = unsafe session(user) else { return 0 }
            switch unsafe UInt32(header.pointee.type) {
            case NGHTTP2_CONTINUATION.rawValue: session.continuationReceived()
            case NGHTTP2_HEADERS.rawValue:
                unsafe session.headersBegan(stream: header.pointee.stream_id)
            default: break
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
            _,
            _,
            _,
            user in
            unsafe session(user)?.invalidFrameReceived()
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, http2Frame)
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, http2Sent)
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, http2Data)
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
            _,
            stream,
            code,
            user in
            unsafe session(user)?.streamClosed(stream: stream, errorCode: code)
            return 0
        }
    }
}

/// `nghttp2_on_header_callback`.
private func http2Field(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ name: UnsafePointer<UInt8>?,
    _ nameLength: Int,
    _ value: UnsafePointer<UInt8>?,
    _ valueLength: Int,
    _ flags: UInt8,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let session = unsafe session(user) else { return 0 }
    unsafe session.field(
        UnsafeBufferPointer(start: name, count: nameLength),
        UnsafeBufferPointer(start: value, count: valueLength)
    )
    return 0
}

/// `nghttp2_on_frame_recv_callback`.
private func http2Frame(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
    let header = unsafe frame.pointee.hd
    let endStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue:
        if unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
            session.requestReceived(stream: header.stream_id, endStream: endStream)
        } else if endStream {
            session.trailersReceived(stream: header.stream_id)
        }
    case NGHTTP2_DATA.rawValue where endStream:
        session.requestEnded(stream: header.stream_id)
    case NGHTTP2_RST_STREAM.rawValue: session.resetReceived()
    case NGHTTP2_SETTINGS.rawValue, NGHTTP2_PING.rawValue, NGHTTP2_PRIORITY.rawValue:
        session.controlFrameReceived()
    default: break
    }
    return 0
}

/// `nghttp2_on_frame_send_callback`.
private func http2Sent(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
    let header = unsafe frame.pointee.hd
    guard header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 else { return 0 }
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
        session.responseSent(stream: header.stream_id)
    default: break
    }
    return 0
}

/// `nghttp2_on_data_chunk_recv_callback`.
private func http2Data(
    _ raw: OpaquePointer?,
    _ flags: UInt8,
    _ stream: Int32,
    _ data: UnsafePointer<UInt8>?,
    _ length: Int,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let data = unsafe data, let session = unsafe session(user) else { return 0 }
    let bytes = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(data), byteCount: length)
    session.dataReceived(stream: stream, bytes)
    return 0
}

/// `nghttp2_data_source_read_callback`.
private func http2ReadBody(
    _ raw: OpaquePointer?,
    _ stream: Int32,
    _ buffer: UnsafeMutablePointer<UInt8>?,
    _ length: Int,
    _ flags: UnsafeMutablePointer<UInt32>?,
    _ source: UnsafeMutablePointer<nghttp2_data_source>?,
    _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let buffer = unsafe buffer, let session = unsafe session(user) else {
        return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
    }
    var target = unsafe MutableRawSpan(
        _unsafeStart: UnsafeMutableRawPointer(buffer),
        byteCount: length
    )
    switch session.readBody(stream: stream, into: &target) {
    case .bytes(let count): return count
    case .deferred: return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    case .end(let count):
        unsafe flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        return count
    case .trailers(let count):
        unsafe flags?.pointee |=
            UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
        return count
    }
}
