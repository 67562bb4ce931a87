import DataPlane
import Testing

@Suite struct TrailerTests {
    private static let lines =
        "x-sum: 1\r\nHost: evil\r\ncontent-length: 9\r\nAuthorization: x\r\nx-other:  two \r\n"
        + "Transfer-Encoding: chunked\r\nX-Forwarded-For: 9.9.9.9\r\nif-match: a\r\n"
    private static let kept = "0\r\nx-sum: 1\r\nx-other: two\r\n\r\n"

    @Test(arguments: [1, 7, 10_000])
    func aRequestsTrailersPassButThoseOfItsHead(pieceByteCount: Int) throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        let text =
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
            + Self.lines + "\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n"
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            rig.send(client, Array(bytes[start...].prefix(pieceByteCount)), turns: 3)
        }
        rig.settle()
        #expect(rig.forwarded.hasSuffix("\r\n\r\n1\r\nx\r\n" + Self.kept))
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(rig.forwarded.contains("GET /b HTTP/1.1\r\n"))
    }

    @Test(arguments: [1, 7, 10_000])
    func aResponsesTrailersPassButThoseOfItsHead(pieceByteCount: Int) throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let text =
            "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
            + Self.lines + "\r\n"
        let bytes = Array(text.utf8)
        let upstream = try #require(rig.upstreams.last)
        for start in stride(from: 0, to: bytes.count, by: pieceByteCount) {
            rig.send(upstream, Array(bytes[start...].prefix(pieceByteCount)), turns: 3)
        }
        rig.settle()
        #expect(rig.text(client).hasSuffix("\r\n\r\n1\r\nx\r\n" + Self.kept))
        #expect(rig.text(client).contains("Trailer: x-sum\r\n"))
        rig.send(client, "GET /b HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(rig.upstreams.count == 1, "the connection was given back whole")
    }

    @Test func aClientOfHTTP10HasNoTrailers() throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.0\r\nhost: h\r\n\r\n")
        rig.answer(ChunkedMessages.response)
        #expect(rig.text(client).hasSuffix("\r\n\r\nxyz"))
        #expect(rig.ended.contains(client))
    }

    @Test(arguments: [
        ("x y: 1\r\n\r\n", "400"), ("x: a\u{0}\r\n\r\n", "400"), (": 1\r\n\r\n", "400"),
        ("x: 1\n\r\n", "400"), ("content-length: x\r\n\r\n", "400"),
        ("x: " + String(repeating: "a", count: 8_200), "431"),
        (String(repeating: "x: 1\r\n", count: 129) + "\r\n", "431"),
    ])
    func trailersThatAreRefusedEndTheConnection(lines: String, status: String) throws {
        let rig = try ProxyRig()
        let head = "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        let client = rig.connect(sending: head + "0\r\n" + lines)
        #expect(rig.status(client) == status)
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.protocolErrors] == 1)
        #expect(!rig.forwarded.hasSuffix("0\r\n\r\n"), "the endpoint sees it is not whole")
    }

    @Test func anEndpointsBrokenTrailersResetTheClient() throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx y: 1\r\n\r\n"
        )
        #expect(rig.ended.contains(client))
        #expect(!rig.text(client).hasSuffix("0\r\n\r\n"))
    }

    @Test func anHTTP2RequestsTrailersGoOnInChunks() throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        var post = HTTP2Frames.get
        post[0].1 = "POST"
        rig.send(client, HTTP2Frames.preface + HTTP2Frames.headers(1, post, ends: false))
        rig.send(client, HTTP2Frames.data(1, "abc", ends: false))
        rig.send(
            client,
            HTTP2Frames.headers(1, [("x-sum", "1"), ("authorization", "x")], ends: true)
        )
        #expect(ChunkedMessages.content(rig.forwarded) == ChunkedMessages.requestContent)
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(HTTP2Frames.parse(rig.received(client)).contains { $0.type == 1 })
    }

    @Test func anHTTP2RequestsTrailersPastTheirLimitAreAnswered431() throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        rig.send(
            client,
            HTTP2Frames.preface + HTTP2Frames.headers(1, HTTP2Frames.get, ends: false)
        )
        let long = String(repeating: "a", count: 9_000)
        rig.send(client, HTTP2Frames.headers(1, [("x", long)], ends: true))
        let answer = HTTP2Frames.parse(rig.received(client)).first { $0.type == 1 }
        let text = String(decoding: try #require(answer).payload, as: UTF8.self)
        #expect(text.contains("431"))
    }

    @Test func anEndpointsTrailersReachAnHTTP2Client() throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        rig.send(client, HTTP2Frames.preface + HTTP2Frames.headers(1, HTTP2Frames.get, ends: true))
        // Names and values that no Huffman code makes shorter stand in frames as they are.
        rig.answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n"
                + "x|~|: {|}~\r\nhost: a\r\n\r\n"
        )
        let frames = HTTP2Frames.parse(rig.received(client)).filter { $0.stream == 1 }
        let data = frames.filter { $0.type == 0 }
        #expect(data.flatMap(\.payload) == Array("xyz".utf8))
        #expect(data.allSatisfy { $0.flags & 1 == 0 })
        let trailers = try #require(frames.last)
        #expect(trailers.type == 1 && trailers.flags & 1 == 1)
        let text = String(decoding: trailers.payload, as: UTF8.self)
        #expect(text.contains("x|~|") && text.contains("{|}~") && !text.contains("host"))
    }
}
