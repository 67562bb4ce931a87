import TestSupport
import Testing

@testable import DataPlane

/// Bodies that filters make anew: lengths are those of the bytes that are sent, whatever the bytes
/// look like, so that nothing of a body is ever taken for a message or a frame.
@Suite struct BodyLengthTests {
    /// Puts a text in the place of bodies: of whole ones, or of each piece.
    private final class Template: Filter {
        private let text: [UInt8]
        private let isPiecewise: Bool

        private var hasReplaced = false

        init(_ text: [UInt8], isPiecewise: Bool, isOfResponse: Bool) {
            self.text = text
            self.isPiecewise = isPiecewise
            let ofRequest: FilterPhases = [
                .requestHeaders, isPiecewise ? .requestData : .request,
            ]
            let ofResponse: FilterPhases = [
                .responseHeaders, isPiecewise ? .responseData : .response,
            ]
            super.init(
                name: "template",
                phases: isOfResponse ? ofResponse : ofRequest,
                replacesData: isPiecewise
            )
        }

        override func requestHeaders(
            _ context: FilterContext,
            endStream: Bool
        ) throws(FilterError) -> FilterAction {
            guard isPiecewise else { return .waitForAll(byteLimit: 100) }
            context.streamRequestBody()
            return .proceed
        }

        override func responseHeaders(
            _ context: FilterContext,
            endStream: Bool
        ) throws(FilterError) -> FilterAction {
            guard isPiecewise else { return .waitForAll(byteLimit: 100) }
            context.streamResponseBody()
            return .proceed
        }

        override func requestData(
            _ context: FilterContext,
            _ bytes: RawSpan,
            endStream: Bool
        ) throws(FilterError) -> FilterAction { replacePiece(context, bytes) }

        override func responseData(
            _ context: FilterContext,
            _ bytes: RawSpan,
            endStream: Bool
        ) throws(FilterError) -> FilterAction { replacePiece(context, bytes) }

        private func replacePiece(_ context: FilterContext, _ bytes: RawSpan) -> FilterAction {
            if bytes.byteCount > 0 {
                #expect(context.replaceData(hasReplaced ? [] : text))
                hasReplaced = true
            }
            return .proceed
        }

        override func request(
            _ context: FilterContext,
            body: [UInt8]
        ) throws(FilterError) -> FilterAction {
            #expect(context.replaceBody(text))
            return .proceed
        }

        override func response(
            _ context: FilterContext,
            body: [UInt8]
        ) throws(FilterError) -> FilterAction {
            #expect(context.replaceBody(text))
            return .proceed
        }
    }

    /// Texts that would be messages, chunks or frames where a length were wrong.
    static let texts: [[UInt8]] = [
        [], Array("x".utf8), Array("\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n".utf8),
        Array("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".utf8),
        HTTP2Frames.data(1, "evil", ends: true) + HTTP2Frames.frame(7, 0, 0, Wire.zeros(8)),
        [UInt8](repeating: UInt8(ascii: "l"), count: 70_000),
    ]

    private static let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nshort"

    @Test(arguments: [false, true], texts)
    func anEndpointIsToldTheLengthOfWhatItIsSent(isPiecewise: Bool, text: [UInt8]) throws {
        let filter = Template(text, isPiecewise: isPiecewise, isOfResponse: false)
        let rig = try ProxyRig([filter])
        let client = rig.connect(sending: Self.post)
        rig.settle(100)
        let bytes = Array(rig.forwarded.utf8)
        let end = try #require(rig.forwarded.utf8.count > 0 ? headEnd(bytes) : nil)
        let head = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
        if isPiecewise {
            #expect(head.contains("\r\ntransfer-encoding: chunked\r\n"))
            #expect(!head.contains("content-length"))
            #expect(chunks(bytes[end...]) == text.count)
        } else {
            #expect(head.contains("\r\ncontent-length: \(text.count)\r\n"))
            #expect(!head.contains("transfer-encoding"))
            #expect(String(decoding: bytes[end...], as: UTF8.self) == decoded(text))
        }
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(rig.status(client) == "200")
        rig.send(client, Self.post)
        rig.settle(100)
        #expect(rig.upstreams.count == 1, "the connection is in step")
    }

    @Test(arguments: [false, true], texts)
    func aClientOfHTTP2IsToldTheLengthOfWhatItIsSent(isPiecewise: Bool, text: [UInt8]) throws {
        let filter = Template(text, isPiecewise: isPiecewise, isOfResponse: true)
        let rig = try ProxyRig([filter])
        let client = rig.connect()
        rig.send(client, HTTP2Frames.preface + HTTP2Frames.window(0, 1 << 20))
        rig.send(client, Wire.settings(4, 1 << 20) + Wire.request(1))
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshort")
        rig.settle(200)
        let frames = HTTP2Frames.parse(rig.received(client))
        let data = frames.filter { $0.type == 0 }
        #expect(decoded(data.flatMap(\.payload)) == decoded(text))
        #expect(frames.filter { $0.stream == 1 && $0.flags & 1 == 1 && $0.type < 2 }.count == 1)
        #expect(!frames.contains { $0.type == 7 || $0.type == 3 })
        let head = try #require(frames.first { $0.type == 1 })
        let fields = try #require(HeaderDecoder().decode(head.payload))
        let length = fields.first { $0.hasPrefix("content-length: ") }
        #expect(length == (isPiecewise ? nil : "content-length: \(text.count)"), "\(fields)")
    }

    private func headEnd(_ bytes: [UInt8]) -> Int? {
        let mark = Array("\r\n\r\n".utf8)
        return bytes.indices.first { bytes[$0...].starts(with: mark) }.map { $0 + 4 }
    }

    private func decoded(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The length of a whole chunked body of which nothing is left over; `nil` for what is none.
    private func chunks(_ bytes: ArraySlice<UInt8>) -> Int? {
        var rest = bytes
        var count = 0
        while let line = rest.firstIndex(of: 10) {
            let digits = String(decoding: rest[rest.startIndex..<(line - 1)], as: UTF8.self)
            guard let size = Int(digits, radix: 16) else { return nil }
            rest = rest[(line + 1)...]
            if size == 0 { return Array(rest) == [13, 10] ? count : nil }
            guard rest.count >= size + 2 else { return nil }
            count += size
            rest = rest.dropFirst(size + 2)
        }
        return nil
    }
}
