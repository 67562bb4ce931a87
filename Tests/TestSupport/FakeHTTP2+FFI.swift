import CNghttp2

/// A server's HTTP/2 connection, made with nghttp2 alone so that it shares no code with what is
/// tested: bytes in, requests out.
@safe final class FakeHTTP2 {
    /// A request that has come whole.
    struct Request {
        var stream: Int32
        /// `name: value`, pseudo-fields among them.
        var fields: [(name: String, value: String)] = []
        var body: [UInt8] = []

        func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }
    }

    private struct Response {
        var body: [UInt8] = []
        var ends = false
    }

    private var session: OpaquePointer?
    private var requests: [Int32: Request] = [:]
    private var complete: [Request] = []
    private var responses: [Int32: Response] = [:]
    private let frameByteMax: Int
    /// Streams that the client has reset.
    private(set) var resetStreams: Set<Int32> = []
    /// Why the client said that the connection ends.
    private(set) var goAwayCode: UInt32?
    /// PINGs that came.
    private(set) var pingCount = 0
    /// Bytes of bodies that have not been framed yet.
    var pendingByteCount: Int { responses.values.reduce(0) { $0 + $1.body.count } }

    init(streamMax: Int, frameByteMax: Int) {
        self.frameByteMax = frameByteMax
        var callbacks: OpaquePointer?
        _ = unsafe nghttp2_session_callbacks_new(&callbacks)
        unsafe FakeHTTP2.install(callbacks)
        let user = unsafe Unmanaged.passUnretained(self).toOpaque()
        _ = unsafe nghttp2_session_server_new(&session, callbacks, user)
        unsafe nghttp2_session_callbacks_del(callbacks)
        var entry = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
            value: UInt32(streamMax)
        )
        _ = unsafe nghttp2_submit_settings(session, 0, &entry, 1)
    }

    deinit { unsafe nghttp2_session_del(session) }

    /// - Returns: requests that are complete with these bytes; `nil` when they are no HTTP/2.
    func receive(_ bytes: [UInt8]) -> [Request]? {
        let taken = unsafe nghttp2_session_mem_recv(session, bytes, bytes.count)
        defer { complete = [] }
        return taken == bytes.count ? complete : nil
    }

    func respond(_ stream: Int32, status: Int, retryAfter: Int?) {
        responses[stream] = Response()
        var fields = [(":status", "\(status)"), ("content-type", "application/json")]
        if let retryAfter { fields.append(("retry-after", "\(retryAfter)")) }
        unsafe FakeHTTP2.withFields(fields) { list in
            var provider = unsafe nghttp2_data_provider()
            unsafe provider.read_callback = fakeReadBody
            _ = unsafe nghttp2_submit_response(
                session,
                stream,
                list.baseAddress,
                list.count,
                &provider
            )
        }
    }

    func append(_ stream: Int32, _ bytes: [UInt8], ends: Bool) {
        responses[stream]?.body += bytes
        if ends { responses[stream]?.ends = true }
        _ = unsafe nghttp2_session_resume_data(session, stream)
    }

    func reset(_ stream: Int32, _ code: UInt32) {
        _ = unsafe nghttp2_submit_rst_stream(session, 0, stream, code)
    }

    func goAway(lastStream: Int32?, _ code: UInt32) {
        let last = lastStream ?? (unsafe nghttp2_session_get_last_proc_stream_id(session))
        _ = unsafe nghttp2_submit_goaway(session, 0, last, code, nil, 0)
    }

    func takeOutput() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            var data: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &data)
            guard count > 0 else { return output }
            unsafe output.append(contentsOf: UnsafeBufferPointer(start: data, count: count))
        }
    }

    private static func withFields(
        _ fields: [(String, String)],
        _ body: (UnsafeBufferPointer<nghttp2_nv>) -> Void
    ) {
        var text: [UInt8] = fields.flatMap { Array($0.0.utf8) + Array($0.1.utf8) }
        unsafe text.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            var list: [nghttp2_nv] = unsafe []
            var offset = 0
            for (name, value) in fields {
                let (nameCount, valueCount) = (name.utf8.count, value.utf8.count)
                unsafe list.append(
                    nghttp2_nv(
                        name: base + offset,
                        value: base + offset + nameCount,
                        namelen: nameCount,
                        valuelen: valueCount,
                        flags: 0
                    )
                )
                offset += nameCount + valueCount
            }
            unsafe list.withUnsafeBufferPointer { list in unsafe body(list) }
        }
    }

    // MARK: What the callbacks forward

    private static func install(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
            _,
            frame,
            user in
            guard let frame = unsafe frame else { return 0 }
            let stream = unsafe frame.pointee.hd.stream_id
            unsafe fakeSession(user)?.requests[stream] = Request(stream: stream)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks, fakeField)
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _,
            _,
            stream,
            data,
            length,
            user in
            let bytes = unsafe UnsafeBufferPointer(start: data, count: length)
            unsafe fakeSession(user)?.requests[stream]?.body += bytes
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame else { return 0 }
            unsafe fakeSession(user)?.received(frame.pointee)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
            _,
            stream,
            _,
            user in
            unsafe fakeSession(user)?.responses[stream] = nil
            return 0
        }
    }

    private func received(_ frame: nghttp2_frame) {
        let header = unsafe frame.hd
        switch UInt32(header.type) {
        case NGHTTP2_RST_STREAM.rawValue: resetStreams.insert(header.stream_id)
        case NGHTTP2_GOAWAY.rawValue: goAwayCode = unsafe frame.goaway.error_code
        case NGHTTP2_PING.rawValue: pingCount += 1
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
            guard header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0,
                let request = requests.removeValue(forKey: header.stream_id)
            else { return }
            complete.append(request)
        default: break
        }
    }

    fileprivate func field(_ stream: Int32, _ name: String, _ value: String) {
        requests[stream]?.fields.append((name, value))
    }

    fileprivate func read(_ stream: Int32, _ limit: Int) -> (bytes: [UInt8], ends: Bool)? {
        guard let response = responses[stream] else { return nil }
        let bytes = Array(response.body.prefix(min(limit, frameByteMax)))
        let ends = response.ends && bytes.count == response.body.count
        guard !bytes.isEmpty || ends else { return nil }
        responses[stream]?.body.removeFirst(bytes.count)
        return (bytes, ends)
    }
}

