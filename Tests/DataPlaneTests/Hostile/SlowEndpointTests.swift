import MeshModel
import Testing

@testable import DataPlane

/// Endpoints that are slow on purpose, over real sockets: what they hold is bounded and ends, and
/// other requests to the same endpoint are answered all the while.
@Suite struct SlowEndpointTests {
    private static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    private static let requestMin = 12

    /// What an endpoint does once it has been asked for `/slow`.
    struct Slowness: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// The status that clients get; what has begun is cut.
        var status: String
        var start = ""
        var dribble: [UInt8] = []
        var counter = EngineCounter.upstreamTimeouts
    }

    private static let letters = [UInt8](repeating: UInt8(ascii: "a"), count: 10_000)

    static let cases = [
        Slowness(testDescription: "it never answers", status: "504"),
        Slowness(
            testDescription: "it stops within its head",
            status: "504",
            start: "HTTP/1.1 200 OK\r\ncontent-"
        ),
        Slowness(
            testDescription: "its head dribbles",
            status: "504",
            start: "HTTP/1.1 200 OK\r\nx: ",
            dribble: letters
        ),
        Slowness(
            testDescription: "it stops behind an interim response",
            status: "504",
            start: "HTTP/1.1 103 Early Hints\r\n\r\n"
        ),
        Slowness(
            testDescription: "it stops within its body",
            status: "200",
            start: "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc"
        ),
        Slowness(
            testDescription: "it stops within a chunk",
            status: "200",
            start: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc"
        ),
        Slowness(
            testDescription: "a chunk's size dribbles",
            status: "200",
            start: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1;",
            dribble: letters
        ),
    ]

    private func isServed(_ rig: SocketRig, _ fd: Int32) -> Bool {
        _ = rig.take(fd)
        rig.send(fd, Array("GET /honest HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        return rig.run { rig.text(fd).hasSuffix("\r\n\r\nok") } && rig.status(fd) == "200"
    }

    private func slowUpstreams(_ rig: SocketRig) -> [Int32] {
        rig.upstreams.filter { rig.text($0).contains("/slow") }
    }

    /// A proxy whose endpoint answers everything but `/slow`.
    private func rig(_ settings: ListenerSettings = ListenerSettings()) throws -> SocketRig {
        var limits = EngineLimits()
        limits.upstreamIdleTimeout = .milliseconds(600)
        let rig = try SocketRig(limits: limits, settings: settings)
        rig.answer = { $0.contains("/slow") ? nil : Self.ok }
        return rig
    }

    @Test(arguments: cases)
    func itsRequestsEndWhileOthersAreAnswered(slowness: Slowness) throws {
        let rig = try rig()
        let honest = try rig.connect(sending: "")
        #expect(isServed(rig, honest))
        let clients = try (0..<4).map { _ in
            try rig.connect(sending: "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        }
        #expect(rig.run { slowUpstreams(rig).count == 4 })
        let upstreams = slowUpstreams(rig)
        for fd in upstreams { rig.send(fd, Array(slowness.start.utf8)) }
        var served = 0
        while !upstreams.allSatisfy(rig.ended.contains) || served < Self.requestMin {
            #expect(isServed(rig, honest), "request \(served)")
            if served < slowness.dribble.count {
                for fd in upstreams where !rig.ended.contains(fd) {
                    rig.send(fd, [slowness.dribble[served]])
                }
            }
            served += 1
            try #require(served < 1_000, "its requests go on")
            #expect(rig.proxy.exchanges.count <= 5 && rig.proxy.pool.usedCount <= 16)
        }
        #expect(rig.proxy.counters[slowness.counter] == 4)
        for fd in clients {
            #expect(rig.run { rig.text(fd).contains("HTTP/1.1 \(slowness.status) ") })
            if slowness.status == "200" {
                #expect(rig.run { rig.ended.contains(fd) }, "what has begun is cut")
            }
        }
        #expect(rig.run { rig.proxy.exchanges.count == 0 && rig.proxy.pool.usedCount <= 1 })
        #expect(isServed(rig, honest))
    }

    @Test func aBodyThatDribblesEndsByTheRequestsTime() throws {
        var settings = ListenerSettings()
        settings.timeouts.request = .milliseconds(600)
        let rig = try rig(settings)
        let honest = try rig.connect(sending: "")
        let client = try rig.connect(sending: "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(rig.run { slowUpstreams(rig).count == 1 })
        let upstream = try #require(slowUpstreams(rig).first)
        rig.send(upstream, Array("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".utf8))
        var served = 0
        while !rig.ended.contains(upstream) || served < Self.requestMin {
            #expect(isServed(rig, honest))
            served += 1
            try #require(served < 1_000)
            if !rig.ended.contains(upstream) { rig.send(upstream, [UInt8(ascii: "a")]) }
        }
        #expect(rig.run { rig.ended.contains(client) })
        #expect(rig.proxy.counters[.requestTimeouts] == 1)
    }

    @Test(arguments: ["Content-Length: 2097152", "Transfer-Encoding: chunked"])
    func anEndpointThatDoesNotReadHoldsItsClientUpAndNothingElse(framing: String) throws {
        let rig = try rig()
        let honest = try rig.connect(sending: "")
        #expect(isServed(rig, honest))
        rig.readsUpstream = { !$0.contains("/slow") }
        let body = [UInt8](repeating: UInt8(ascii: "0"), count: 2 << 20)
        let isChunked = framing.hasPrefix("T")
        let head = "POST /slow HTTP/1.1\r\nHost: h\r\n\(framing)\r\n\r\n"
        let size = isChunked ? Array("200000\r\n".utf8) : []
        let clients = try (0..<4).map { _ in
            try rig.connect(sending: Array(head.utf8) + size + body)
        }
        var served = 0
        while rig.proxy.counters[.upstreamTimeouts] < 4 || served < Self.requestMin {
            #expect(isServed(rig, honest), "request \(served)")
            served += 1
            try #require(served < 1_000)
            #expect(rig.proxy.pool.usedCount <= 40, "what is not taken is not received")
        }
        for fd in clients {
            #expect(rig.run { rig.text(fd).contains("HTTP/1.1 504 ") })
        }
        #expect(rig.run { rig.proxy.exchanges.count == 0 })
        #expect(isServed(rig, honest))
    }
}

/// Large bodies that are to be sent again.
@Suite struct LargeRetryTests {
    private static let byteCount = 2 << 20

    private func put(_ rig: EngineRig, _ count: Int, _ text: (Int) -> String?) -> (Int, Int32) {
        let body = String(repeating: "0123456789abcdef", count: count / 16)
        let head = "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: \(count)\r\n\r\n"
        let client = rig.connect(sending: head)
        rig.send(client, Array(body.utf8), turns: 600)
        let first = rig.upstreams.indices.first { rig.requestCount($0) > 0 } ?? -1
        if let answer = text(first) { rig.answer(answer, by: first) }
        return (first, client)
    }

    private func rig(limits: EngineLimits = EngineLimits()) throws -> EngineRig {
        let rig = try EngineRig(endpointCount: 2, limits: limits)
        var retries = RetrySettings()
        retries.conditions = [.gatewayError]
        rig.install(clusters: [[0, 1]]) { $0.retries = retries }
        return rig
    }

    @Test func aBodyPastTheBoundHasOneTryAndIsNotKept() throws {
        let rig = try rig()
        let (first, client) = put(rig, Self.byteCount) { _ in nil }
        #expect(rig.forwarded(to: first).utf8.count > Self.byteCount, "it is passed on whole")
        #expect(rig.proxy.pool.usedCount <= 40, "and not held")
        rig.answer(EngineRig.status(503), by: first)
        rig.pass(seconds: 1)
        #expect(rig.status(client) == "503")
        #expect(rig.requestCount(1 - first) == 0)
        #expect(rig.proxy.counters[.retryBodyLimitHits] == 1)
        let (_, next) = rig.ask()
        #expect(rig.text(next) == EngineRig.ok)
    }

    @Test func aBodyWithinTheBoundGoesOutAgainWholeAndIsThenForgotten() throws {
        var limits = EngineLimits()
        limits.retryBodyByteLimit = 4 << 20
        let rig = try rig(limits: limits)
        let (first, client) = put(rig, Self.byteCount) { _ in nil }
        let sent = rig.forwarded(to: first)
        rig.answer(EngineRig.status(503), by: first)
        rig.pass(seconds: 1)
        rig.settle(600)
        let again = rig.forwarded(to: 1 - first)
        #expect(again.utf8.count >= Self.byteCount)
        #expect(again.split(separator: "\r\n\r\n").last == sent.split(separator: "\r\n\r\n").last)
        rig.answer(by: 1 - first)
        #expect(rig.status(client) == "200")
        #expect(rig.proxy.pool.usedCount <= 2)
    }

    @Test func manyBodiesThatAreKeptLeaveBuffersToOthers() throws {
        var limits = EngineLimits()
        limits.bufferBlockMax = 128
        let rig = try rig(limits: limits)
        let head = "PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n"
        let part = [UInt8](repeating: 48, count: 900_000)
        for round in 0..<8 {
            let client = rig.connect(sending: head)
            rig.send(client, part, turns: 200)
            #expect(rig.proxy.pool.usedCount <= 96)
            let (_, honest) = rig.ask()
            #expect(rig.status(honest) == "200", "round \(round)")
        }
        #expect(rig.proxy.counters[.retryBodyLimitHits] >= 6)
    }
}
