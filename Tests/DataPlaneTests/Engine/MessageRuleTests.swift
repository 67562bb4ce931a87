import DataPlane
import MeshModel
import Testing

/// What HTTP/1.1 has besides request and response: interim responses, HTTP/1.0, trailers, responses
/// without a body.
@Suite struct MessageRuleTests {
    private static let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n"

    @Test func goOnIsAskedForAndPassedBack() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: MessageRuleTests.post + "expect: 100-continue\r\n\r\n"
        )
        #expect(rig.forwarded().contains("expect: 100-continue\r\n"))
        rig.answer("HTTP/1.1 100 Continue\r\n\r\n")
        #expect(rig.text(client) == "HTTP/1.1 100 Continue\r\n\r\n")
        rig.send(client, "ab")
        #expect(rig.forwarded().hasSuffix("\r\n\r\nab"))
        rig.answer()
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
    }

    @Test func aRefusalInPlaceOfGoOnEndsTheConnection() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: MessageRuleTests.post + "expect: 100-continue\r\n\r\n"
        )
        rig.answer("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
        #expect(rig.status(client) == "417")
        #expect(rig.text(client).contains("connection: close\r\n"))
        #expect(rig.ended.contains(client))
    }

    @Test func earlyHintsAreForClientsOfHTTP11() throws {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x\r\nx: 1\r\n\r\n"
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer(hints + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(
            rig.text(client).hasPrefix(
                "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"
            )
        )
        let old = rig.connect(sending: "GET / HTTP/1.0\r\nhost: h\r\n\r\n")
        rig.answer(hints + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(rig.text(old).hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(!rig.text(old).contains("103"))
    }

    @Test func aClientOfHTTP10IsNeitherAskedToGoOnNorGivenChunks() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nab"
        )
        #expect(rig.forwarded().hasPrefix("POST / HTTP/1.1\r\n"))
        #expect(!rig.forwarded().contains("expect"))
        rig.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        #expect(!rig.text(client).contains("chunked"))
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
        #expect(rig.ended.contains(client))
    }

    @Test func aClientOfHTTP10KeepsItsConnectionWhereItAsks() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "GET / HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n"
        )
        rig.answer()
        #expect(rig.text(client).contains("connection: keep-alive\r\n"))
        #expect(!rig.ended.contains(client))
        let other = rig.connect(sending: "GET / HTTP/1.0\r\nhost: h\r\n\r\n")
        rig.answer()
        #expect(rig.ended.contains(other))
    }

    @Test(arguments: ["trailers", "gzip;q=0.5, Trailers", "trailers;x"])
    func thatTrailersAreTakenIsSaidForTheNextHop(value: String) throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "GET / HTTP/1.1\r\nhost: h\r\nte: \(value)\r\nconnection: te\r\n\r\n"
        )
        #expect(rig.forwarded().contains("te: trailers\r\nconnection: te\r\n"))
        #expect(rig.forwarded().ranges(of: "te: ").count == 1)
        rig.answer(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n"
                + "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
        )
        #expect(rig.text(client).hasSuffix("0\r\nx-sum: 7\r\n\r\n"))
    }

    @Test func trailersOfARequestGoOn() throws {
        let rig = try EngineRig()
        _ = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
                + "2\r\nab\r\n0\r\nx-sum: 7\r\ncontent-length: 9\r\n\r\n"
        )
        #expect(rig.forwarded().hasSuffix("0\r\nx-sum: 7\r\n\r\n"))
    }

    /// Responses that have no body whatever they announce (RFC 9110 section 6.4.1).
    @Test(arguments: [
        ("HEAD", "200 OK", true), ("GET", "304 Not Modified", true),
        ("GET", "204 No Content", false),
    ])
    func aResponseWithoutBodyEndsWithItsHead(method: String, status: String, tells: Bool) throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: "\(method) / HTTP/1.1\r\nhost: h\r\n\r\n")
        rig.answer("HTTP/1.1 \(status)\r\ncontent-length: 5\r\n\r\n")
        #expect(rig.status(client) == status.prefix(3))
        #expect(rig.text(client).contains("content-length: 5\r\n") == tells)
        #expect(rig.text(client).hasSuffix("\r\n\r\n"))
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.text(client).hasSuffix("ok"), "the next one is told apart")
    }
}
