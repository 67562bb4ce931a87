@testable import DataPlane

/// Frames of HTTP/2 written by hand (RFC 9113 section 4.1), and what comes back taken apart.
enum HTTP2Frames {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0, [])
    static let get = [
        (":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/x"),
    ]

    /// One frame that was received.
    struct Frame: Equatable {
        var type: UInt8
        var flags: UInt8
        var stream: UInt32
        var payload: [UInt8]

        /// The error code of RST_STREAM, or of GOAWAY.
        var code: UInt32? {
            let at = type == 3 ? 0 : 4
            guard type == 3 || type == 7, payload.count >= at + 4 else { return nil }
            return payload[at..<(at + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        }

        /// What a WINDOW_UPDATE adds.
        var increment: Int { payload.prefix(4).reduce(0) { $0 << 8 | Int($1) } }
    }

    static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8])
        -> [UInt8]
    {
        number(UInt32(payload.count), 3) + [type, flags] + number(stream, 4) + payload
    }

    /// A HEADERS frame; `ends` is END_STREAM.
    static func headers(_ stream: UInt32, _ fields: [(String, String)], ends: Bool) -> [UInt8] {
        frame(1, ends ? 5 : 4, stream, block(fields))
    }

    static func data(_ stream: UInt32, _ text: String, ends: Bool) -> [UInt8] {
        frame(0, ends ? 1 : 0, stream, Array(text.utf8))
    }

    static func window(_ stream: UInt32, _ increment: UInt32) -> [UInt8] {
        frame(8, 0, stream, number(increment, 4))
    }

    static func reset(_ stream: UInt32) -> [UInt8] { frame(3, 0, stream, number(8, 4)) }

    /// A header block of literals without indexing (RFC 7541 section 6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + string($0.0) + string($0.1) }
    }

    private static func string(_ text: String) -> [UInt8] {
        let bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length = [UInt8(127)]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest % 128) | 128)
            rest /= 128
        }
        return length + [UInt8(rest)] + bytes
    }

    private static func number(_ value: UInt32, _ byteCount: Int) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * (byteCount - 1 - $0))) }
    }

    static func parse(_ bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var at = 0
        while at + 9 <= bytes.count {
            let length = bytes[at..<(at + 3)].reduce(0) { $0 << 8 | Int($1) }
            let stream = bytes[(at + 5)..<(at + 9)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let end = min(at + 9 + length, bytes.count)
            frames.append(
                Frame(
                    type: bytes[at + 3],
                    flags: bytes[at + 4],
                    stream: stream,
                    payload: Array(bytes[(at + 9)..<end])
                )
            )
            at = end
        }
        return frames
    }
}

/// An owner that writes down what it hears and answers with prepared bodies.
final class HTTP2Listener: HTTP2SessionOwner {
    var limits: [HTTP2Limit] = []
    struct Head: Equatable {
        var stream: Int32
        var method: String
        var path: String
        var authority: String
        var fields: [String]
        var endStream: Bool
    }

    var heads: [Head] = []
    var refused: [Int32: UInt16] = [:]
    var data: [Int32: String] = [:]
    var ended: [Int32] = []
    var closed: [Int32: UInt32] = [:]
    /// What is ready of a response's body.
    var ready: [Int32: [UInt8]] = [:]
    /// Streams whose body is complete once `ready` is read.
    var finished: Set<Int32> = []

    func http2RequestHead(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ pseudo: HTTP2Pseudo,
        endStream: Bool
    ) {
        func text(_ offset: Int, _ length: Int) -> String {
            var copy: [UInt8] = []
            copy.append(copying: bytes.extracting(offset..<(offset + length)))
            return String(decoding: copy, as: UTF8.self)
        }
        var list: [String] = []
        for index in fields.indices {
            let name = fields[index].nameRange
            let value = fields[index].valueRange
            list.append(
                text(name.lowerBound, name.count) + "=" + text(value.lowerBound, value.count)
            )
        }
        heads.append(
            Head(
                stream: stream,
                method: text(pseudo.methodOffset, pseudo.methodLength),
                path: text(pseudo.pathOffset, pseudo.pathLength),
                authority: text(pseudo.authorityOffset, pseudo.authorityLength),
                fields: list,
                endStream: endStream
            )
        )
    }

