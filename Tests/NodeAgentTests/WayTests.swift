import Discovery
import MeshModel
import TestSupport
import Testing

@testable import NodeAgent

/// What both ways to the engine have in common, through the running agent with real peers.
@Suite(.serialized, .timeLimit(.minutes(4))) struct WayTests {
    private func told(_ text: String) -> JSONValue? { JSONText.parse(text) }

    private func lines(_ told: JSONValue?) -> [String] {
        (told?["lines"]?.elements ?? []).compactMap(\.text)
    }

    @Test(arguments: Way.allCases, WayEndpoint.allCases)
    func headsReachTheBackendAsTheRouteSaysAndAnswersTheClient(
        _ way: Way,
        _ endpoint: WayEndpoint
    ) throws {
        let rig = try WayRig(
            way,
            endpoint,
            rule: """
                filters: [
                  { type: RequestHeaderModifier,
                    requestHeaderModifier: { set: [{ name: x-set, value: "1" }], remove: [x-gone] } },
                  { type: ResponseHeaderModifier,
                    responseHeaderModifier: { add: [{ name: x-added, value: "2" }] } }]
                """
        )
        let answer = rig.curl("/a?b=c", "-i -H 'x-gone: 1' -H 'x-set: 0' -H 'X-Kept: 3'")
        #expect(answer.hasPrefix("HTTP/1.1 200"), "\(rig.agent.errors)")
        #expect(answer.contains("x-added: 2") && answer.contains("x-from: backend"))
        let seen = told(String(answer.split(separator: "\r\n\r\n").last ?? ""))
        #expect(seen?["method"]?.text == "GET" && seen?["target"]?.text == "/a?b=c")
        let heads = lines(seen).map { $0.lowercased() }
        #expect(heads.contains("x-set: 1") && heads.contains("x-kept: 3"))
        #expect(!heads.contains { $0.hasPrefix("x-gone") || $0 == "x-set: 0" })
        #expect(heads.contains { $0.hasPrefix("x-request-id: ") })
        let host = endpoint.isHTTP2 ? ":authority: " : "host: "
        #expect(heads.contains { $0.hasPrefix(host) })
        #expect((seen?["version"]?.text == "2") == endpoint.isHTTP2)
        let http2 = rig.curl("/two", "--http2-prior-knowledge -w '%{http_version}'")
        #expect(http2.hasSuffix("2"))
    }

    @Test(arguments: Way.allCases)
    func aRoutesSessionIsToldToTheClient(_ way: Way) throws {
        let rig = try WayRig(
            way,
            rule: """
                sessionPersistence:
                  { sessionName: tie, absoluteTimeout: 1h, cookieConfig: { lifetimeType: Permanent } }
                """
        )
        let first = rig.curl("/a", "-i")
        #expect(first.hasPrefix("HTTP/1.1 200"), "\(rig.agent.errors)")
        let line = first.split(separator: "\r\n").first { $0.hasPrefix("set-cookie: tie=") }
        let cookie = try #require(line).dropFirst("set-cookie: ".count)
        #expect(cookie.hasSuffix("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"))
        let again = rig.curl("/a", "-i -H 'cookie: \(cookie.prefix { $0 != ";" })'")
        #expect(again.hasPrefix("HTTP/1.1 200") && !again.contains("set-cookie"))
    }

    @Test(arguments: Way.allCases, WayEndpoint.allCases)
    func bodiesTrailersAndInterimResponsesPassBothDirections(
        _ way: Way,
        _ endpoint: WayEndpoint
    ) throws {
        let rig = try WayRig(way, endpoint)
        let file = "\(rig.agent.directory)/body"
        Command.run("head -c 2097152 /dev/urandom > \(file)")
        let sum = Command.run("sha256sum < \(file)").output.prefix(64)
        for options in ["", "-H 'Transfer-Encoding: chunked'", "--http2-prior-knowledge"] {
            let seen = told(
                rig.curl("/up", "-X PUT -H 'Expect:' \(options) --data-binary @\(file)")
            )
            #expect(seen?["bytes"]?.int == 2_097_152, "\(options) \(rig.agent.errors)")
            #expect(seen?["sum"]?.text == String(sum), "\(options)")
        }
        let continued = rig.curl("/wait", "-v -H 'Expect: 100-continue' -d abc -o /dev/null 2>&1")
        #expect(continued.contains("< HTTP/1.1 100"))
        for version in ["", "--http2-prior-knowledge"] {
            #expect(rig.curl("/big", "\(version) -o /dev/null -w '%{size_download}'") == "2097152")
            let hints = rig.curl("/hints", "-v \(version) -o /dev/null 2>&1")
            #expect(hints.contains(" 103") && hints.contains("rel=preload"), "\(version) \(hints)")
            let trailers = rig.curl("/trailers", "-i -H 'TE: trailers' \(version)")
            #expect(trailers.lowercased().contains("x-sum: 6"), "\(version) \(trailers)")
            #expect(rig.curl("/none", "\(version) -w '%{http_code}'") == "204")
            #expect(rig.curl("/head", "\(version) -I -o /dev/null -w '%{http_code}'") == "200")
        }
    }

    @Test(arguments: Way.allCases, WayEndpoint.allCases)
    func aTimeoutIsA504AndAWebSocketATunnel(_ way: Way, _ endpoint: WayEndpoint) throws {
        let rig = try WayRig(way, endpoint, rule: "timeouts: { request: 500ms }")
        #expect(rig.curl("/slow", "-o /dev/null -w '%{http_code}'") == "504")
        #expect(rig.curl("/quick", "-o /dev/null -w '%{http_code}'") == "200")
        try rig.agent.write(
            "talk.py",
            """
            import asyncio, websockets
            async def talk():
                async with websockets.connect("ws://\(rig.authority)/chat") as peer:
                    for text in ["first", "x" * 5000]:
                        await peer.send(text)
                        print(await peer.recv() == text)
            asyncio.run(talk())
            """
        )
        let spoken = rig.run("/usr/bin/python3 \(rig.agent.directory)/talk.py 2>&1")
        #expect(spoken == "True\nTrue\n", "\(spoken) \(rig.agent.errors)")
    }
}
