import DataPlane
import MeshModel
import Testing

/// Cross-origin requests (GEP-1767).
@Suite struct CrossOriginTests {
    private func rig(_ policy: CrossOriginPolicy) throws -> EngineRig {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { $0.crossOrigin = policy }
        return rig
    }

    private static let policy = CrossOriginPolicy(
        origins: ["https://www.foo.com", "https://*.bar.com", "http://*:8080"],
        allowsCredentials: true,
        methods: ["GET", "OPTIONS"],
        headers: ["x-header-1", "x-header-2"],
        exposedHeaders: ["x-header-3"],
        maxAgeSeconds: 3_600
    )

    private func preflight(_ origin: String) -> String {
        "OPTIONS /a HTTP/1.1\r\nhost: h.example\r\nOrigin: \(origin)\r\n"
            + "Access-Control-Request-Method: PUT\r\n"
            + "access-control-request-headers: x-asked\r\n\r\n"
    }

    @Test(arguments: [
        ("https://www.foo.com", true), ("https://WWW.foo.com", true), ("https://a.bar.com", true),
        ("https://a.b.bar.com", true), ("http://any.example:8080", true),
        ("http://www.foo.com", false), ("https://foo.com", false), ("https://bar.com", false),
        ("https://www.foo.com:8443", false), ("https://x:1.bar.com", false),
        ("https://evil/.bar.com", false), ("http://any.example", false), ("null", false),
        ("https://www.foo.com.evil", false),
    ])
    func originsAreComparedWholeAndWildcardsStandForHosts(origin: String, isAllowed: Bool) throws {
        let rig = try rig(Self.policy)
        let client = rig.connect(sending: preflight(origin))
        #expect(rig.status(client) == "204")
        #expect(
            rig.text(client).contains("access-control-allow-origin: \(origin)\r\n") == isAllowed
        )
        #expect(rig.text(client).contains("access-control-allow-methods") == isAllowed)
        #expect(rig.forwarded().isEmpty, "a preflight request is answered here")
    }

    @Test func aPreflightRequestIsToldAllThatThePolicyAllows() throws {
        let rig = try rig(Self.policy)
        let client = rig.connect(sending: preflight("https://www.foo.com"))
        for line in [
            "access-control-allow-methods: GET, OPTIONS", "vary: origin",
            "access-control-allow-headers: x-header-1, x-header-2",
            "access-control-expose-headers: x-header-3", "access-control-max-age: 3600",
            "access-control-allow-credentials: true",
        ] { #expect(rig.text(client).contains(line + "\r\n"), "\(line)") }
    }

    /// A wildcard is never answered as such: with credentials that would allow nothing.
    @Test func whereEverythingIsAllowedTheAnswerNamesWhatWasAskedFor() throws {
        let rig = try rig(
            CrossOriginPolicy(origins: ["*"], methods: ["*"], headers: ["*"])
        )
        let client = rig.connect(sending: preflight("https://any.example"))
        for line in [
            "access-control-allow-origin: https://any.example",
            "access-control-allow-methods: PUT", "access-control-allow-headers: x-asked",
            "access-control-max-age: 5",
        ] { #expect(rig.text(client).contains(line + "\r\n"), "\(line)") }
        #expect(!rig.text(client).contains("credentials"))
    }

    @Test func aRequestGoesOnAndItsResponseNamesTheOriginInPlaceOfTheEndpointsWord() throws {
        let rig = try rig(Self.policy)
        let client = rig.connect(
            sending: "GET /a HTTP/1.1\r\nhost: h.example\r\norigin: https://www.foo.com\r\n\r\n"
        )
        #expect(rig.forwarded().contains("origin: https://www.foo.com\r\n"))
        rig.answer(
            "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\nvary: accept\r\n"
                + "content-length: 2\r\n\r\nok"
        )
        let text = rig.text(client)
        #expect(text.contains("access-control-allow-origin: https://www.foo.com\r\n"))
        #expect(!text.contains("access-control-allow-origin: *"))
        #expect(text.contains("vary: accept\r\n") && text.contains("vary: origin\r\n"))
        #expect(text.contains("access-control-expose-headers: x-header-3\r\n"))
    }

    @Test(arguments: ["origin: https://evil.example\r\n", ""])
    func whoIsNotAllowedIsToldNothingAndIsAnsweredAllTheSame(line: String) throws {
        let rig = try rig(Self.policy)
        let client = rig.connect(sending: "GET /a HTTP/1.1\r\nhost: h.example\r\n\(line)\r\n")
        rig.answer()
        #expect(rig.status(client) == "200")
        #expect(!rig.text(client).contains("access-control"))
    }

    @Test func optionsThatAreNoPreflightGoToTheEndpoint() throws {
        let rig = try rig(Self.policy)
        _ = rig.connect(
            sending: "OPTIONS /a HTTP/1.1\r\nhost: h.example\r\norigin: https://www.foo.com\r\n\r\n"
        )
        #expect(rig.forwarded().hasPrefix("OPTIONS /a HTTP/1.1\r\n"))
    }

    @Test func theRulesOwnResponseHeadersHaveTheLastWord() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) {
            $0.crossOrigin = Self.policy
            $0.responseHeaders.set = [
                NamedValue("access-control-allow-origin", "https://r.example")
            ]
        }
        let client = rig.connect(
            sending: "GET /a HTTP/1.1\r\nhost: h.example\r\norigin: https://www.foo.com\r\n\r\n"
        )
        rig.answer()
        #expect(rig.text(client).contains("access-control-allow-origin: https://r.example\r\n"))
    }
}
