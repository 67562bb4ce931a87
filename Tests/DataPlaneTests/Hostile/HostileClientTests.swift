import DataPlane
import Testing

/// Clients that break HTTP/1 framing, over real sockets: each has the exact status and its
/// connection closed and counted, its endpoint sees nothing of it, and nobody else is disturbed.
@Suite struct HostileClientTests {
    struct Case: CustomStringConvertible, Sendable {
        var description: String
        var status: String
        var text: String

        init(_ description: String, _ status: String, _ text: String) {
            self.description = description
            self.status = status
            self.text = text
        }

        /// A request with one line in its head.
        static func line(_ description: String, _ status: String, _ line: String) -> Case {
            Case(description, status, "GET /evil HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n")
        }

        /// A request with a chunked body.
        static func chunks(_ description: String, _ status: String, _ body: String) -> Case {
            let head = "POST /evil HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            return Case(description, status, head + body)
        }
    }

    static let heads: [Case] = [
        .line("length beside chunks", "400", "Content-Length: 3\r\nTransfer-Encoding: chunked"),
        .line("chunks beside length", "400", "Transfer-Encoding: chunked\r\nContent-Length: 3"),
        .line("two lengths that differ", "400", "Content-Length: 3\r\nContent-Length: 4"),
        .line("two lengths that agree", "400", "Content-Length: 3\r\nContent-Length: 3"),
        .line("a list of lengths", "400", "Content-Length: 3, 3"),
        .line("a signed length", "400", "Content-Length: +3"),
        .line("a negative length", "400", "Content-Length: -1"),
        .line("a hexadecimal length", "400", "Content-Length: 0x3"),
        .line("a length past 63 bits", "400", "Content-Length: 9223372036854775808"),
        .line("an empty length", "400", "Content-Length:"),
        .line("another coding", "400", "Transfer-Encoding: gzip"),
        .line("a coding before chunked", "501", "Transfer-Encoding: gzip, chunked"),
        .line("chunked twice", "400", "Transfer-Encoding: chunked, chunked"),
        .line(
            "chunked on two lines",
            "400",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
        ),
        .line("a disguised coding", "400", "Transfer-Encoding: xchunked"),
        .line("a coding with a tail", "400", "Transfer-Encoding: chunked;x"),
        .line("a bare carriage return", "400", "X: a\rb"),
        .line("a bare line feed", "400", "X: a\nContent-Length: 5"),
        .line("a folded line", "400", "X: a\r\n b"),
        .line("a folded line by tab", "400", "X: a\r\n\tb"),
        .line("a zero byte", "400", "X: a\u{0}b"),
        .line("a zero byte in a name", "400", "X\u{0}: a"),
        .line("an escape", "400", "X: a\u{1b}b"),
        .line("space before the colon", "400", "Content-Length : 3"),
        .line("tab before the colon", "400", "Transfer-Encoding\t: chunked"),
        .line("a line without a colon", "400", "X"),
        .line("a line without a name", "400", ": a"),
        .line("a second host", "400", "Host: h"),
        .line("another host", "400", "Host: other"),
        .line("another expectation", "417", "Expect: 200-ok"),
        .line("framing named as of this hop", "400", "Connection: content-length"),
        .line("too many fields", "431", String(repeating: "X: 1\r\n", count: 130) + "X: 1"),
        .line("a head that is too long", "431", "X: " + String(repeating: "a", count: 16_400)),
        Case("no host", "400", "GET /evil HTTP/1.1\r\n\r\n"),
        Case("a host with user information", "400", "GET /evil HTTP/1.1\r\nHost: u@h\r\n\r\n"),
        Case("a host with a space", "400", "GET /evil HTTP/1.1\r\nHost: h h\r\n\r\n"),
        Case("HTTP/0.9", "400", "GET /evil\r\n\r\n"),
        Case("HTTP/1.2", "505", "GET /evil HTTP/1.2\r\nHost: h\r\n\r\n"),
        Case("HTTP/2.0", "505", "GET /evil HTTP/2.0\r\nHost: h\r\n\r\n"),
        Case("HTTP/01.1", "400", "GET /evil HTTP/01.1\r\nHost: h\r\n\r\n"),
        Case("a version in lower case", "400", "GET /evil http/1.1\r\nHost: h\r\n\r\n"),
        Case("a method that is no token", "400", "G@T /evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("no method", "400", " /evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("two spaces", "400", "GET  /evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("a space in the target", "400", "GET /evil x HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("a fragment", "400", "GET /evil#x HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("a relative target", "400", "GET evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case("another scheme", "400", "GET ftp://h/evil HTTP/1.1\r\nHost: h\r\n\r\n"),
        Case(
            "chunks in HTTP/1.0",
            "400",
            "GET /evil HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        Case(
            "a start line that is too long",
            "414",
            "GET /" + String(repeating: "a", count: 17_000)
        ),
        Case("TLS", "400", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}"),
        Case(
            "a request hidden behind two lengths",
            "400",
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n"
                + "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
        ),
        Case(
            "a request hidden behind length and chunks",
            "400",
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
        ),
    ]

    static let bodies: [Case] = [
        .chunks("a size that is none", "400", "zz\r\nabc\r\n0\r\n\r\n"),
        .chunks("an empty size", "400", "\r\nabc\r\n"),
        .chunks("a size with a prefix", "400", "0x3\r\nabc\r\n0\r\n\r\n"),
        .chunks("a signed size", "400", "+3\r\nabc\r\n0\r\n\r\n"),
        .chunks("a size past 63 bits", "400", "8000000000000000\r\nabc"),
        .chunks("a size of too many digits", "400", "00000000000000003\r\nabc\r\n"),
        .chunks("a size that ends by a bare line feed", "400", "3\nabc\r\n0\r\n\r\n"),
        .chunks(
            "an extension that is too long",
            "400",
            "3;" + String(repeating: "a", count: 2_000)
        ),
        .chunks("an extension with a bare line feed", "400", "3;a\nabc\r\n0\r\n\r\n"),
        .chunks("a chunk longer than its size", "400", "3\r\nabcd\r\n0\r\n\r\n"),
        .chunks("a chunk without its end", "400", "3\r\nabc0\r\n\r\n"),
        .chunks("a trailer without a name", "400", "0\r\n: a\r\n\r\n"),
        .chunks("a folded trailer", "400", "0\r\nX: a\r\n b\r\n\r\n"),
        .chunks(
            "trailers that are too long",
            "431",
            "0\r\nX: " + String(repeating: "a", count: 9_000)
        ),
    ]

    private func expectHonestPeerServed(_ peer: ConformancePeer, _ path: String) {
        peer.send(Array("GET /\(path) HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        #expect(peer.run { peer.text.hasSuffix("\r\n\r\nok") })
        #expect(peer.statusCode == "200")
        #expect(!peer.isClosed)
        peer.forget()
    }

    private func peer(
        _ rig: SocketRig,
        _ transport: ConformanceTransport
    ) throws -> ConformancePeer {
        try #require(try ConformancePeer(rig, transport, offering: "http/1.1"))
    }

    @Test(arguments: ConformanceTransport.allCases, heads)
    func aHeadThatCouldBeReadInTwoWaysIsRefusedAndTheConnectionClosed(
        transport: ConformanceTransport,
        hostile: Case
    ) throws {
        let rig = try ConformancePeer.rig(transport)
        let honest = try peer(rig, transport)
        expectHonestPeerServed(honest, "before")
        let client = try peer(rig, transport)
        client.send(Array(hostile.text.utf8))
        #expect(client.run { client.isClosed }, "the connection is closed")
        #expect(client.statusCode == hostile.status)
        #expect(client.text.contains("\r\nconnection: close\r\n"))
        #expect(client.text.components(of: "HTTP/1.1 ") == 1, "one answer")
        #expect(rig.proxy.counters[.protocolErrors] == 1)
        #expect(rig.proxy.counters[.responses4xx] + rig.proxy.counters[.responses5xx] == 1)
        #expect(rig.heads.count == 1, "its endpoint sees nothing")
        expectHonestPeerServed(honest, "after")
    }

    @Test(arguments: ConformanceTransport.allCases, bodies)
    func aBodyWhoseFramingBreaksIsRefusedAndNotCompleted(
        transport: ConformanceTransport,
        hostile: Case
    ) throws {
        let rig = try ConformancePeer.rig(transport)
        let honest = try peer(rig, transport)
        expectHonestPeerServed(honest, "before")
        rig.answer = {
            $0.contains("/evil") ? nil : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
        let client = try peer(rig, transport)
        client.send(Array(hostile.text.utf8))
        #expect(client.run { client.isClosed }, "the connection is closed")
        #expect(client.statusCode == hostile.status)
        #expect(client.text.contains("\r\nconnection: close\r\n"))
        #expect(rig.proxy.counters[.protocolErrors] == 1)
        #expect(rig.run { rig.ended.contains(rig.upstreams[0]) }, "its endpoint is let go of")
        #expect(!rig.text(rig.upstreams[0]).hasSuffix("0\r\n\r\n"), "and sees no whole request")
        #expect(rig.heads.count == 1)
        expectHonestPeerServed(honest, "after")
    }

    @Test func aTargetsOwnAuthorityCountsAndTheOtherIsNotPassedOn() throws {
        let rig = try SocketRig()
        let text = "GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n"
        let client = try rig.connect(sending: text)
        #expect(rig.run { rig.status(client) == "200" })
        let head = try #require(rig.heads.first)
        #expect(head.hasPrefix("GET /x HTTP/1.1\r\nhost: a.example\r\n"))
        #expect(!head.contains("b.example"))
    }

    @Test func pipelinedRequestsAreAnsweredInOrderUpToTheBrokenOne() throws {
        let rig = try SocketRig()
        rig.answer = { head in
            let path = head.split(separator: " ")[1].dropFirst()
            return "HTTP/1.1 200 OK\r\ncontent-length: \(path.utf8.count)\r\n\r\n\(path)"
        }
        let client = try rig.connect(
            sending: "GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n"
                + "GET /evil HTTP/1.1\r\nHost : h\r\n\r\nGET /four HTTP/1.1\r\nHost: h\r\n\r\n"
        )
        #expect(rig.run { rig.ended.contains(client) })
        let text = rig.text(client)
        #expect(text.components(of: "HTTP/1.1 200") == 2)
        let one = try #require(text.firstRange(of: "\r\n\r\none"))
        let two = try #require(text.firstRange(of: "\r\n\r\ntwo"))
        let last = try #require(text.firstRange(of: "HTTP/1.1 400"))
        #expect(one.lowerBound < two.lowerBound && two.lowerBound < last.lowerBound)
        #expect(rig.heads.count == 2)
    }
}

extension String {
    /// How often a text occurs.
    func components(of text: String) -> Int { ranges(of: text).count }
}
