import DataPlane
import MeshModel
import Testing

/// Every deadline of the engine, by a clock that the test moves.
@Suite struct TimeoutTests {
    @Test func aHeadThatDoesNotEndIsAnswered408() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: "GET / HTTP/1.1\r\nho")
        rig.pass(seconds: 9)
        #expect(rig.text(client).isEmpty)
        rig.pass(seconds: 2)
        #expect(rig.status(client) == "408")
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.headerTimeouts] == 1)
    }

    @Test func aConnectionWithoutAnyByteIsClosed() throws {
        let rig = try EngineRig()
        let client = rig.connect()
        rig.pass(seconds: 11)
        #expect(rig.ended.contains(client))
        #expect(rig.text(client).isEmpty)
        #expect(rig.proxy.counters[.headerTimeouts] == 1)
    }

    @Test func anIdleConnectionIsClosed() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        rig.pass(seconds: 70)
        #expect(!rig.ended.contains(client))
        rig.pass(seconds: 10)
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.idleTimeouts] == 1)
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func aBodyThatStopsIsAnswered408() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9000\r\n\r\n"
        )
        rig.pass(seconds: 20)
        rig.send(client, [UInt8](repeating: 120, count: 1_024))
        rig.pass(seconds: 20)
        #expect(rig.text(client).isEmpty, "a KiB begins the time anew")
        rig.send(client, "some")
        rig.pass(seconds: 20)
        #expect(rig.status(client) == "408", "a few bytes do not")
        #expect(rig.proxy.counters[.bodyTimeouts] == 1)
    }

    @Test func chunksComeAtAnyPace() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for _ in 0..<4 {
            rig.pass(seconds: 20)
            rig.send(client, "1\r\na\r\n")
        }
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test func anEndpointThatDoesNotAcceptIsTriedThriceThenAnswered503() throws {
        let rig = try EngineRig()
        let client = rig.connect()
        _ = rig.network.write(client, Array(EngineRig.get.utf8)[...])
        rig.network.delayNanosecondsMax = 1_000_000_000_000
        rig.settle()
        for _ in 0..<3 { rig.pass(seconds: 6) }
        #expect(rig.status(client) == "503")
        #expect(rig.proxy.counters[.connectTimeouts] == 3)
        #expect(rig.proxy.counters[.triesLimitHits] == 1)
    }

    @Test func anEndpointThatDoesNotAnswerIsAnswered504() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 55)
        #expect(rig.text(client).isEmpty)
        rig.pass(seconds: 10)
        #expect(rig.status(client) == "504")
        #expect(rig.proxy.counters[.upstreamTimeouts] == 1)
    }

    @Test func aResponseThatStopsMidwayIsCut() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
        rig.pass(seconds: 65)
        #expect(rig.text(client).hasSuffix("half"))
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.upstreamTimeouts] == 1)
    }

    @Test func aClientThatTakesNothingIsClosed() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.unread = [client]
        rig.answer(
            "HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n"
                + String(repeating: "x", count: 900_000)
        )
        rig.settle(200)
        #expect(rig.proxy.activeCount == 1)
        rig.pass(seconds: 35)
        #expect(rig.proxy.counters[.sendTimeouts] == 1)
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func anIdleConnectionToAnEndpointIsClosed() throws {
        let rig = try EngineRig()
        _ = rig.connect(sending: EngineRig.get)
        rig.answer()
        let upstream = try #require(rig.upstreams[0].first)
        rig.pass(seconds: 45)
        #expect(!rig.ended.contains(upstream))
        rig.pass(seconds: 10)
        #expect(rig.ended.contains(upstream))
        #expect(rig.proxy.counters[.poolIdleTimeouts] == 1)
    }

    @Test func aRefusedClientThatStaysIsClosed() throws {
        let rig = try EngineRig()
        _ = rig.connect(sending: "NONSENSE\r\n\r\n")
        #expect(rig.proxy.activeCount == 1)
        rig.pass(seconds: 6)
        #expect(rig.proxy.activeCount == 0)
    }

    @Test func aRoutesRequestTimeoutIsAnswered504() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { $0.requestTimeout = .seconds(2) }
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
    }

    @Test func aRoutesBackendTimeoutIsAnswered504() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { $0.backendRequestTimeout = .seconds(2) }
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
    }
}

