import DataPlane
import MeshModel
import Testing

/// The times that a listener's policy sets for its clients, by a clock that the test moves: shorter
/// and longer ones than the node's.
@Suite struct ListenerTimeTests {
    private static let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n"

    private func rig(_ change: (inout ListenerTimeouts) -> Void) throws -> EngineRig {
        let rig = try EngineRig()
        var settings = ListenerSettings()
        change(&settings.timeouts)
        rig.install(clusters: [[0]], listenerSettings: settings)
        return rig
    }

    @Test(arguments: [UInt64(3), 40])
    func aHeadEndsWithinTheListenersTime(seconds: UInt64) throws {
        let rig = try rig { $0.head = .seconds(Int64(seconds)) }
        let silent = rig.connect()
        let first = rig.connect(sending: "GET / HTTP/1.1\r\nho")
        let second = rig.connect(sending: EngineRig.get)
        rig.answer()
        rig.send(second, "GET / HTTP/1.1\r\nho")
        rig.pass(seconds: seconds - 1)
        #expect(rig.text(first).isEmpty && !rig.ended.contains(silent))
        rig.pass(seconds: 2)
        #expect(rig.status(first) == "408" && rig.ended.contains(silent))
        #expect(rig.text(second).hasPrefix("HTTP/1.1 200"))
        #expect(rig.text(second).contains("HTTP/1.1 408"))
        #expect(rig.proxy.counters[.headerTimeouts] == 3)
    }

    @Test(arguments: [UInt64(4), 50])
    func aBodyGoesOnWithinTheListenersTime(seconds: UInt64) throws {
        let rig = try rig { $0.body = .seconds(Int64(seconds)) }
        let client = rig.connect(sending: Self.post)
        rig.pass(seconds: seconds - 1)
        #expect(!rig.ended.contains(client) && rig.proxy.counters[.bodyTimeouts] == 0)
        rig.pass(seconds: 2)
        #expect(rig.proxy.counters[.bodyTimeouts] == 1)
    }

    @Test(arguments: [UInt64(5), 600])
    func anIdleConnectionIsKeptForTheListenersTime(seconds: UInt64) throws {
        let rig = try rig { $0.idle = .seconds(Int64(seconds)) }
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        rig.pass(seconds: seconds - 1)
        #expect(!rig.ended.contains(client))
        rig.pass(seconds: 2)
        #expect(rig.ended.contains(client))
        #expect(rig.proxy.counters[.idleTimeouts] == 1)
    }

    @Test func theyHoldForConnectionsOfHTTP2() throws {
        let rig = try rig {
            $0.idle = .seconds(5)
            $0.body = .seconds(2)
        }
        let client = HTTP2Client(rig)
        client.get(1)
        rig.answer()
        #expect(client.messages[1]?.text == "ok")
        rig.pass(seconds: 4)
        #expect(!rig.ended.contains(client.fd))
        rig.pass(seconds: 2)
        #expect(rig.ended.contains(client.fd))
        #expect(rig.proxy.counters[.idleTimeouts] == 1)
    }

    @Test func anotherViewsTimesHoldFromThenOn() throws {
        let rig = try rig { $0.idle = .seconds(5) }
        let client = rig.connect(sending: EngineRig.get)
        rig.answer()
        rig.install(clusters: [[0]])
        rig.send(client, EngineRig.get)
        rig.answer()
        rig.pass(seconds: 70)
        #expect(!rig.ended.contains(client))
        rig.pass(seconds: 10)
        #expect(rig.ended.contains(client))
    }
}