private func fakeSession(_ user: UnsafeMutableRawPointer?) -> FakeHTTP2? {
    guard let user = unsafe user else { return nil }
    return unsafe Unmanaged<FakeHTTP2>.fromOpaque(user).takeUnretainedValue()
}

private func fakeField(
    _ raw: OpaquePointer?,
    _ frame: UnsafePointer<nghttp2_frame>?,
    _ name: UnsafePointer<UInt8>?,
    _ nameLength: Int,
    _ value: UnsafePointer<UInt8>?,
    _ valueLength: Int,
    _ flags: UInt8,
    _ user: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frame = unsafe frame else { return 0 }
    let name = unsafe UnsafeBufferPointer(start: name, count: nameLength)
    let value = unsafe UnsafeBufferPointer(start: value, count: valueLength)
    unsafe fakeSession(user)?.field(
        frame.pointee.hd.stream_id,
        String(decoding: name, as: UTF8.self),
        String(decoding: value, as: UTF8.self)
    )
    return 0
}

private func fakeReadBody(
    _ raw: OpaquePointer?,
    _ stream: Int32,
    _ buffer: UnsafeMutablePointer<UInt8>?,
    _ length: Int,
    _ flags: UnsafeMutablePointer<UInt32>?,
    _ source: UnsafeMutablePointer<nghttp2_data_source>?,
    _ user: UnsafeMutableRawPointer?
) -> Int {
    guard let buffer = unsafe buffer,
        let (bytes, ends) = unsafe fakeSession(user)?.read(stream, length)
    else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
    for (offset, byte) in bytes.enumerated() { unsafe buffer[offset] = byte }
    if ends { unsafe flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
    return bytes.count
}
