import Testing

@testable import NodeAgent

@Suite struct StatusRequestReaderTests {
    private func read(_ text: String) -> StatusRequestReader.Outcome {
        StatusRequestReader.read(Array(text.utf8), channel: .network)
    }

    @Test func aWholeRequestIsRead() throws {
        let text = """
            POST /blocks?source=a%2Fb HTTP/1.1\r
            Host: n1:15020\r
            Authorization: Bearer x\r
            Origin: null\r
            Content-Length: 2\r
            \r
            {}GET
            """
        guard case .request(let request, let count, let keepsAlive) = read(text) else {
            Issue.record("no request")
            return
        }
        #expect(request.method == "POST" && request.path == "/blocks")
        #expect(request.value("source") == "a/b")
        #expect(request.host == "n1:15020" && request.hasOrigin)
        #expect(request.authorization == "Bearer x")
        #expect(request.body == Array("{}".utf8))
        #expect(count == text.utf8.count - 3 && keepsAlive)
    }

    @Test func everyCutOfARequestAsksForMore() {
        let text = "PUT /loglevel HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        for count in 0..<text.utf8.count {
            let part = Array(text.utf8.prefix(count))
            #expect(StatusRequestReader.read(part, channel: .network) == .needMore)
        }
    }

    @Test func aClientThatWaitsIsToldToGoOn() {
        let head = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        #expect(read(head) == .needContinue)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("\u{0}\u{1}\r\n\r\n", 400), ("GET /%zz?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("GET /\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 9_000))\r\n\r\n", 431),
    ])
    func hostileRequestsAreFaults(_ text: String, _ status: Int) {
        guard case .fault(let found, let reason) = read(text) else {
            Issue.record("no fault")
            return
        }
        #expect(found == status)
        #expect(reason.contains("expected"))
    }
}
