import CNghttp2

/// The session behind a callback's user pointer.
private func session(_ user: UnsafeMutableRawPointer?) -> HTTP2ClientSession? {
    guard let user = unsafe user else { return nil }
    return unsafe Unmanaged<HTTP2ClientSession>.fromOpaque(user).takeUnretainedValue()
}

/// nghttp2's callbacks of sessions with endpoints: each unpacks and forwards.
enum HTTP2ClientCallbacks {
    static func install(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, _, user in
            unsafe session(user)?.blockBegan()
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks, http2ResponseField)
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
            case NGHTTP2_PUSH_PROMISE.rawValue: session.pushReceived()
            default: break
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, http2ResponseFrame)
        unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
            _,
            frame,
            _,
            user in
            guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
            let header = unsafe frame.pointee.hd
            if UInt32(header.type) == NGHTTP2_HEADERS.rawValue {
                session.requestNotSent(stream: header.stream_id)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
            callbacks,
            http2ResponseData
        )
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
private func http2ResponseField(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ name: UnsafePointer<UInt8>?,
    _ nameLength: Int,
    _ value: UnsafePointer<UInt8>?,
    _ valueLength: Int,
    _ flags: UInt8,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let session = unsafe session(user), let name = unsafe name, let value = unsafe value
    else { return 0 }
    unsafe session.field(
        RawSpan(_unsafeStart: UnsafeRawPointer(name), byteCount: nameLength),
        RawSpan(_unsafeStart: UnsafeRawPointer(value), byteCount: valueLength)
    )
    return 0
}

/// `nghttp2_on_frame_recv_callback`.
private func http2ResponseFrame(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
    let header = unsafe frame.pointee.hd
    let isEnd = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue: session.headReceived(stream: header.stream_id, isEnd: isEnd)
    case NGHTTP2_DATA.rawValue:
        if isEnd {
            session.ended(stream: header.stream_id)
        } else if header.length == 0 {
            session.controlFrameReceived()
        }
    case NGHTTP2_SETTINGS.rawValue:
        if header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { session.settingsReceived() }
        session.controlFrameReceived()
    case NGHTTP2_PING.rawValue, NGHTTP2_PRIORITY.rawValue, NGHTTP2_WINDOW_UPDATE.rawValue:
        session.controlFrameReceived()
    case NGHTTP2_GOAWAY.rawValue:
        unsafe session.goAwayReceived(frame.pointee.goaway.error_code)
        session.controlFrameReceived()
    default: break
    }
    return 0
}

/// `nghttp2_on_data_chunk_recv_callback`.
private func http2ResponseData(
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
func http2ReadRequestBody(
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
