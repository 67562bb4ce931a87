import DataPlane
import Testing

@Suite struct PartialHeadTests {
    private static let filler = String(repeating: "x-filler: 0123456789\r\n", count: 100)

    private func sendByteByByte(_ rig: ProxyRig, _ fd: Int32, _ text: String) {
        for byte in text.utf8 { rig.send(fd, [byte], turns: 3) }
    }

    @Test func aRequestHeadThatComesByteByByteIsSearchedOnce() throws {
        let rig = try ProxyRig()
        let head = "GET /a HTTP/1.1\r\nhost: h\r\n\(Self.filler)\r\n"
        let client = rig.connect()
        sendByteByByte(rig, client, head)
        rig.settle()
        #expect(rig.forwarded.hasPrefix("GET /a HTTP/1.1\r\n"))
        let scanned = rig.proxy.counters[.partialHeadBytes]
        #expect(scanned > UInt64(head.utf8.count))
        #expect(scanned <= UInt64(3 * head.utf8.count))
    }

    @Test func aResponseHeadThatComesByteByByteIsSearchedOnce() throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\(Self.filler)\r\n"
        let upstream = try #require(rig.upstreams.last)
        sendByteByByte(rig, upstream, head + "ok")
        rig.settle()
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
        let scanned = rig.proxy.counters[.partialHeadBytes]
        #expect(scanned > UInt64(head.utf8.count))
        #expect(scanned <= UInt64(3 * head.utf8.count))
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\nhost: h\r\n", "400"), ("GET / HTTP/1.1\r\nhost: h\rx", "400"),
        ("GET / HTTP/1.1\r\nhost: h\u{0}", "400"), ("GET / HTTP/1.1\r\nhost: h\r\n\n", "400"),
        ("GET / HTTP/1.1\r\nx: " + String(repeating: "a", count: 17_000), "431"),
    ])
    func whatNoHeadMayHoldIsRefusedAsSoonAsItComes(head: String, status: String) throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        if head.utf8.count < 1_000 {
            sendByteByByte(rig, client, head)
        } else {
            for start in stride(from: 0, to: head.utf8.count, by: 100) {
                rig.send(client, Array(Array(head.utf8)[start...].prefix(100)), turns: 3)
            }
        }
        rig.settle()
        #expect(rig.status(client) == status)
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.protocolErrors] == 1)
    }

    @Test func whatFollowsAHeadInPiecesIsItsBodyAndTheNextRequest() throws {
        let rig = try ProxyRig()
        let client = rig.connect()
        rig.send(client, "POST /a HTTP/1.1\r\nhost: h\r\ncontent-le")
        rig.send(client, "ngth: 3\r\n\r\nabcGET /b HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(rig.forwarded.hasSuffix("\r\n\r\nabc"))
        rig.answer("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(rig.forwarded.contains("GET /b HTTP/1.1\r\n"))
    }
}
