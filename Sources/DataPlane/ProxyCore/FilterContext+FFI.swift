/// Names and values as text, for filters: the bytes under them are only looked at during the call.
extension FilterContext {
    /// How many lines the request has of a name (any case).
    package func requestHeaderCount(_ name: String) -> Int {
        unsafe requestHeaderCount(named: name.utf8.span.bytes)
    }

    /// Calls `body` with the first value of a name (any case); `nil` when there is no such line.
    package func withRequestHeader<Result>(_ name: String, _ body: (RawSpan) -> Result) -> Result? {
        unsafe withRequestHeader(named: name.utf8.span.bytes, body)
    }

    /// The values of every line of a name (any case) in the request.
    package func requestHeaderValues(_ name: String) -> [String] {
        let bytes = proxy.headBytes(exchange)
        let fields = proxy.headFields(exchange)
        return unsafe name.utf8.span.bytes.withUnsafeBytes { name in
            let name = unsafe RawSpan(_unsafeBytes: name)
            let id = HeaderID.identify(name, offset: 0, count: name.byteCount)
            var values: [String] = []
            for index in fields.indices where fields[index].isNamed(id, name, in: bytes) {
                values.append(String(decodingBytes: bytes.extracting(fields[index].valueRange)))
            }
            return values
        }
    }

    /// Appends a line to the request.
    ///
    /// - Returns: `false` when the head has no room left.
    @discardableResult
    package func addRequestHeader(_ name: String, _ value: String) -> Bool {
        unsafe addRequestHeader(named: name.utf8.span.bytes, value: value.utf8.span.bytes)
    }

    /// The first value of a response header (any case); `nil` when there is none.
    package func responseHeader(_ name: String) -> String? {
        withResponseHeader(name) { String(decodingBytes: $0) }
    }

    /// Takes every line of a name out of the request.
    package func removeRequestHeader(_ name: String) {
        unsafe removeRequestHeader(named: name.utf8.span.bytes)
    }

    /// Calls `body` with the first value of a response header (any case); `nil` when there is none.
    package func withResponseHeader<Result>(
        _ name: String,
        _ body: (RawSpan) -> Result
    ) -> Result? {
        unsafe withResponseHeader(named: name.utf8.span.bytes, body)
    }

    /// Takes every line of a name out of the response, unless its head has gone out.
    package func removeResponseHeader(_ name: String) {
        unsafe removeResponseHeader(named: name.utf8.span.bytes)
    }

    /// Appends a line to the response.
    ///
    /// - Returns: `false` when the head has gone out, has no room left, or there is none yet.
    @discardableResult
    package func addResponseHeader(_ name: String, _ value: String) -> Bool {
        unsafe addResponseHeader(named: name.utf8.span.bytes, value: value.utf8.span.bytes)
    }

    /// Takes every trailer of a name out of the response.
    package func removeResponseTrailer(_ name: String) {
        unsafe removeResponseTrailer(named: name.utf8.span.bytes)
    }

    /// Appends a trailer to a response that has trailers.
    ///
    /// - Returns: `false` when there is no room, or no trailer may have the name.
    @discardableResult
    package func addResponseTrailer(_ name: String, _ value: String) -> Bool {
        unsafe addResponseTrailer(named: name.utf8.span.bytes, value: value.utf8.span.bytes)
    }

    /// Puts another path and query in the place of the request's.
    ///
    /// - Returns: `false` when the head has no room left.
    package func replacePath(_ path: String) -> Bool {
        unsafe replacePath(path.utf8.span.bytes)
    }
}

extension String {
    /// Reads bytes as UTF-8; what is not UTF-8 is replaced.
    package init(decodingBytes bytes: RawSpan) {
        self = unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
    }

    /// Lends the text's UTF-8.
    package func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
        unsafe body(utf8.span.bytes)
    }
}

extension RawSpan {
    /// One byte; traps out of bounds.
    package func loadByte(at offset: Int) -> UInt8 { byte(at: offset) }

    /// Whether the bytes are exactly this text.
    package func equals(_ text: String) -> Bool {
        unsafe equals(text.utf8.span.bytes)
    }
}
