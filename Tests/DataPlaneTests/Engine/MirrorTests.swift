import DataPlane
import MeshModel
import Testing

/// Copies of requests: cluster 1 gets what cluster 0 serves.
@Suite struct MirrorTests {
    private func rig(
        numerator: UInt32 = 100,
        limits: EngineLimits = EngineLimits(),
        dead: [Int] = []
    ) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: 2, dead: dead, limits: limits)
        rig.install(clusters: [[0], [1]], weights: [1, 0]) { action in
            let cluster = action.backends[1].cluster
            action.mirrors = [EngineMirror(cluster: cluster, numerator: numerator)]
        }
        return rig
    }

    private let put = "PUT /x HTTP/1.1\r\nhost: h.example\r\ncontent-length: 10\r\n\r\n"

    @Test func aCopyHasHeadAndBodyAndItsAnswerIsThrownAway() throws {
        let rig = try rig()
        let client = rig.connect(sending: put + "01234")
        rig.send(client, "56789")
        rig.answer("HTTP/1.1 500 Broken\r\ncontent-length: 3\r\n\r\nbad", by: 1)
        #expect(rig.text(client).isEmpty)
        rig.answer(by: 0)
        #expect(rig.status(client) == "200")
        #expect(rig.forwarded(to: 1) == rig.forwarded(to: 0))
        #expect(rig.forwarded(to: 1).contains("host: h.example\r\n"))
        #expect(rig.forwarded(to: 1).hasSuffix("0123456789"))
        #expect(rig.proxy.counters[.mirrors] == 1)
        #expect(rig.proxy.counters[.requests] == 1)
        #expect(rig.proxy.counters[.responses5xx] == 0)
    }

    @Test func chunksAreCopied() throws {
        let rig = try rig()
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        rig.send(client, "0\r\n\r\n")
        rig.answer(by: 0)
        #expect(rig.status(client) == "200")
        #expect(rig.forwarded(to: 1) == rig.forwarded(to: 0))
        #expect(rig.forwarded(to: 1).hasSuffix("\r\n0\r\n\r\n"))
    }

    @Test func aCopysConnectionServesTheNext() throws {
        let rig = try rig()
        for _ in 0..<3 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: 0)
            rig.answer(by: 1)
            #expect(rig.status(client) == "200")
        }
        #expect(rig.upstreams[1].count == 1)
        #expect(rig.requestCount(1) == 3)
    }

    @Test func aCopyThatCannotBeDeliveredIsNobodysLoss() throws {
        let rig = try rig(dead: [1])
        let client = rig.connect(sending: EngineRig.get)
        rig.answer(by: 0)
        #expect(rig.status(client) == "200")
        #expect(rig.proxy.counters[.mirrorFailures] == 1)
        #expect(rig.proxy.counters[.retries] == 0)
        #expect(rig.proxy.counters[.responses5xx] == 0)
    }

    @Test func aCopyThatIsNotReadIsDroppedWhileTheRequestGoesOn() throws {
        let rig = try rig()
        let client = rig.connect(
            sending: "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 3000001\r\n\r\nx"
        )
        rig.settle()
        rig.unread = [try #require(rig.upstreams[1].last)]
        rig.send(client, Array(repeating: 0x78, count: 3_000_000), turns: 400)
        #expect(rig.proxy.counters[.mirrorBodyLimitHits] == 1)
        rig.answer(by: 0)
        #expect(rig.status(client) == "200")
    }

    @Test func aClientThatGoesTakesAnUnfinishedCopyWithIt() throws {
        let rig = try rig()
        let client = rig.connect(sending: put + "0123")
        let mirror = try #require(rig.upstreams[1].last)
        rig.network.close(client)
        rig.settle()
        #expect(rig.ended.contains(mirror))
        #expect(rig.proxy.counters[.mirrorsDropped] == 1)
    }

    @Test func aSilentCopyEnds() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        rig.answer(by: 0)
        #expect(rig.status(client) == "200")
        rig.pass(seconds: 61)
        rig.pass(seconds: 1)
        let peer = try #require(rig.upstreams[1].last)
        #expect(rig.ended.contains(peer))
    }

    @Test func aShareIsCopied() throws {
        let rig = try rig(numerator: 25)
        for _ in 0..<200 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: 0)
            rig.answer(by: 1)
            rig.network.close(client)
        }
        #expect((20...80).contains(rig.proxy.counters[.mirrors]))
        #expect(rig.requestCount(0) == 200)
    }

    @Test func copiesInHandAreBounded() throws {
        var limits = EngineLimits()
        limits.mirrorMax = 2
        let rig = try rig(limits: limits)
        for _ in 0..<5 {
            let client = rig.connect(sending: EngineRig.get)
            rig.answer(by: 0)
            #expect(rig.status(client) == "200")
        }
        #expect(rig.proxy.counters[.mirrors] == 2)
        #expect(rig.proxy.counters[.mirrorLimitHits] == 3)
    }
}
