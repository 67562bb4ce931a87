import DataPlane
import Testing

/// What an endpoint sends beyond its response, and what the proxy has too little room for.
@Suite struct SurplusTests {
    @Test(arguments: [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello"),
        ("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nmore"),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n"),
    ])
    func bytesBehindAResponseEndTheEndpointsConnectionAndNothingElse(
        method: String,
        response: String
    ) throws {
        for seed: UInt64 in 1...20 {
            let rig = try ProxyRig(seed: seed)
            let request = "\(method) /a HTTP/1.1\r\nhost: h\r\n\r\n"
            let client = rig.connect(sending: request)
            rig.answer(response)
            let surplus = try #require(rig.upstreams.last)
            #expect(rig.ended.contains(surplus))
            for _ in 0..<3 {
                let next = rig.connect(sending: "GET /b HTTP/1.1\r\nhost: h\r\n\r\n")
                #expect(rig.upstreams.last != surplus)
                rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
                #expect(rig.status(next) == "204")
            }
            rig.send(client, "GET /c HTTP/1.1\r\nhost: h\r\n\r\n")
            rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
            #expect(rig.text(client).hasSuffix("204 No Content\r\n\r\n"))
        }
    }

    @Test func aLargeReplyOfAFilterArrivesWhole() throws {
        let body = [UInt8](repeating: 0x61, count: 300_000)
        let filter = ScriptedFilter("large", FilterRecord(), [.requestHeaders])
        filter.steps[.requestHeaders] = { _ in .reply(LocalReply(status: 200, body: body)) }
        let rig = try ProxyRig([filter])
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.settle(400)
        #expect(rig.text(client).contains("\r\ncontent-length: 300000\r\n"))
        #expect(rig.received(client).suffix(300_000) == body[...])
    }

    @Test(arguments: ["HTTP/1.1 200\r\n", "HTTP/1.1 200 \r\n"])
    func aStatusLineWithoutReasonIsMadeWhole(line: String) throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer(line + "content-length: 1\r\n\r\nx")
        #expect(rig.text(client).hasPrefix("HTTP/1.1 200 \r\ncontent-length: 1\r\n"))
    }

    @Test func aLengthWithZerosBeforeItIsWrittenAnew() throws {
        let rig = try ProxyRig()
        let client = rig.connect(
            sending: "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 003\r\n\r\nabc"
        )
        #expect(rig.forwarded.contains("\r\ncontent-length: 3\r\n"))
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 0001\r\n\r\nx")
        #expect(rig.text(client) == "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    }

    @Test func aRequestIDForOneHopEndsThere() throws {
        let rig = try ProxyRig()
        let fields = "connection: x-request-id\r\nx-request-id: zz\r\n"
        _ = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\(fields)\r\n")
        #expect(!rig.forwarded.contains("zz"))
        #expect(rig.forwarded.contains("x-request-id: "))
    }
}
