import MeshModel
import Testing

@testable import DataPlane

/// Endpoints of HTTP/2 that mean harm: what they do is bounded, and others are served.
@Suite struct HostileHTTP2EndpointTests {
    private func rig(_ count: Int = 1, limits: EngineLimits = EngineLimits()) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: count, limits: limits)
        var settings = BackendSettings()
        settings.version = .http2
        rig.install(clusters: [Array(0..<count)], settings: settings)
        return rig
    }

    private static let head = HTTP2Frames.headers(1, [(":status", "200")], ends: false)

    @Test func everyStreamResetAtOnceFailsItselfAlone() throws {
        let rig = try rig()
        let endpoint: HTTP2Endpoint
        let first = rig.connect(sending: EngineRig.get)
        endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.send(HTTP2Frames.frame(3, 0, 1, [0, 0, 0, 2]))
        #expect(rig.status(first) == "502")
        for number in 1..<300 {
            let client = rig.connect(sending: EngineRig.get)
            endpoint.send(HTTP2Frames.frame(3, 0, UInt32(2 * number + 1), [0, 0, 0, 2]))
            #expect(rig.status(client) == "502")
            rig.network.close(client)
        }
        rig.settle()
        #expect(rig.proxy.exchanges.count <= 1 && rig.upstreams[0].count == 1)
    }

    @Test func everyStreamRefusedEndsAfterThreeTries() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        for stream: UInt32 in [1, 3, 5] {
            endpoint.send(HTTP2Frames.frame(3, 0, stream, [0, 0, 0, 7]))
        }
        #expect(rig.status(client) == "503" && endpoint.heads.count == 3)
    }

    @Test func streamsThatAreNeverAllowedEndWithTheirTime() throws {
        let rig = try rig()
        _ = rig.connect(sending: EngineRig.get)
        var clients: [Int32] = []
        for _ in 0..<4 { clients.append(rig.connect(sending: EngineRig.get)) }
        var position = 0
        while position < rig.upstreams[0].count && position < 16 {
            _ = HTTP2Endpoint(rig, at: position, settings: [0, 3, 0, 0, 0, 0])
            position += 1
        }
        #expect(position < 16, "who takes no streams is not connected to without end")
        rig.pass(seconds: 61)
        rig.pass(seconds: 61)
        for client in clients { #expect(["503", "504"].contains(rig.status(client))) }
    }

    /// Heads past the bounds: a bomb of references to one long field, and a long list.
    @Test(arguments: [true, false])
    func aHeadPastItsBoundsFailsItsStream(_ isBomb: Bool) throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        var block = HTTP2Frames.block([(":status", "200")])
        if isBomb {
            let long = Array("x-long".utf8) + [0x7f, 0x81, 0x1e]
            block += [0x40, 6] + long + Array(repeating: 97, count: 4_000)
            block += Array(repeating: 0xbe, count: 8_000)
        } else {
            block += HTTP2Frames.block((0..<200).map { ("x-\($0)", "1") })
        }
        endpoint.send(HTTP2Frames.frame(1, 5, 1, block))
        #expect(rig.status(client) == "502")
        let counters = rig.proxy.counters
        #expect(
            counters[.http2HeaderListLimitHits] + counters[.http2FieldCountLimitHits] == 1
        )
        let honest = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(honest) == "200", "the table that both share is whole")
    }

    @Test(arguments: [
        HTTP2Frames.frame(4, 0, 0, [0, 4, 0, 0, 0, 1]), HTTP2Frames.window(0, 1),
        HTTP2Frames.frame(6, 0, 0, Array(repeating: 1, count: 8)),
        HTTP2Frames.frame(2, 0, 1, [0, 0, 0, 0, 9]),
    ])
    func aFloodOfFramesThatAnswerNothingEndsTheConnection(_ frame: [UInt8]) throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        for _ in 0..<40 where !rig.ended.contains(endpoint.fd) {
            endpoint.send((0..<50).flatMap { _ in frame })
        }
        #expect(rig.ended.contains(endpoint.fd) && rig.status(client) == "502")
        #expect(rig.proxy.counters[.http2ControlLimitHits] == 1)
    }

    @Test func aResponseBeforeTheRequestsEndIsPassedOn() throws {
        let rig = try rig()
        let head = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n"
        let client = rig.connect(sending: head + String(repeating: "x", count: 10))
        let endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.send(
            HTTP2Frames.headers(1, [(":status", "413"), ("content-length", "0")], ends: true),
            HTTP2Frames.frame(3, 0, 1, [0, 0, 0, 0])
        )
        #expect(rig.status(client) == "413")
        let honest = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(honest) == "200" && rig.upstreams[0].count == 1)
    }

    /// More than the length that was told, data behind the end, data before the head.
    @Test(arguments: [
        HTTP2Frames.headers(1, [(":status", "200"), ("content-length", "2")], ends: false)
            + HTTP2Frames.data(1, "surplus", ends: true),
        HTTP2Frames.data(1, "early", ends: false),
        HTTP2Frames.headers(1, [(":status", "101")], ends: false)
            + HTTP2Frames.data(1, "x", ends: true),
    ])
    func dataThatDoesNotBelongReachesNobody(_ bytes: [UInt8]) throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.send(bytes)
        let text = rig.text(client)
        #expect(!text.contains("surplus") && !text.contains("early") && !text.contains("101"))
        #expect(rig.status(client) == "502" || rig.ended.contains(client))
        let honest = rig.connect(sending: EngineRig.get)
        let isNew = rig.ended.contains(endpoint.fd)
        let next = isNew ? try #require(HTTP2Endpoint(rig)) : endpoint
        next.answer(next.frames(1).last?.stream ?? 1)
        #expect(rig.status(honest) == "200")
    }

    @Test func dataBehindTheEndReachesNobodyAndKeepsNothingOpen() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        endpoint.answer(1)
        for _ in 0..<12 where !rig.ended.contains(endpoint.fd) {
            endpoint.send(HTTP2Frames.data(1, "more", ends: false))
            rig.pass(seconds: 5)
        }
        #expect(rig.text(client).hasSuffix("\r\n\r\nok"))
        #expect(rig.ended.contains(endpoint.fd), "the pool's time ends it")
    }

    @Test func aWindowOfNothingHoldsAnUploadAndItsTimeEndsIt() throws {
        let rig = try rig()
        let fd = rig.connect(
            sending: "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9000000\r\n\r\n"
        )
        let endpoint = try #require(HTTP2Endpoint(rig, settings: [0, 4, 0, 0, 0, 0]))
        rig.send(fd, Array(repeating: 120, count: 2_000_000), turns: 200)
        #expect(rig.waitingByteCount(fd) > 1_500_000, "the client is not read any further")
        #expect(endpoint.body(1).utf8.count <= 65_535)
        let honest = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(honest) == "200")
        rig.pass(seconds: 61)
        #expect(rig.text(fd).hasPrefix("HTTP/1.1 50") || rig.ended.contains(fd))
        #expect(endpoint.frames(3).contains { $0.stream == 1 })
    }

    @Test func interimResponsesWithoutEndFailTheirStream() throws {
        let rig = try rig()
        let client = rig.connect(sending: EngineRig.get)
        let endpoint = try #require(HTTP2Endpoint(rig))
        for _ in 0..<200 {
            endpoint.send(HTTP2Frames.headers(1, [(":status", "103")], ends: false))
        }
        #expect(rig.text(client).contains("HTTP/1.1 502 "))
        let honest = rig.connect(sending: EngineRig.get)
        endpoint.answer(3)
        #expect(rig.status(honest) == "200")
    }
}
