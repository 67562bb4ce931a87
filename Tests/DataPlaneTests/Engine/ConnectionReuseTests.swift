import DataPlane
import Testing

@Suite struct ConnectionReuseTests {
    @Test func connectionsOfBothSidesAreKept() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        for _ in 0..<3 {
            rig.send(client, EngineRig.get)
            rig.answer()
        }
        #expect(rig.text(client).split(separator: "HTTP/1.1 200").count == 4)
        #expect(rig.upstreams[0].count == 1)
        #expect(!rig.ended.contains(client))
    }

    @Test func aConnectionMadeForOneClientsNamespaceServesNoOther() throws {
        let rig = try EngineRig()
        for (origin, place) in [(7, 0), (8, 1), (7, 0), (-1, 2), (8, 1)] as [(Int32, Int)] {
            rig.origin = origin
            let before = rig.upstreams[0].map { rig.byteCount($0) }
            let client = rig.connect(sending: EngineRig.get)
            let asked = rig.upstreams[0].indices.first { index in
                index >= before.count || rig.byteCount(rig.upstreams[0][index]) > before[index]
            }
            #expect(asked == place, "a client of \(origin)")
            rig.send(rig.upstreams[0][try #require(asked)], EngineRig.ok)
            #expect(rig.status(client) == "200")
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
        let rig = try EngineRig()
        let requests = ["/a", "/b", "/c"].map { "GET \($0) HTTP/1.1\r\nhost: h\r\n\r\n" }
        let client = rig.connect(sending: requests.joined())
        for path in ["/a", "/b", "/c"] {
            #expect(rig.forwarded().contains("GET \(path) "))
            rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\(path)")
        }
        #expect(
            rig.text(client).split(separator: "\r\n\r\n").map { $0.prefix(2) }.dropFirst() == [
                "/a", "/b", "/c",
            ]
        )
    }

    @Test func anExpectingClientHearsTheEndpointsInvitation() throws {
        let rig = try EngineRig()
        let client = rig.connect(
            sending:
                "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        )
        #expect(rig.forwarded().contains("expect: 100-continue"))
        rig.answer("HTTP/1.1 100 Continue\r\n\r\n")
        #expect(rig.text(client) == "HTTP/1.1 100 Continue\r\n\r\n")
        rig.send(client, "body")
        #expect(rig.forwarded().hasSuffix("body"))
        rig.answer()
        #expect(rig.text(client).contains("HTTP/1.1 200 OK"))
    }

    /// The endpoint closes a kept connection instead of answering the request on it.
    @Test(arguments: ["GET", "POST"])
    func aRequestThatMetAClosedConnectionIsRepeatedWhereItMayBe(method: String) throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        rig.send(client, "\(method) /again HTTP/1.1\r\nhost: h\r\n\r\n")
        #expect(rig.requestCount(0) == 2)
        rig.network.close(try #require(rig.upstreams[0].first))
        rig.settle()
        guard method == "GET" else {
            #expect(rig.upstreams[0].count == 1)
            #expect(rig.text(client).contains("HTTP/1.1 502 "))
            return
        }
        #expect(rig.upstreams[0].count == 2)
        rig.answer()
        #expect(rig.text(client).split(separator: "HTTP/1.1 200").count == 2)
        #expect(rig.proxy.counters[.retries] == 1)
    }

    /// A connection that fails at its first request is not tried again: it is the endpoint's answer.
    @Test func aRequestOnANewConnectionIsNotRepeated() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.network.close(try #require(rig.upstreams[0].first))
        rig.settle()
        #expect(rig.status(client) == "502")
        #expect(rig.upstreams[0].count == 1)
    }

    @Test func anEndpointThatRefusesIsPassedOver() throws {
        let rig = try EngineRig(endpointCount: 2, dead: [0])
        for _ in 0..<4 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: 1)
            #expect(rig.status(client) == "200")
        }
        #expect(rig.proxy.counters[.retries] > 0)
    }

    @Test func noMoreIdleConnectionsAreKeptThanAllowed() throws {
        var limits = EngineLimits()
        limits.idlePerEndpointMax = 1
        let rig = try EngineRig(limits: limits)
        _ = rig.connect(sending: EngineRig.get)
        _ = rig.connect(sending: EngineRig.get)
        for upstream in rig.upstreams[0] {
            rig.send(upstream, "HTTP/1.1 204 No Content\r\n\r\n")
        }
        #expect(rig.upstreams[0].count == 2)
        #expect(rig.upstreams[0].count { rig.ended.contains($0) } == 1)
        #expect(rig.proxy.counters[.poolLimitHits] == 1)
    }

    @Test func idleConnectionsToAnEndpointThatIsNoMoreAreClosed() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0]])
        _ = rig.connect(sending: EngineRig.get)
        rig.answer()
        let upstream = try #require(rig.upstreams[0].first)
        rig.install(clusters: [[0, 1]])
        rig.settle()
        #expect(!rig.ended.contains(upstream))
        rig.install(clusters: [[1]])
        rig.settle()
        #expect(rig.ended.contains(upstream))
    }

    @Test func aResponseInHandOutlivesTheConfigurationItCameUnder() throws {
        let rig = try EngineRig(endpointCount: 2)
        rig.install(clusters: [[0]])
        let client = rig.connect(sending: EngineRig.get)
        rig.answer("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
        rig.install(clusters: [[1]])
        rig.settle()
        rig.answer("half")
        #expect(rig.text(client).hasSuffix("halfhalf"))
        rig.send(client, EngineRig.get)
        #expect(rig.requestCount(1) == 1)
        rig.answer(by: 1)
        #expect(rig.text(client).hasSuffix("ok"))
    }

    @Test func aResponseIsReadAsFastAsTheClientTakesIt() throws {
        let rig = try EngineRig()
        let client = rig.connect(sending: EngineRig.get)
        rig.unread = [client]
        let total = 3_000_000
        let upstream = try #require(rig.upstreams[0].first)
        rig.send(upstream, "HTTP/1.1 200 OK\r\ncontent-length: \(total)\r\n\r\n")
        rig.send(upstream, [UInt8](repeating: 7, count: total), turns: 400)
        #expect(rig.waitingByteCount(upstream) > total - 600_000)
        rig.unread = []
        rig.settle(3_000)
        #expect(rig.byteCount(client) > total)
    }

    @Test func aRequestIsReadAsFastAsTheEndpointTakesIt() throws {
        let rig = try EngineRig()
        let total = 3_000_000
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: \(total)\r\n\r\n"
        )
        let upstream = try #require(rig.upstreams[0].first)
        rig.unread = [upstream]
        rig.send(client, [UInt8](repeating: 7, count: total), turns: 400)
        #expect(rig.waitingByteCount(client) > total - 600_000)
        rig.unread = []
        rig.settle(3_000)
        #expect(rig.byteCount(upstream) > total)
    }
}
