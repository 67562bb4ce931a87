import DataPlane
import Testing

/// Endpoints that break HTTP/1, over real sockets.
@Suite struct HostileEndpointTests {
    typealias Case = HostileClientTests.Case

    private static let ok = "HTTP/1.1 200 OK\r\n"

    /// Before a head has gone out, the client has a 502.
    static let heads: [Case] = [
        Case("no status line", "502", "hello\r\n\r\n and more bytes"),
        Case("another protocol", "502", "HTTQ/1.1 200 OK\r\n\r\n"),
        Case("HTTP/2.0", "502", "HTTP/2.0 200 OK\r\n\r\n"),
        Case("a status of two digits", "502", "HTTP/1.1 99 Low\r\n\r\n"),
        Case("a status that is none", "502", "HTTP/1.1 abc OK\r\n\r\n"),
        Case("a status below 100", "502", "HTTP/1.1 099 Low\r\n\r\n"),
        Case("a status of four digits", "502", "HTTP/1.1 2000 OK\r\n\r\n"),
        Case("a switch nobody asked for", "502", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
        Case("two lengths", "502", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        Case(
            "length and chunks",
            "502",
            ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        Case("a signed length", "502", ok + "Content-Length: +1\r\n\r\na"),
        Case("another coding", "502", ok + "Transfer-Encoding: gzip\r\n\r\na"),
        Case("a folded line", "502", ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        Case("a bare line feed", "502", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        Case("a bare carriage return", "502", ok + "X: a\rb\r\nContent-Length: 0\r\n\r\n"),
        Case("a zero byte", "502", ok + "X: a\u{0}\r\nContent-Length: 0\r\n\r\n"),
        Case("space before a colon", "502", ok + "Content-Length : 0\r\n\r\n"),
        Case("a head that is too long", "502", ok + "X: " + String(repeating: "a", count: 17_000)),
        Case("too many fields", "502", ok + String(repeating: "X: 1\r\n", count: 130) + "\r\n"),
        Case(
            "interim responses without end",
            "502",
            String(repeating: "HTTP/1.1 102 Wait\r\n\r\n", count: 40)
        ),
    ]

    /// Behind a head that has gone out, the client sees that the body is not whole.
    static let bodies: [Case] = [
        Case(
            "a size that is none",
            "200",
            ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n"
        ),
        Case(
            "a chunk without its end",
            "200",
            ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"
        ),
        Case(
            "a trailer that is none",
            "200",
            ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx\r\n\r\n"
        ),
    ]

    /// What ends before its end.
    static let cut: [Case] = [
        Case("nothing", "502", ""),
        Case("part of a head", "502", "HTTP/1.1 200 OK\r\nContent-Le"),
        Case("less than its length", "200", ok + "Content-Length: 9\r\n\r\nabc"),
        Case("chunks without an end", "200", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ]

    private func rig(_ text: String) throws -> SocketRig {
        let rig = try SocketRig()
        rig.answer = {
            $0.contains("/evil") ? text : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
        return rig
    }

    private func expectOthersServed(_ rig: SocketRig) throws {
        let honest = try rig.connect(sending: "GET /good HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { rig.text(honest).hasSuffix("\r\n\r\nok") })
    }

    @Test(arguments: heads)
    func aBrokenHeadIsAnswered502AndItsConnectionNotUsedAgain(hostile: Case) throws {
        let rig = try rig(hostile.text)
        let client = try rig.connect(sending: "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { rig.text(client).contains("HTTP/1.1 502 ") })
        #expect(!rig.ended.contains(client), "the client's connection goes on")
        #expect(rig.run { rig.ended.contains(rig.upstreams[0]) })
        #expect(rig.proxy.counters[.responses5xx] == 1)
        if !hostile.text.hasPrefix("HTTP/1.1 101") {
            #expect(rig.proxy.counters[.protocolErrors] == 1)
        }
        _ = rig.take(client)
        rig.send(client, Array("GET /good HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        #expect(rig.run { rig.text(client).hasSuffix("\r\n\r\nok") })
        #expect(rig.upstreams.count == 2)
        try expectOthersServed(rig)
    }

    @Test(arguments: bodies)
    func aBrokenBodyResetsTheClient(hostile: Case) throws {
        let rig = try rig(hostile.text)
        let client = try rig.connect(sending: "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { rig.ended.contains(client) })
        #expect(!rig.text(client).hasSuffix("0\r\n\r\n"))
        #expect(rig.proxy.counters[.protocolErrors] == 1)
        #expect(rig.run { rig.ended.contains(rig.upstreams[0]) })
        try expectOthersServed(rig)
    }

    @Test(arguments: cut)
    func anEndpointThatClosesEarlyIsNeverTakenForWhole(hostile: Case) throws {
        let rig = try rig(hostile.text)
        rig.closesAfterAnswer = true
        let client = try rig.connect(sending: "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n")
        if hostile.status == "502" {
            #expect(rig.run { rig.status(client) == "502" })
        } else {
            #expect(rig.run { rig.ended.contains(client) })
            #expect(!rig.text(client).hasSuffix("0\r\n\r\n"))
        }
        try expectOthersServed(rig)
    }

    @Test func whatFollowsAWholeResponseIsNobodysAnswer() throws {
        let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        let rig = try rig("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + smuggled)
        let client = try rig.connect(sending: "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { rig.text(client).hasSuffix("\r\n\r\nok") })
        rig.settle()
        _ = rig.take(client)
        rig.send(client, Array("GET /good HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        #expect(rig.run { rig.text(client).hasSuffix("\r\n\r\nok") })
        #expect(!rig.text(client).contains("evil"))
        #expect(rig.upstreams.count == 2, "the connection was not used again")
    }

    @Test func someInterimResponsesPass() throws {
        let interim = String(repeating: "HTTP/1.1 103 Early\r\nlink: x\r\n\r\n", count: 3)
        let rig = try rig(interim + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        let client = try rig.connect(sending: "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { rig.text(client).hasSuffix("\r\n\r\nok") })
        #expect(rig.text(client).components(of: "HTTP/1.1 103") == 3)
    }
}