/// Times that policies set.
@Suite struct PolicyTimeoutTests {
    private func rig(
        _ change: (inout BackendTimeouts) -> Void,
        listener: (inout ListenerTimeouts) -> Void = { _ in }
    ) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = BackendSettings()
        var listenerSettings = ListenerSettings()
        change(&settings.timeouts)
        listener(&listenerSettings.timeouts)
        rig.install(clusters: [[0]], settings: settings, listenerSettings: listenerSettings)
        return rig
    }

    @Test func aClustersTryTimeReachesToTheEndOfTheResponse() throws {
        let rig = try rig { $0.request = .seconds(5) }
        let client = rig.connect(sending: EngineRig.get)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        for _ in 0..<3 {
            rig.pass(seconds: 1)
            rig.answer("x")
        }
        #expect(!rig.ended.contains(client))
        rig.pass(seconds: 3)
        #expect(rig.ended.contains(client), "progress does not prolong it")
        #expect(rig.proxy.counters[.upstreamTimeouts] == 1)
    }

    @Test func aClustersIdleTimeIsProlongedByProgress() throws {
        let rig = try rig { $0.streamIdle = .seconds(3) }
        let client = rig.connect(sending: EngineRig.get)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        for _ in 0..<4 {
            rig.pass(seconds: 2)
            rig.answer("x")
        }
        #expect(!rig.ended.contains(client))
        rig.pass(seconds: 4)
        #expect(rig.ended.contains(client))
    }

    @Test func aListenersIdleTimeHoldsWhereTheClusterHasNone() throws {
        let rig = try rig({ _ in }, listener: { $0.streamIdle = .seconds(2) })
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
    }

    @Test func aListenersRequestTimeHoldsForRoutesWithoutOne() throws {
        let rig = try rig({ _ in }, listener: { $0.request = .seconds(2) })
        let client = rig.connect(sending: EngineRig.get)
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
        #expect(rig.proxy.counters[.requestTimeouts] == 1)
    }

    @Test func aBodyThatKeepsComingIsNoSilence() throws {
        let rig = try rig { $0.streamIdle = .seconds(3) }
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n"
        )
        for _ in 0..<9 {
            rig.pass(seconds: 2)
            rig.send(client, "x")
        }
        rig.answer()
        #expect(rig.status(client) == "200")
    }

    @Test func aClustersConnectTimeHolds() throws {
        let rig = try rig { $0.connect = .seconds(1) }
        let client = rig.connect()
        _ = rig.network.write(client, Array(EngineRig.get.utf8)[...])
        rig.network.delayNanosecondsMax = 1_000_000_000_000
        rig.settle()
        for _ in 0..<3 { rig.pass(seconds: 2) }
        #expect(rig.status(client) == "503")
    }

    @Test func aClustersIdleConnectionsLiveAsLongAsItSays() throws {
        let rig = try rig { $0.idle = .seconds(5) }
        _ = rig.connect(sending: EngineRig.get)
        rig.answer()
        let upstream = try #require(rig.upstreams[0].first)
        rig.pass(seconds: 4)
        #expect(!rig.ended.contains(upstream))
        rig.pass(seconds: 2)
        #expect(rig.ended.contains(upstream))
    }

    @Test(arguments: [
        ("2S", true), ("2000m", true), ("2000000u", true), ("1H", false), ("x", false),
    ])
    func aDeadlineOfGRPCBoundsARequest(_ value: String, _ ends: Bool) throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending: EngineRig.get("/", "te: trailers", "grpc-timeout: \(value)")
        )
        rig.pass(seconds: 3)
        #expect(rig.status(client) == (ends ? "504" : ""))
        #expect(rig.proxy.counters[.requestTimeouts] == (ends ? 1 : 0))
    }

    @Test func aConnectionOfItsListenersAgeEndsWithItsExchange() throws {
        let rig = try rig({ _ in }, listener: { $0.connectionAge = .seconds(10) })
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        #expect(!rig.text(client).contains("connection: close"))
        rig.pass(seconds: 11)
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.text(client).contains("connection: close"))
        #expect(rig.ended.contains(client))
    }

    @Test func aDeadlineOfGRPCDoesNotProlongTheRoutesTime() throws {
        let rig = try EngineRig()
        rig.install(clusters: [[0]]) { $0.requestTimeout = .seconds(2) }
        let client = rig.connect(sending: EngineRig.get("/", "te: trailers", "grpc-timeout: 9S"))
        rig.pass(seconds: 3)
        #expect(rig.status(client) == "504")
    }
}
