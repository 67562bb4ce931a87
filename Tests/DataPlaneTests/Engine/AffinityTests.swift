import DataPlane
import MeshModel
import Testing

/// Clients that come back to the endpoint that served them.
@Suite struct AffinityTests {
    private func settings(
        _ kind: SessionAffinity.Kind,
        absoluteTimeout: Duration? = nil
    ) -> BackendSettings {
        var settings = BackendSettings()
        settings.affinity = SessionAffinity(kind, absoluteTimeout: absoluteTimeout)
        return settings
    }

    private let cookie = SessionAffinity.Kind.cookie(name: "tie", path: "/app", lifetime: nil)
    private let places = (0..<4).map { EndpointPlace(podUID: "7d1c-\($0)-uid") }

    private func field(_ name: String, in text: String) -> String? {
        for line in text.split(separator: "\r\n") where line.hasPrefix("\(name): ") {
            return String(line.dropFirst(name.count + 2))
        }
        return nil
    }

    private func value(_ setCookie: String) -> String {
        String(setCookie.prefix { $0 != ";" })
    }

    @Test func aCookieLeadsBackToItsEndpoint() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings(cookie), places: places)
        for _ in 0..<6 {
            let first = rig.ask()
            let set = try #require(field("set-cookie", in: rig.text(first.client)))
            #expect(set.hasPrefix("tie=") && set.hasSuffix("; Path=/app; HttpOnly; SameSite=Lax"))
            let again = rig.ask(EngineRig.get("/", "cookie: a=b; \(value(set)); c=d"))
            #expect(again.endpoint == first.endpoint)
            #expect(field("set-cookie", in: rig.text(again.client)) == nil)
        }
    }

    @Test func aCookieHoldsOnOtherWorkersAndAfterARestart() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings(cookie), places: places)
        let first = rig.ask()
        let set = try #require(field("set-cookie", in: rig.text(first.client)))
        for seed in [5, 6, 7] as [UInt64] {
            let other = try EngineRig(endpointCount: 4, seed: seed)
            other.install(clusters: [[3, 1, 2, 0]], settings: settings(cookie), places: places)
            let found = other.ask(EngineRig.get("/", "cookie: \(value(set))"))
            #expect(found.endpoint == first.endpoint)
        }
    }

    @Test func aCookieTellsNothingButItself() throws {
        let rig = try EngineRig(endpointCount: 1)
        rig.install(clusters: [[0]], settings: settings(cookie), places: places)
        let one = try #require(field("set-cookie", in: rig.text(rig.ask().client)))
        #expect(!one.contains("127.0.0.1") && !one.contains("7d1c") && !one.contains("9000"))
        // The same address with another pod behind it has another name.
        let other = [EndpointPlace(podUID: "other")]
        rig.install(clusters: [[0]], settings: settings(cookie), places: other)
        let two = try #require(field("set-cookie", in: rig.text(rig.ask().client)))
        #expect(one != two)
    }

    @Test func whereTheEndpointIsGoneAnotherTakesOverAndSaysSo() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(clusters: [[0, 1, 2]], settings: settings(cookie), places: places)
        let first = rig.ask()
        let set = try #require(field("set-cookie", in: rig.text(first.client)))
        let rest = [0, 1, 2].filter { $0 != first.endpoint }
        rig.install(clusters: [rest], settings: settings(cookie), places: places)
        let next = rig.ask(EngineRig.get("/", "cookie: \(value(set))"))
        #expect(rest.contains(next.endpoint))
        let changed = try #require(field("set-cookie", in: rig.text(next.client)))
        #expect(value(changed) != value(set))
        #expect(rig.proxy.counters[.affinityMoves] == 1)
    }

    @Test func anUnhealthyEndpointsClientsGoElsewhere() throws {
        let rig = try EngineRig(endpointCount: 3)
        rig.install(clusters: [[0, 1, 2]], settings: settings(cookie), places: places)
        let first = rig.ask()
        let set = try #require(field("set-cookie", in: rig.text(first.client)))
        let endpoint = try #require(rig.endpoint(first.endpoint))
        rig.proxy.setHealth(endpoint.slot, generation: endpoint.generation, isHealthy: false)
        #expect(rig.ask(EngineRig.get("/", "cookie: \(value(set))")).endpoint != first.endpoint)
    }

    @Test func aTieEndsWhenItsTimeIsOver() throws {
        let rig = try EngineRig(endpointCount: 4)
        let settings = settings(
            .cookie(name: "tie", path: "", lifetime: .seconds(60)),
            absoluteTimeout: .seconds(100)
        )
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings, places: places)
        let first = rig.ask()
        let set = try #require(field("set-cookie", in: rig.text(first.client)))
        #expect(set.contains("; Path=/; Max-Age=60; HttpOnly"))
        let request = EngineRig.get("/", "cookie: \(value(set))")
        rig.pass(seconds: 98)
        #expect(field("set-cookie", in: rig.text(rig.ask(request).client)) == nil)
        rig.pass(seconds: 3)
        #expect(field("set-cookie", in: rig.text(rig.ask(request).client)) != nil)
    }

    @Test func theCookieIsAddedToThoseOfTheEndpoint() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], settings: settings(cookie), places: places) { action in
            action.responseHeaders = HeaderModifier(set: [NamedValue("server", "rule")])
        }
        let found = rig.ask(EngineRig.get) { _ in
            "HTTP/1.1 200 OK\r\nset-cookie: own=1\r\ncontent-length: 0\r\n\r\n"
        }
        let text = rig.text(found.client)
        #expect(text.contains("set-cookie: own=1\r\n") && text.contains("set-cookie: tie="))
        #expect(text.contains("server: rule\r\n"))
    }

    @Test func aTryElsewhereNamesTheEndpointThatAnswered() throws {
        let rig = try EngineRig(endpointCount: 2, dead: [0])
        rig.install(clusters: [[0, 1]], settings: settings(cookie), places: places)
        var names: Set<String> = []
        for _ in 0..<4 {
            let found = rig.ask()
            let text = rig.text(found.client)
            #expect(text.split(separator: "\r\n").count { $0.hasPrefix("set-cookie: ") } == 1)
            names.insert(value(try #require(field("set-cookie", in: text))))
        }
        #expect(names.count == 1)
    }

    @Test func aHeaderIsSentBackWithEveryResponse() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(
            clusters: [[0, 1, 2, 3]],
            settings: settings(.header("X-Session")),
            places: places
        )
        let first = rig.ask()
        let session = try #require(field("x-session", in: rig.text(first.client)))
        for _ in 0..<5 {
            let again = rig.ask(EngineRig.get("/", "X-Session: \(session)"))
            #expect(again.endpoint == first.endpoint)
            #expect(field("x-session", in: rig.text(again.client)) == session)
        }
    }

    @Test(arguments: ["tie=", "tie=zzzzzzzzzzzzzzzz", "tie=0123456789abcdef", "tie", "=", ";;;"])
    func aCookieThatNamesNothingIsReplaced(text: String) throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0, 1]], settings: settings(cookie), places: places)
        let found = rig.ask(EngineRig.get("/", "cookie: \(text)"))
        #expect(rig.status(found.client) == "200")
        #expect(field("set-cookie", in: rig.text(found.client)) != nil)
    }

    @Test func byAddressAClientStays() throws {
        let rig = try EngineRig(endpointCount: 4)
        rig.install(clusters: [[0, 1, 2, 3]], settings: settings(.source), places: places)
        #expect(Set((0..<10).map { _ in rig.ask().endpoint }).count == 1)
    }

    // MARK: Of routes

    private func routed(
        _ rig: EngineRig,
        clusters: [[Int]] = [[0, 1, 2, 3]],
        weights: [UInt32] = [],
        settings: BackendSettings = BackendSettings(),
        _ affinity: SessionAffinity
    ) {
        rig.install(
            clusters: clusters,
            weights: weights,
            settings: settings,
            places: places
        ) { $0.affinity = affinity }
    }

    @Test func aRoutesTieComesBeforeTheServices() throws {
        let rig = try EngineRig(endpointCount: 4)
        routed(rig, settings: settings(.header("x-tie")), SessionAffinity(cookie))
        for _ in 0..<4 {
            let first = rig.ask()
            #expect(field("x-tie", in: rig.text(first.client)) == nil)
            let set = try #require(field("set-cookie", in: rig.text(first.client)))
            for _ in 0..<3 {
                let again = rig.ask(EngineRig.get("/", "cookie: \(value(set))"))
                #expect(again.endpoint == first.endpoint)
                #expect(field("set-cookie", in: rig.text(again.client)) == nil)
            }
        }
    }

    @Test func aRoutesHeaderLeadsBackToItsEndpointWithoutAnyPolicy() throws {
        let rig = try EngineRig(endpointCount: 4)
        routed(rig, SessionAffinity(.header("x-session")))
        for _ in 0..<4 {
            let first = rig.ask()
            let token = try #require(field("x-session", in: rig.text(first.client)))
            let again = rig.ask(EngineRig.get("/", "x-session: \(token)"))
            #expect(again.endpoint == first.endpoint)
            #expect(field("x-session", in: rig.text(again.client)) == token)
        }
    }

    @Test func aRoutesTieDecidesAmongItsBackendsWhateverTheirWeights() throws {
        let rig = try EngineRig(endpointCount: 4)
        let affinity = SessionAffinity(cookie)
        routed(rig, clusters: [[0, 1], [2, 3]], weights: [1, 1], affinity)
        var ties: [Int: String] = [:]
        for _ in 0..<40 where ties.count < 4 {
            let found = rig.ask()
            ties[found.endpoint] = field("set-cookie", in: rig.text(found.client)).map(value)
        }
        #expect(ties.count == 4)
        routed(rig, clusters: [[0, 1], [2, 3]], weights: [999, 1], affinity)
        for (endpoint, cookie) in ties {
            for _ in 0..<3 {
                #expect(rig.ask(EngineRig.get("/", "cookie: \(cookie)")).endpoint == endpoint)
            }
        }
        routed(rig, clusters: [[0, 1], [2, 3]], weights: [1, 0], affinity)
        let moved = rig.ask(EngineRig.get("/", "cookie: \(try #require(ties[2]))"))
        #expect([0, 1].contains(moved.endpoint))
        #expect(field("set-cookie", in: rig.text(moved.client)) != nil)
    }

    @Test(arguments: [nil, .seconds(25)] as [Duration?])
    func aTieThatIsNotUsedEnds(absolute: Duration?) throws {
        let rig = try EngineRig(endpointCount: 4)
        routed(
            rig,
            SessionAffinity(cookie, absoluteTimeout: absolute, idleTimeout: .seconds(10))
        )
        let first = rig.ask()
        var tie = value(try #require(field("set-cookie", in: rig.text(first.client))))
        #expect(tie.count == "tie=".count + 32)
        for step in 1...5 {
            rig.pass(seconds: 6)
            let again = rig.ask(EngineRig.get("/", "cookie: \(tie)"))
            let set = try #require(field("set-cookie", in: rig.text(again.client)))
            let isOver = absolute != nil && step == 5
            #expect(value(set).prefix(20) == tie.prefix(20) || isOver)
            if !isOver { #expect(again.endpoint == first.endpoint) }
            #expect(value(set) != tie)
            tie = value(set)
        }
        let moves = rig.proxy.counters[.affinityMoves]
        let before = tie
        rig.pass(seconds: 11)
        let late = rig.ask(EngineRig.get("/", "cookie: \(before)"))
        let fresh = try #require(field("set-cookie", in: rig.text(late.client)))
        #expect(value(fresh) != before)
        #expect(rig.proxy.counters[.affinityMoves] == moves)
        // In turn, four new clients have four endpoints: the old tie leads nowhere.
        let found = (0..<4).map { _ in rig.ask(EngineRig.get("/", "cookie: \(before)")).endpoint }
        #expect(Set(found).count == 4)
    }
}
