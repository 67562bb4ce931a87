import CNghttp2

/// The session behind a callback's user pointer.
private func session(_ user: UnsafeMutableRawPointer?) -> HTTP2ServerSession? {
    guard let user = unsafe user else { return nil }
    return unsafe Unmanaged<HTTP2ServerSession>.fromOpaque(user).takeUnretainedValue()
}

/// What a callback returns: receiving stops once the connection is to end.
private func verdict(_ session: HTTP2ServerSession) -> Int32 {
    session.isAbusive ? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue : 0
}

/// nghttp2's callbacks: each unpacks and forwards.
enum HTTP2Callbacks {
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
            unsafe session.frameBegan(header.pointee.type, stream: header.pointee.stream_id)
            return verdict(session)
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
    guard let name = unsafe name, let value = unsafe value else { return 0 }
    unsafe session.field(
        RawSpan(_unsafeStart: UnsafeRawPointer(name), byteCount: nameLength),
        RawSpan(_unsafeStart: UnsafeRawPointer(value), byteCount: valueLength)
    )
    return verdict(session)
}

/// `nghttp2_on_frame_recv_callback`.
private func http2Frame(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
    session.frameReceived()
    let header = unsafe frame.pointee.hd
    let endStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue:
        if unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
            session.requestReceived(stream: header.stream_id, endStream: endStream)
        } else if endStream {
            session.trailersReceived(stream: header.stream_id)
        }
    case NGHTTP2_DATA.rawValue:
        if endStream {
            session.requestEnded(stream: header.stream_id)
        } else if unsafe header.length == frame.pointee.data.padlen {
            session.controlFrameReceived()
        }
    case NGHTTP2_RST_STREAM.rawValue: session.resetReceived()
    case NGHTTP2_PING.rawValue where header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0:
        session.pingAnswered()
        session.controlFrameReceived()
    default: session.controlFrameReceived()
    }
    return verdict(session)
}

/// `nghttp2_on_frame_send_callback`.
private func http2Sent(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame, let session = unsafe session(user) else { return 0 }
    let header = unsafe frame.pointee.hd
    let ends = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(header.type) {
    case NGHTTP2_HEADERS.rawValue where ends, NGHTTP2_DATA.rawValue where ends:
        session.responseSent(stream: header.stream_id)
    case NGHTTP2_RST_STREAM.rawValue:
        unsafe session.resetSent(frame.pointee.rst_stream.error_code)
    case NGHTTP2_GOAWAY.rawValue:
        if unsafe frame.pointee.goaway.error_code != 0 { session.errorSent() }
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
func http2ReadBody(
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
