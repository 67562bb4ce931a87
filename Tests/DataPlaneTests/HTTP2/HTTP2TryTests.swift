import MeshModel
import Testing

@testable import DataPlane

/// Retries, hedges, copies and replays where endpoints speak HTTP/2.
@Suite struct HTTP2TryTests {
    private func rig(
        _ count: Int = 2,
        settings change: (inout BackendSettings) -> Void = { _ in },
        retries: RetrySettings.Conditions = []
    ) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: count)
        var settings = BackendSettings()
        settings.version = .http2
        settings.breakers.retryBudgetMin = 10
        change(&settings)
        rig.install(clusters: [Array(0..<count)], settings: settings) { action in
            guard retries != [] else { return }
            action.retries = RetrySettings()
            action.retries?.conditions = retries
        }
        return rig
    }

    private func put(_ byteCount: Int) -> String {
        "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: \(byteCount)\r\n\r\n"
    }

    /// Which endpoint has been connected to.
    private func asked(_ rig: EngineRig) -> Int { rig.upstreams[0].isEmpty ? 1 : 0 }

    @Test func anotherEndpointAnswersForAnErrorWithTheBodyThatWasSent() throws {
        let rig = try rig(retries: [.gatewayError])
        let client = rig.connect(sending: put(5) + "hello")
        let first = asked(rig)
        let endpoint = try #require(HTTP2Endpoint(rig, of: first))
        #expect(endpoint.body(1) == "hello")
        endpoint.send(HTTP2Frames.headers(1, [(":status", "503")], ends: true))
        rig.pass(seconds: 1)
        #expect(rig.text(client) == "", "nothing goes out before the decision")
        let other = try #require(HTTP2Endpoint(rig, of: 1 - first))
        #expect(other.body(1) == "hello")
        other.answer(1)
        #expect(rig.status(client) == "200" && rig.proxy.counters[.retries] == 1)
    }

    @Test func aRefusedRequestIsSentAgainWithTheBodyThatWasKept() throws {
        let rig = try rig(retries: [.refused])
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"
        )
        let first = asked(rig)
        let endpoint = try #require(HTTP2Endpoint(rig, of: first))
        #expect(endpoint.body(1) == "hello")
        endpoint.send(HTTP2Frames.frame(3, 0, 1, [0, 0, 0, 7]))
        rig.pass(seconds: 1)
        let other = try #require(HTTP2Endpoint(rig, of: 1 - first))
        #expect(other.body(1) == "hello")
        other.answer(1)
        #expect(rig.status(client) == "200")
    }

    @Test func theFirstAnswerWinsAndTheOtherStreamIsReset() throws {
        for winsSecond in [false, true] {
            let rig = try rig(settings: { $0.hedging = HedgingSettings(delay: .seconds(1)) })
            let client = rig.connect(sending: EngineRig.get)
            let first = asked(rig)
            let endpoint = try #require(HTTP2Endpoint(rig, of: first))
            rig.pass(seconds: 2)
            let other = try #require(HTTP2Endpoint(rig, of: 1 - first))
            let (winner, loser) = winsSecond ? (other, endpoint) : (endpoint, other)
            winner.answer(1, "won")
            #expect(rig.text(client).hasSuffix("\r\n\r\nwon"))
            #expect(loser.frames(3).map(\.stream) == [1] && winner.frames(3).isEmpty)
            loser.answer(1, "late")
            #expect(!rig.ended.contains(loser.fd) && !rig.ended.contains(winner.fd))
            #expect(rig.proxy.counters[.hedgesWon] == (winsSecond ? 1 : 0))
            rig.send(client, EngineRig.get)
            for endpoint in [endpoint, other] where endpoint.heads.count == 2 {
                endpoint.answer(3, "next")
            }
            #expect(rig.text(client).hasSuffix("next"))
            #expect(rig.upstreams.map(\.count) == [1, 1])
        }
    }

    @Test func aCopyGoesByAStreamAndItsAnswerIsThrownAway() throws {
        let rig = try EngineRig(endpointCount: 2)
        var settings = BackendSettings()
        settings.version = .http2
        rig.install(clusters: [[0], [1]], weights: [1, 0], settings: settings) { action in
            action.mirrors = [EngineMirror(cluster: action.backends[1].cluster)]
        }
        let client = rig.connect(sending: put(10) + "01234")
        let endpoint = try #require(HTTP2Endpoint(rig, of: 0))
        let copied = try #require(HTTP2Endpoint(rig, of: 1))
        rig.send(client, "56789")
        #expect(endpoint.body(1) == "0123456789" && copied.body(1) == "0123456789")
        #expect(copied.heads.first?.prefix(4) == endpoint.heads.first?.prefix(4))
        copied.answer(1, "copy")
        #expect(rig.text(client) == "")
        endpoint.answer(1, "real")
        #expect(rig.text(client).hasSuffix("\r\n\r\nreal"))
        let next = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        copied.send(HTTP2Frames.frame(3, 0, 3, [0, 0, 0, 2]))
        #expect(rig.status(next) == "200" && rig.upstreams.map(\.count) == [1, 1])
    }

    @Test func endpointsThatGoAwayUnderLoadLoseNoRequest() throws {
        let rig = try rig(1)
        var clients: [Int32] = []
        var answered: Set<Int32> = []
        for round in 0..<20 {
            for _ in 0..<4 { clients.append(rig.connect(sending: put(0))) }
            let endpoint = try #require(HTTP2Endpoint(rig))
            // It took the first two, and ends with them.
            let last = UInt8(round % 2 == 0 ? 3 : 1)
            endpoint.send(HTTP2Frames.frame(7, 0, 0, [0, 0, 0, last, 0, 0, 0, 0]))
            let other = try #require(HTTP2Endpoint(rig))
            #expect(other.fd != endpoint.fd)
            for stream in stride(from: UInt32(1), through: UInt32(last), by: 2) {
                endpoint.answer(stream)
            }
            for stream in stride(from: UInt32(1), through: 7, by: 2)
            where other.frames(1).contains(where: { $0.stream == stream }) {
                other.answer(stream)
            }
            rig.settle()
            #expect(rig.ended.contains(endpoint.fd))
            answered = Set(clients.filter { rig.status($0) == "200" })
            #expect(answered.count == clients.count, "round \(round)")
            other.send(HTTP2Frames.frame(7, 0, 0, [0, 0, 0, 7, 0, 0, 0, 0]))
        }
        #expect(rig.proxy.counters[.responses5xx] == 0)
    }

    @Test func aPoolsTimeEndsSharedConnectionsWithoutStreams() throws {
        let rig = try rig(1, settings: { $0.timeouts.idle = .seconds(5) })
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        rig.pass(seconds: 6)
        endpoint.answer(1)
        #expect(rig.status(client) == "200")
        rig.pass(seconds: 4)
        #expect(!rig.ended.contains(endpoint.fd))
        rig.pass(seconds: 2)
        #expect(rig.ended.contains(endpoint.fd))
        #expect(rig.proxy.counters[.poolIdleTimeouts] == 1)
    }

    @Test func atTheBreakersLimitRequestsShareTheConnectionThereIs() throws {
        let rig = try rig(1, settings: { $0.breakers.connections = 1 })
        let clients = (0..<5).map { _ in rig.connect(sending: EngineRig.get) }
        let endpoint = try #require(HTTP2Endpoint(rig))
        for stream in 0..<5 { endpoint.answer(UInt32(2 * stream + 1)) }
        for client in clients { #expect(rig.status(client) == "200") }
        #expect(rig.upstreams[0].count == 1)
    }

    @Test func atBothLimitsRequestsWaitForAStreamToEnd() throws {
        let rig = try rig(1, settings: { $0.breakers.connections = 1 })
        let clients = (0..<3).map { _ in rig.connect(sending: EngineRig.get) }
        let endpoint = try #require(HTTP2Endpoint(rig, settings: [0, 3, 0, 0, 0, 1]))
        for stream in 0..<3 {
            #expect(endpoint.frames(1).count == stream + 1)
            endpoint.answer(UInt32(2 * stream + 1))
        }
        for client in clients { #expect(rig.status(client) == "200") }
        #expect(rig.upstreams[0].count == 1)
    }

    @Test func requestsThatWaitForSettingsAreSpreadOverConnections() throws {
        let rig = try rig(1)
        let clients = (0..<6).map { _ in rig.connect(sending: put(0)) }
        let fd = try #require(rig.upstreams[0].last)
        let early = HTTP2Frames.parse(Array(rig.bytes(fd).dropFirst(24))).filter { $0.type == 1 }
        #expect(early.map(\.stream) == [1], "one goes ahead, others wait for the settings")
        let two: [UInt8] = [0, 3, 0, 0, 0, 2]
        let first = try #require(HTTP2Endpoint(rig, settings: two))
        #expect(rig.upstreams[0].count == 3)
        let second = try #require(HTTP2Endpoint(rig, at: 1, settings: two))
        let third = try #require(HTTP2Endpoint(rig, at: 2, settings: two))
        for endpoint in [first, second, third] {
            #expect(endpoint.frames(1).map(\.stream) == [1, 3])
            endpoint.answer(1)
            endpoint.answer(3)
        }
        for client in clients { #expect(rig.status(client) == "200") }
        #expect(rig.proxy.counters[.retries] == 0)
    }
}
