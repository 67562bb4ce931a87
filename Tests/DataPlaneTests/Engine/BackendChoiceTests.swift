import DataPlane
import MeshModel
import Testing

@Suite struct BackendChoiceTests {
    private func ask(_ rig: EngineRig, _ count: Int = 1) -> [String] {
        (0..<count).map { _ in
            let client = rig.connect(sending: EngineRig.get)
            for index in rig.upstreams.indices { rig.answer(by: index) }
            return rig.status(client)
        }
    }

    @Test func roundRobinTakesEndpointsInTurn() throws {
        let rig = try EngineRig(endpointCount: 3)
        for turn in 1...3 {
            for index in 0..<3 { _ = (index, rig.connect(sending: EngineRig.get)) }
            #expect((0..<3).map { rig.requestCount($0) } == [turn, turn, turn])
        }
    }

    @Test func ofTwoChoicesTheLessLoadedIsTaken() throws {
        let rig = try EngineRig(endpointCount: 2)
        var settings = BackendSettings()
        settings.balancing.algorithm = .leastRequest
        rig.install(clusters: [[0, 1]], settings: settings)
        _ = rig.connect(sending: EngineRig.get)
        let free = rig.requestCount(0) == 0 ? 0 : 1
        for _ in 0..<8 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: free)
            #expect(rig.status(client) == "200")
        }
        #expect(rig.requestCount(free) == 8)
        #expect(rig.requestCount(1 - free) == 1)
    }

    @Test func backendsAreTakenByWeight() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0], [1]], weights: [9, 1])
        for _ in 0..<100 { _ = rig.connect(sending: EngineRig.get) }
        let lighter = rig.requestCount(1)
        #expect(rig.requestCount(0) + lighter == 100)
        #expect(lighter >= 2 && lighter <= 25, "\(lighter) of 100")
    }

    @Test func anInvalidReferenceAnswers500ForItsShare() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0], nil], weights: [1, 1])
        let statuses = (0..<60).map { _ in
            let client = rig.connect(sending: EngineRig.get)
            return rig.status(client)
        }
        let refused = statuses.count { $0 == "500" }
        #expect(refused >= 15 && refused <= 45, "\(refused) of 60")
        #expect(statuses.allSatisfy { $0 == "500" || $0.isEmpty })
    }

    @Test func withoutAnEndpointTheAnswerIs503() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[]])
        #expect(ask(rig) == ["503"])
    }

    @Test func whereEveryEndpointRefusesTheAnswerIs503() throws {
        let rig = try EngineRig(endpointCount: 2, dead: [0, 1])
        #expect(ask(rig) == ["503"])
    }

    @Test func withoutARouteTheAnswerIs404() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]], match: HTTPMatch(path: .prefix("/only")))
        #expect(ask(rig) == ["404"])
        rig.install(clusters: [[0]], host: .exact("other.example"))
        #expect(ask(rig) == ["404"])
    }

    @Test func aPathThatCouldBeReadInTwoWaysIsRefused() throws {
        let rig = try EngineRig()
        for path in ["/a/../b", "/a/%2e%2e/b"] {
            let client = rig.connect(sending: "GET \(path) HTTP/1.1\r\nhost: h\r\n\r\n")
            #expect(rig.status(client) == "400", "\(path)")
        }
    }

    @Test func headersAreChangedByRuleAndBackend() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { action in
            action.requestHeaders = HeaderModifier(
                set: [NamedValue("X-Set", "rule")],
                add: [NamedValue("X-Add", "rule")],
                remove: ["X-Gone"]
            )
            action.responseHeaders = HeaderModifier(
                set: [NamedValue("Server", "rule")],
                remove: ["X-Secret"]
            )
            action.backends[0].requestHeaders = HeaderModifier(set: [NamedValue("X-Backend", "b")])
            action.backends[0].responseHeaders = HeaderModifier(add: [NamedValue("X-From", "b")])
        }
        let client = rig.connect(
            sending:
                "GET / HTTP/1.1\r\nhost: h\r\nx-set: mine\r\nx-add: mine\r\nx-gone: mine\r\n\r\n"
        )
        let request = rig.forwarded()
        #expect(request.contains("x-set: rule\r\n") && !request.contains("x-set: mine"))
        #expect(request.contains("x-add: mine\r\n") && request.contains("x-add: rule\r\n"))
        #expect(!request.contains("x-gone"))
        #expect(request.contains("x-backend: b\r\n"))
        rig.answer(
            "HTTP/1.1 200 OK\r\nserver: own\r\nx-secret: s\r\ncontent-length: 2\r\n\r\nok"
        )
        let response = rig.text(client)
        #expect(response.contains("server: rule\r\n") && !response.contains("server: own"))
        #expect(response.contains("x-from: b\r\n") && !response.contains("x-secret"))
    }
}