    func http2HeadRefused(_ session: HTTP2ServerSession, stream: Int32, status: UInt16) {
        refused[stream] = status
        let fields = HTTP2FieldList(capacity: 4)
        fields.begin(status: status)
        session.submitResponse(stream: stream, fields, hasBody: false)
    }

    func http2RequestData(_ session: HTTP2ServerSession, stream: Int32, _ bytes: RawSpan) {
        var copy: [UInt8] = []
        copy.append(copying: bytes)
        data[stream, default: ""] += String(decoding: copy, as: UTF8.self)
    }

    func http2RequestTrailers(
        _ session: HTTP2ServerSession,
        stream: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>
    ) {}

    func http2TrailersRefused(_ session: HTTP2ServerSession, stream: Int32) {}

    func http2RequestEnded(_ session: HTTP2ServerSession, stream: Int32) { ended.append(stream) }

    func http2LimitReached(_ session: HTTP2ServerSession, _ limit: HTTP2Limit) {
        limits.append(limit)
    }

    func http2IsTunnel(_ session: HTTP2ServerSession, stream: Int32) -> Bool { false }

    func http2StreamClosed(_ session: HTTP2ServerSession, stream: Int32, errorCode: UInt32) {
        closed[stream] = errorCode
    }

    func http2ResponseBody(
        _ session: HTTP2ServerSession,
        stream: Int32,
        into target: inout MutableRawSpan
    ) -> HTTP2BodyOutcome {
        let bytes = ready[stream] ?? []
        let count = min(bytes.count, target.byteCount)
        for index in 0..<count {
            target.storeBytes(of: bytes[index], toByteOffset: index, as: UInt8.self)
        }
        ready[stream] = Array(bytes[count...])
        if finished.contains(stream) && count == bytes.count { return .end(count) }
        return count > 0 ? .bytes(count) : .deferred
    }
}

/// A session with its owner and what it sent.
final class HTTP2Peer {
    let listener = HTTP2Listener()
    let session: HTTP2ServerSession
    var frames: [HTTP2Frames.Frame] = []
    var nowNanoseconds: UInt64 = 0

    init?(_ limits: HTTP2Limits = HTTP2Limits()) {
        guard
            let session = HTTP2ServerSession(
                owner: listener,
                connection: 1,
                limits: limits,
                reader: HTTP2HeadReader(limits),
                memory: HTTP2Memory()
            )
        else { return nil }
        self.session = session
        _ = send(HTTP2Frames.preface)
    }

    /// Gives bytes to the session and collects its answer.
    func send(_ bytes: [UInt8]) -> Bool {
        let isOpen = bytes.withRawSpan { session.receive($0, nowNanoseconds: nowNanoseconds) }
        collect()
        return isOpen
    }

    func collect() {
        var bytes: [UInt8] = []
        session.collect { bytes.append(copying: $0) }
        frames += HTTP2Frames.parse(bytes)
    }

    /// Answers with a status and no fields.
    func answer(_ stream: Int32, _ status: UInt16, hasBody: Bool) {
        let fields = HTTP2FieldList(capacity: 4)
        fields.begin(status: status)
        Array("X-Yz".utf8).withRawSpan { text in
            fields.add(text.extracting(0..<3), text.extracting(3..<4))
            session.submitResponse(stream: stream, fields, hasBody: hasBody)
        }
        collect()
    }

    func codes(_ type: UInt8) -> [UInt32] { frames.filter { $0.type == type }.compactMap(\.code) }
}
