import DataPlane
import MeshModel
import Testing

/// Bounds that a listener's policy sets, each with its counter.
@Suite struct ListenerLimitTests {
    private func rig(_ change: (inout ListenerLimits) -> Void) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        change(&settings.limits)
        rig.install(clusters: [[0]], listenerSettings: settings)
        return rig
    }

    private static let long =
        "GET / HTTP/1.1\r\nhost: h\r\na: \(String(repeating: "x", count: 300))\r\n\r\n"
    private static let many = "GET / HTTP/1.1\r\nhost: h\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n"

    @Test func aLongHeadOrManyFieldsAreAnswered431() throws {
        for (rig, request) in [
            (try rig { $0.headBytes = 256 }, ListenerLimitTests.long),
            (try rig { $0.headerFields = 3 }, ListenerLimitTests.many),
        ] {
            let client = rig.connect(sending: request)
            #expect(rig.status(client) == "431")
            #expect(rig.proxy.counters[.listenerHeadLimitHits] == 1)
            let other = rig.connect(sending: EngineRig.get)
            rig.answer()
            #expect(rig.status(other) == "200")
        }
    }

    @Test func aBodyThatSaysItIsTooLongIsAnswered413AtOnce() throws {
        let rig = try rig { $0.bodyBytes = 10 }
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: "
        let client = rig.connect(sending: head + "11\r\n\r\n")
        #expect(rig.status(client) == "413")
        #expect(rig.upstreams[0].isEmpty && rig.ended.contains(client))
        #expect(rig.proxy.counters[.listenerBodyLimitHits] == 1)
        let other = rig.connect(sending: head + "10\r\n\r\n0123456789")
        rig.answer()
        #expect(rig.status(other) == "200")
    }

    @Test func aBodyInChunksIsAnswered413OnceItIsTooLong() throws {
        let rig = try rig { $0.bodyBytes = 10 }
        let client = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
                + "a\r\n0123456789\r\n"
        )
        #expect(rig.status(client).isEmpty)
        rig.send(client, "1\r\nx\r\n")
        #expect(rig.status(client) == "413")
        #expect(rig.ended.contains(client))
        #expect(!rig.forwarded().contains("x\r\n0\r\n"))
        #expect(rig.proxy.counters[.listenerBodyLimitHits] == 1)
    }

    @Test func theLastRequestOfAConnectionClosesIt() throws {
        let rig = try rig { $0.requestsPerConnection = 2 }
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        #expect(!rig.text(client).contains("connection: close"))
        rig.send(client, EngineRig.get)
        rig.answer()
        #expect(rig.text(client).contains("connection: close\r\n"))
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.listenerRequestLimitHits] == 1)
    }

    @Test(arguments: [true, false])
    func oneConnectionMoreIsClosedAtOnceAndOneThatEndsMakesRoom(ofSource: Bool) throws {
        let rig = try rig {
            if ofSource { $0.connectionsPerSource = 2 } else { $0.connections = 2 }
        }
        let first = rig.connect()
        let second = rig.connect()
        let third = rig.connect()
        #expect(rig.ended.contains(third))
        #expect(!rig.ended.contains(first) && !rig.ended.contains(second))
        let counter: EngineCounter =
            ofSource ? .sourceConnectionLimitHits : .listenerConnectionLimitHits
        #expect(rig.proxy.counters[counter] == 1)
        rig.network.close(first)
        rig.settle()
        let fourth = rig.connect(sending: EngineRig.get)
        rig.answer()
        #expect(rig.status(fourth) == "200")
    }
}
