import DataPlane
import Testing

/// Requests that are answered by their method alone.
@Suite struct LocalMethodTests {
    @Test(arguments: [
        ("OPTIONS *", "200"), ("TRACE /", "405"), ("TRACE http://h.example/a", "405"),
    ])
    func theAnswerNamesTheMethodsAndNothingReachesTheEndpoint(line: String, status: String) throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: "\(line) HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.status(client) == status)
        #expect(
            rig.text(client).contains("allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n")
        )
        #expect(rig.upstreams[0].isEmpty)
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.text(client).hasSuffix("ok"), "the connection goes on")
    }

    @Test func optionsOfAPathAreTheEndpointsOwn() throws {
        let rig = try EngineRig()
        _ = rig.connect(sending: "OPTIONS /a HTTP/1.1\r\nhost: h.example\r\n\r\n")
        #expect(rig.forwarded().hasPrefix("OPTIONS /a HTTP/1.1\r\n"))
    }
}
