import Testing

@testable import DataPlane

@Suite struct HTTP2ServerSessionTests {
    private static let protocolError: UInt32 = 1
    private static let calm: UInt32 = 11

    @Test func aRequestWithABodyIsHeardAndAnswered() throws {
        let peer = try #require(HTTP2Peer())
        let head = HTTP2Frames.get + [("accept", "*/*"), ("x-n", "1")]
        #expect(peer.send(HTTP2Frames.headers(1, head, ends: false)))
        #expect(peer.send(HTTP2Frames.data(1, "hel", ends: false)))
        #expect(peer.send(HTTP2Frames.data(1, "lo", ends: true)))
        let heard = HTTP2Listener.Head(
            stream: 1,
            method: "GET",
            path: "/x",
            authority: "a.example",
            fields: ["accept=*/*", "x-n=1"],
            endStream: false
        )
        #expect(peer.listener.heads == [heard])
        #expect(peer.listener.data[1] == "hello")
        #expect(peer.listener.ended == [1])
        peer.listener.ready[1] = Array("world".utf8)
        peer.listener.finished.insert(1)
        peer.answer(1, 200, hasBody: true)
        let response = try #require(peer.frames.first { $0.type == 1 })
        #expect(response.payload.first == 0x88, "status 200 by its static index")
        let data = peer.frames.filter { $0.type == 0 }
        #expect(data.flatMap(\.payload) == Array("world".utf8))
        #expect(data.last?.flags == 1)
        #expect(peer.listener.closed == [1: 0])
    }

    @Test func bytesMayArriveOneByOne() throws {
        let peer = try #require(HTTP2Peer())
        for byte in HTTP2Frames.headers(1, HTTP2Frames.get, ends: true) {
            #expect(peer.send([byte]))
        }
        #expect(peer.listener.heads.count == 1)
        #expect(peer.listener.heads.first?.endStream == true)
    }

    @Test func aBodyWithNothingReadyWaitsUntilItIsResumed() throws {
        let peer = try #require(HTTP2Peer())
        #expect(peer.send(HTTP2Frames.headers(1, HTTP2Frames.get, ends: true)))
        peer.answer(1, 200, hasBody: true)
        #expect(!peer.frames.contains { $0.type == 0 })
        peer.listener.ready[1] = Array("late".utf8)
        peer.collect()
        #expect(!peer.frames.contains { $0.type == 0 })
        peer.session.resumeBody(stream: 1)
        peer.collect()
        #expect(peer.frames.last { $0.type == 0 }?.payload == Array("late".utf8))
        #expect(peer.listener.closed.isEmpty)
    }

