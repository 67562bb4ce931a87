import DataPlane
import Testing

/// Heads and bodies go on in one piece where nothing is changed, and changed where they must be.
@Suite struct VerbatimTests {
    @Test func aRequestGoesOnAsItCameWithTheProxysFieldsBehind() throws {
        let rig = try ProxyRig()
        _ = rig.connect(sending: "GET /a?b HTTP/1.1\r\nHOST: h\r\nX-One:1\r\naccept:  */* \r\n\r\n")
        let came = "GET /a?b HTTP/1.1\r\nHOST: h\r\nX-One:1\r\naccept:  */* \r\n"
        #expect(rig.forwarded.hasPrefix(came + "x-forwarded-for: "))
        #expect(rig.forwarded.contains("\r\nx-request-id: "))
        #expect(rig.forwarded.hasSuffix("\r\n\r\n"))
    }

    @Test(arguments: [
        ("connection: keep-alive", "connection"), ("connection: x-drop\r\nx-drop: 1", "x-drop"),
        ("x-forwarded-for: 9.9.9.9", "9.9.9.9"), ("forwarded: for=9.9.9.9", "for=9.9.9.9"),
        ("keep-alive: 5", "keep-alive"), ("te: gzip", "te: "), ("upgrade: x", "upgrade"),
        ("proxy-authorization: x", "proxy-authorization"), ("content-length: 0", "content-length"),
    ])
    func whatMayNotGoOnIsLeftOutAndTheRestStays(field: String, absent: String) throws {
        let rig = try ProxyRig()
        _ = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\na: 1\r\n\(field)\r\nb: 2\r\n\r\n")
        #expect(rig.forwarded.hasPrefix("GET /a HTTP/1.1\r\nhost: h\r\n"))
        #expect(rig.forwarded.contains("\r\na: 1\r\n"))
        #expect(rig.forwarded.contains("\r\nb: 2\r\n"))
        #expect(!rig.forwarded.contains(absent))
    }

    @Test func aClientsRequestIDGoesOnOnce() throws {
        let rig = try ProxyRig()
        _ = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\nX-Request-ID: mine\r\n\r\n")
        #expect(rig.forwarded.lowercased().components(of: "x-request-id").count == 2)
        #expect(rig.forwarded.contains("x-request-id: mine\r\n"))
    }

    @Test func theTargetOfAnAbsoluteFormBecomesPathAndHost() throws {
        let rig = try ProxyRig()
        _ = rig.connect(sending: "GET http://h:80/a HTTP/1.1\r\nhost: other\r\n\r\n")
        #expect(rig.forwarded.hasPrefix("GET /a HTTP/1.1\r\nhost: h:80\r\n"))
        #expect(!rig.forwarded.contains("other"))
    }

    @Test func aRequestOfHTTP10GoesOnAsHTTP11() throws {
        let rig = try ProxyRig()
        _ = rig.connect(sending: "GET /a HTTP/1.0\r\nhost: h\r\n\r\n")
        #expect(rig.forwarded.hasPrefix("GET /a HTTP/1.1\r\nhost: h\r\n"))
    }

    @Test func aResponseGoesOnAsItCame() throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let response = "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc"
        rig.answer(response)
        #expect(rig.text(client) == response)
    }

    @Test func aResponseInPiecesGoesOnWhole() throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        let body = String(repeating: "0123456789", count: 30_000)
        let head = "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        rig.answer(head + "01234")
        rig.answer(String(body.dropFirst(5)))
        rig.settle(400)
        #expect(rig.text(client) == head + body)
    }

    @Test func responsesToPipelinedRequestsDoNotMix() throws {
        let rig = try ProxyRig()
        let request = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n"
        let client = rig.connect(sending: request + request)
        let first = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1"
        let second = "HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n2"
        rig.answer(first)
        rig.answer(second)
        #expect(rig.text(client) == first + second)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nconnection: x-a\r\nx-a: 1\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nkeep-alive: 5\r\ncontent-length: 1\r\n\r\nx",
    ])
    func fieldsForOneHopEndThere(response: String) throws {
        let rig = try ProxyRig()
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer(response)
        #expect(rig.text(client) == "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
    }

    @Test func theLastResponseOfAConnectionSaysSo() throws {
        let rig = try ProxyRig()
        let client = rig.connect(
            sending: "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        )
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx")
        #expect(rig.text(client).contains("\r\nconnection: close\r\n"))
        #expect(rig.ended.contains(client))
    }
}

extension String {
    /// The pieces between occurrences of a text.
    fileprivate func components(of separator: String) -> [Substring] {
        var pieces: [Substring] = []
        var rest = self[...]
        while let range = rest.ranges(of: separator).first {
            pieces.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return pieces + [rest]
    }
}
