import DataPlane
import MeshModel
import Testing

/// Endpoints that break off, at every byte.
@Suite struct HostileTryTests {
    private static let response = Array(
        "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 4\r\n\r\nbody".utf8
    )
    private static let headByteCount = response.count - 4

    private func rig(retries: Bool) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: 2)
        guard retries else { return rig }
        var settings = RetrySettings()
        settings.conditions = [.reset]
        rig.install(clusters: [[0, 1]]) { $0.retries = settings }
        return rig
    }

    /// What a client has of a response of which `count` bytes came before the end.
    private func broken(_ rig: EngineRig, at count: Int) throws -> (other: Int, client: Int32) {
        let (first, client) = rig.ask(EngineRig.get) { _ in nil }
        let upstream = try #require(rig.upstreams[first].last)
        rig.send(upstream, Array(Self.response.prefix(count)))
        rig.network.close(upstream)
        rig.settle()
        return (1 - first, client)
    }

    @Test func aResponseThatBreaksOffAtAnyByteIsNeverTakenForWhole() throws {
        for count in 0..<Self.response.count {
            let rig = try rig(retries: false)
            let (_, client) = try broken(rig, at: count)
            #expect(rig.status(client) == (count < Self.headByteCount ? "502" : "200"), "\(count)")
            #expect(!rig.text(client).hasSuffix("body"))
            #expect(rig.ended.contains(client) == (count >= Self.headByteCount), "\(count)")
        }
    }

    @Test func beforeTheEndOfTheHeadAnotherEndpointAnswersAndAfterItNobody() throws {
        for count in 0..<Self.response.count {
            let rig = try rig(retries: true)
            let (other, client) = try broken(rig, at: count)
            rig.pass(seconds: 1)
            if count < Self.headByteCount {
                #expect(rig.requestCount(other) == 1, "\(count)")
                rig.answer(by: other)
                #expect(rig.text(client) == EngineRig.ok, "\(count)")
            } else {
                #expect(rig.requestCount(other) == 0, "\(count)")
                #expect(rig.ended.contains(client), "\(count)")
            }
        }
    }

    @Test func anAnswerBeforeTheEndOfABodyReachesTheClientOnce() throws {
        for retries in [false, true] {
            let rig = try rig(retries: retries)
            let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n"
            let (first, client) = rig.ask(head + "some") { _ in
                "HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n"
            }
            rig.network.close(try #require(rig.upstreams[first].last))
            rig.send(client, "more")
            rig.pass(seconds: 1)
            #expect(rig.status(client) == "413")
            #expect(rig.text(client).split(separator: "HTTP/1.1 ").count == 1)
            #expect(rig.requestCount(1 - first) == 0)
        }
    }

    @Test func bytesBehindAResponseSpoilNoOther() throws {
        let rig = try rig(retries: true)
        let (first, client) = rig.ask(EngineRig.get) { _ in EngineRig.ok + EngineRig.status(500) }
        #expect(rig.text(client) == EngineRig.ok)
        let peer = try #require(rig.upstreams[first].last)
        #expect(rig.ended.contains(peer))
        let (_, next) = rig.ask()
        #expect(rig.text(next) == EngineRig.ok)
    }
}