    @Test func theWindowOpensOnlyAsBytesAreConsumed() throws {
        let peer = try #require(HTTP2Peer())
        peer.frames = []
        #expect(peer.send(HTTP2Frames.frame(4, 1, 0, [])))
        #expect(peer.send(HTTP2Frames.headers(1, HTTP2Frames.get, ends: false)))
        let piece = String(repeating: "a", count: 16_384)
        for _ in 0..<10 { #expect(peer.send(HTTP2Frames.data(1, piece, ends: false))) }
        #expect(!peer.frames.contains { $0.type == 8 && $0.stream == 1 })
        peer.session.consume(stream: 1, 10 * 16_384)
        peer.collect()
        #expect(peer.frames.contains { $0.type == 8 && $0.stream == 1 })
    }

    @Test func moreThanTheWindowIsAFlowControlError() throws {
        var limits = HTTP2Limits()
        limits.streamWindowByteCount = 65_535
        let peer = try #require(HTTP2Peer(limits))
        #expect(peer.send(HTTP2Frames.frame(4, 1, 0, [])))
        #expect(peer.send(HTTP2Frames.headers(1, HTTP2Frames.get, ends: false)))
        let piece = String(repeating: "a", count: 16_384)
        for _ in 0..<5 { _ = peer.send(HTTP2Frames.data(1, piece, ends: false)) }
        #expect(peer.codes(3) + peer.codes(7) == [3])
    }

    static let malformed: [(String, [(String, String)])] = [
        ("connection", HTTP2Frames.get + [("connection", "close")]),
        ("transfer-encoding", HTTP2Frames.get + [("transfer-encoding", "chunked")]),
        ("upgrade", HTTP2Frames.get + [("upgrade", "h2c")]),
        ("te", HTTP2Frames.get + [("te", "gzip")]),
        ("two lengths", HTTP2Frames.get + [("content-length", "1"), ("content-length", "2")]),
        ("a length with a sign", HTTP2Frames.get + [("content-length", "+1")]),
        ("a length without a body", HTTP2Frames.get + [("content-length", "3")]),
        ("another host", HTTP2Frames.get + [("host", "b.example")]),
        ("a line break in a value", HTTP2Frames.get + [("x", "a\r\nb: c")]),
        ("a zero byte in a value", HTTP2Frames.get + [("x", "a\u{0}")]),
        ("a line break in a name", HTTP2Frames.get + [("x\r\ny", "a")]),
        ("an upper case name", HTTP2Frames.get + [("X-Y", "a")]),
        ("an empty name", HTTP2Frames.get + [("", "a")]),
        ("an unknown pseudo field", HTTP2Frames.get + [(":x", "a")]),
        ("no path", HTTP2Frames.get.filter { $0.0 != ":path" }),
        ("no method", HTTP2Frames.get.filter { $0.0 != ":method" }),
        ("no scheme", HTTP2Frames.get.filter { $0.0 != ":scheme" }),
        ("a pseudo field twice", HTTP2Frames.get + [(":method", "GET")]),
        ("a pseudo field last", [("x", "y")] + HTTP2Frames.get),
        ("a relative path", with(":path", "x")),
        ("a space in the path", with(":path", "/a b")),
        ("a fragment in the path", with(":path", "/abcdefgh#b")),
        ("a line break in the path", with(":path", "/a\r\n")),
        ("a raw byte in the path", with(":path", "/\u{e9}")),
        ("user information", with(":authority", "u@a.example")),
        ("two authorities", with(":authority", "a,b")),
        ("a line break in the method", with(":method", "GET\r\n")),
    ]

    private static func with(_ name: String, _ value: String) -> [(String, String)] {
        HTTP2Frames.get.map { $0.0 == name ? (name, value) : $0 }
    }

    @Test(arguments: malformed.indices)
    func aMalformedRequestIsResetAndTheOthersGoOn(index: Int) throws {
        let (reason, fields) = Self.malformed[index]
        let peer = try #require(HTTP2Peer())
        _ = peer.send(HTTP2Frames.headers(1, fields, ends: true))
        #expect(peer.codes(3) == [Self.protocolError], "\(reason)")
        #expect(peer.listener.heads.isEmpty, "\(reason)")
        #expect(peer.send(HTTP2Frames.headers(3, HTTP2Frames.get, ends: true)))
        #expect(peer.listener.heads.map(\.stream) == [3], "\(reason)")
    }

    @Test func aHostThatAgreesIsDropped() throws {
        let peer = try #require(HTTP2Peer())
        let fields = HTTP2Frames.get + [("host", "A.example")]
        #expect(peer.send(HTTP2Frames.headers(1, fields, ends: true)))
        #expect(peer.listener.heads.first?.authority == "a.example")
        #expect(peer.listener.heads.first?.fields == [])
    }

    @Test func aBodyLongerThanItsLengthIsReset() throws {
        let peer = try #require(HTTP2Peer())
        let fields = HTTP2Frames.get + [("content-length", "2")]
        _ = peer.send(HTTP2Frames.headers(1, fields, ends: false))
        _ = peer.send(HTTP2Frames.data(1, "abc", ends: true))
        #expect(peer.codes(3) == [Self.protocolError])
        #expect(peer.listener.ended.isEmpty)
    }

    @Test(arguments: [true, false])
    func aHeaderListPastItsLimitIsAnswered431AndTheOthersGoOn(ends: Bool) throws {
        let peer = try #require(HTTP2Peer())
        let cookie = ("cookie", String(repeating: "a", count: 16_000))
        let block = HTTP2Frames.block(HTTP2Frames.get + [cookie])
        let first = HTTP2Frames.frame(1, ends ? 1 : 0, 1, block)
        let second = HTTP2Frames.frame(9, 4, 1, HTTP2Frames.block([("x", cookie.1)]))
        #expect(peer.send(first + second))
        let answer = try #require(peer.frames.first { $0.type == 1 && $0.stream == 1 })
        #expect(String(decoding: answer.payload, as: UTF8.self).contains("431"))
        #expect(answer.flags & 1 == 1, "the answer ends the stream")
        #expect(peer.codes(3) == (ends ? [] : [0]), "only the rest of the request is not wanted")
        #expect(peer.listener.refused == [1: 431])
        #expect(peer.listener.heads.isEmpty)
        #expect(peer.send(HTTP2Frames.headers(3, HTTP2Frames.get, ends: true)))
        #expect(peer.listener.heads.map(\.stream) == [3])
    }

    @Test func aListOfTooManyFieldsIsAnswered431() throws {
        let peer = try #require(HTTP2Peer())
        let fields = HTTP2Frames.get + (0..<130).map { ("x-\($0)", "1") }
        #expect(peer.send(HTTP2Frames.headers(1, fields, ends: true)))
        #expect(peer.listener.refused == [1: 431])
        #expect(peer.listener.heads.isEmpty)
    }

    @Test func listsPastTheirLimitAreCountedAsResets() throws {
        let peer = try #require(HTTP2Peer())
        let fields = HTTP2Frames.get + (0..<130).map { ("x-\($0)", "1") }
        var isOpen = true
        var stream: UInt32 = 1
        while isOpen && stream < 2_001 {
            isOpen = peer.send(HTTP2Frames.headers(stream, fields, ends: true))
            stream += 2
        }
        #expect(!isOpen)
        #expect(peer.codes(7) == [Self.calm])
    }

    @Test func rapidResetsEndTheConnection() throws {
        let peer = try #require(HTTP2Peer())
        var isOpen = true
        var stream: UInt32 = 1
        while isOpen && stream < 2_001 {
            let request = HTTP2Frames.headers(stream, HTTP2Frames.get, ends: true)
            isOpen = peer.send(request + HTTP2Frames.reset(stream))
            stream += 2
        }
        #expect(!isOpen)
        #expect(peer.listener.heads.count <= 257)
        #expect(peer.codes(7) == [Self.calm])
        #expect(peer.session.isAbusive)
    }

    @Test func framesThatMakeTheServerResetEndTheConnection() throws {
        let peer = try #require(HTTP2Peer())
        var isOpen = true
        var stream: UInt32 = 1
        while isOpen && stream < 2_001 {
            let request = HTTP2Frames.headers(stream, HTTP2Frames.get, ends: false)
            let overflow = HTTP2Frames.frame(8, 0, stream, [0x7f, 0xff, 0xff, 0xff])
            isOpen = peer.send(request + overflow)
            stream += 2
        }
        #expect(!isOpen)
        #expect(peer.codes(7) == [Self.calm])
    }

    @Test(arguments: [UInt8(4), 6])
    func aFloodOfControlFramesEndsTheConnection(type: UInt8) throws {
        let peer = try #require(HTTP2Peer())
        let payload = type == 6 ? [UInt8](repeating: 0, count: 8) : []
        var isOpen = true
        var count = 0
        while isOpen && count < 2_000 {
            isOpen = peer.send(HTTP2Frames.frame(type, 0, 0, payload))
            count += 1
        }
        #expect(!isOpen)
        #expect(count <= 1_002)
        #expect(peer.codes(7) == [Self.calm])
    }

    @Test func aFloodOfContinuationsEndsTheConnection() throws {
        let peer = try #require(HTTP2Peer())
        _ = peer.send(HTTP2Frames.frame(1, 1, 1, HTTP2Frames.block(HTTP2Frames.get)))
        var isOpen = true
        var count = 0
        while isOpen && count < 100 {
            isOpen = peer.send(HTTP2Frames.frame(9, 0, 1, []))
            count += 1
        }
        #expect(!isOpen)
        #expect(count == 9)
        #expect(peer.codes(7) == [Self.calm])
        #expect(peer.listener.heads.isEmpty)
    }

    @Test func bytesThatAreNotHTTP2EndTheConnection() throws {
        let listener = HTTP2Listener()
        let session = try #require(
            HTTP2ServerSession(
                owner: listener,
                connection: 1,
                limits: HTTP2Limits(),
                reader: HTTP2HeadReader(HTTP2Limits()),
                memory: HTTP2Memory()
            )
        )
        let isOpen = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8).withRawSpan {
            session.receive($0, nowNanoseconds: 0)
        }
        #expect(!isOpen)
        #expect(listener.heads.isEmpty)
    }

    @Test func goAwayNamesTheLastStreamThatIsServed() throws {
        let peer = try #require(HTTP2Peer())
        #expect(peer.send(HTTP2Frames.headers(5, HTTP2Frames.get, ends: true)))
        peer.session.goAway(.noError)
        peer.collect()
        let goAway = try #require(peer.frames.last { $0.type == 7 })
        #expect(Array(goAway.payload[..<4]) == [0, 0, 0, 5])
        #expect(goAway.code == 0)
        #expect(!peer.session.isFinished)
        peer.answer(5, 204, hasBody: false)
        #expect(peer.session.isFinished)
    }
}
