import MeshModel
import Testing

@testable import DataPlane

/// Clients of HTTP/1 that are slow on purpose, in cleartext and over TLS: each is ended by its
/// deadline, costs a bounded amount, is reported, and leaves a client beside it served all the
/// while.
@Suite struct SlowClientTests {
    /// What a client does: sends, then a byte at a time or nothing.
    struct Attack: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// The status it is answered with; empty where it cannot be.
        var status: String
        var start: String
        var dribble: [UInt8] = []
        /// Whether it leaves unread what comes.
        var isUnread = false
        var counter: EngineCounter
    }

    private static let post = "POST /slow HTTP/1.1\r\nHost: h\r\n"
    private static let endless = [UInt8](repeating: UInt8(ascii: "a"), count: 10_000)
    private static let largeByteCount = 8 << 20

    static let attacks = [
        Attack(
            testDescription: "half a request line",
            status: "408",
            start: "GET /sl",
            counter: .headerTimeouts
        ),
        Attack(
            testDescription: "a head without its end",
            status: "408",
            start: "GET /slow HTTP/1.1\r\nHost: h\r\n",
            counter: .headerTimeouts
        ),
        Attack(
            testDescription: "a head that dribbles",
            status: "408",
            start: "GET /slow HTTP/1.1\r\nHost: h\r\nX: ",
            dribble: endless,
            counter: .headerTimeouts
        ),
        Attack(
            testDescription: "a cookie that dribbles",
            status: "408",
            start:
                "GET /slow HTTP/1.1\r\nHost: h\r\nCookie: a=\(String(repeating: "b", count: 4_000))",
            dribble: endless,
            counter: .headerTimeouts
        ),
        Attack(
            testDescription: "a body that stops",
            status: "408",
            start: post + "Content-Length: 100000\r\n\r\nabc",
            counter: .bodyTimeouts
        ),
        Attack(
            testDescription: "a body that dribbles",
            status: "408",
            start: post + "Content-Length: 100000\r\n\r\n",
            dribble: endless,
            counter: .bodyTimeouts
        ),
        Attack(
            testDescription: "chunks that stop",
            status: "408",
            start: post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            counter: .bodyTimeouts
        ),
        Attack(
            testDescription: "a chunk's size that dribbles",
            status: "408",
            start: post + "Transfer-Encoding: chunked\r\n\r\n1;",
            dribble: endless,
            counter: .bodyTimeouts
        ),
        Attack(
            testDescription: "a response that is not read",
            status: "",
            start: "GET /slow/large HTTP/1.1\r\nHost: h\r\n\r\n",
            isUnread: true,
            counter: .sendTimeouts
        ),
    ]

    private static func limits() -> EngineLimits {
        var limits = EngineLimits()
        limits.headerTimeout = .milliseconds(600)
        limits.bodyTimeout = .milliseconds(600)
        limits.sendTimeout = .milliseconds(600)
        return limits
    }

    private static func answer(_ head: String) -> String? {
        if head.contains("/slow/large") {
            return "HTTP/1.1 200 OK\r\ncontent-length: \(largeByteCount)\r\n\r\n"
                + String(repeating: "x", count: largeByteCount)
        }
        return head.contains("/slow") ? nil : "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    }

    /// Requests that a client beside the attackers makes at least while they are there.
    private static let honestRequestMin = 12

    private func isServed(_ peer: ConformancePeer) -> Bool {
        peer.forget()
        peer.send(Array("GET /honest HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
        return peer.run { peer.text.hasSuffix("\r\n\r\nok") } && peer.statusCode == "200"
    }

    /// A proxy, a client that is served, and attackers that have begun.
    private func begin(
        _ transport: ConformanceTransport,
        _ attack: Attack,
        _ reports: AbuseReports
    ) throws -> (rig: SocketRig, honest: ConformancePeer, attackers: [ConformancePeer]) {
        let rig = try ConformancePeer.rig(transport, limits: Self.limits(), listener: reports)
        rig.answer = Self.answer
        let honest = try #require(try ConformancePeer(rig, transport, offering: "http/1.1"))
        #expect(isServed(honest))
        var attackers: [ConformancePeer] = []
        for _ in 0..<3 {
            let peer = try #require(try ConformancePeer(rig, transport, offering: "http/1.1"))
            if attack.isUnread { rig.unread.insert(peer.fd) }
            peer.send(Array(attack.start.utf8))
            attackers.append(peer)
        }
        return (rig, honest, attackers)
    }

    @Test(arguments: ConformanceTransport.allCases, attacks)
    func whoIsSlowOnPurposeIsEndedAndReportedWhileAnotherIsServed(
        transport: ConformanceTransport,
        attack: Attack
    ) throws {
        let reports = AbuseReports()
        let (rig, honest, attackers) = try begin(transport, attack, reports)
        var served = 0
        var place = 0
        while reports.count < attackers.count || served < Self.honestRequestMin {
            #expect(isServed(honest), "request \(served)")
            served += 1
            try #require(served < 1_000, "the attackers stay: \(reports.count) reports")
            for peer in attackers where place < attack.dribble.count && !peer.isClosed {
                peer.send([attack.dribble[place]])
                peer.look()
            }
            place += 1
            #expect(rig.proxy.exchanges.count <= attackers.count + 1)
            #expect(rig.proxy.pool.usedCount <= 20 * attackers.count)
        }
        #expect(reports.count == attackers.count)
        #expect(rig.proxy.counters[attack.counter] == UInt64(attackers.count))
        for peer in attackers {
            rig.unread.remove(peer.fd)
            #expect(peer.run { peer.isClosed })
            if !attack.isUnread { #expect(peer.statusCode == attack.status) }
        }
        let asked = rig.upstreams.filter { rig.text($0).contains("/slow ") }
        #expect(rig.run { asked.allSatisfy(rig.ended.contains) }, "endpoints are let go of")
        #expect(rig.run { rig.proxy.exchanges.count == 0 && rig.proxy.pool.usedCount <= 1 })
        #expect(isServed(honest))
    }

    @Test func aHandshakeThatDoesNotEndIsReportedWhileAnotherClientIsServed() throws {
        let reports = AbuseReports()
        var limits = EngineLimits()
        limits.handshakeTimeout = .milliseconds(600)
        let rig = try ConformancePeer.rig(.tls, limits: limits, listener: reports)
        let honest = try #require(try ConformancePeer(rig, .tls, offering: "http/1.1"))
        let silent = try rig.connect(sending: "")
        let hello = try #require(try TLSHello.bytes())
        let attackers = try [hello, Array(hello.prefix(40))].map { try rig.connect(sending: $0) }
        var served = 0
        while !attackers.allSatisfy(rig.ended.contains) || served < Self.honestRequestMin {
            #expect(isServed(honest), "request \(served)")
            served += 1
            try #require(served < 1_000)
        }
        #expect(rig.run { rig.ended.contains(silent) })
        #expect(rig.proxy.counters[.handshakeTimeouts] == 3)
        #expect(reports.count == 2, "who has sent nothing may only have come early")
    }

    @Test func aBodyOfFairPaceIsTaken() throws {
        let rig = try ConformancePeer.rig(.cleartext, limits: Self.limits())
        rig.answer = { $0.utf8.count > 11_000 ? Self.answer("/honest") : nil }
        let peer = try #require(try ConformancePeer(rig, .cleartext))
        let body = [UInt8](repeating: UInt8(ascii: "a"), count: 1_100)
        peer.send(Array("POST /fair HTTP/1.1\r\nHost: h\r\nContent-Length: 11000\r\n\r\n".utf8))
        for _ in 0..<10 {
            peer.send(body)
            for _ in 0..<5 { rig.settle() }
        }
        #expect(peer.run { peer.statusCode == "200" })
    }
}

/// The first bytes of a client of TLS.
enum TLSHello {
    static func bytes() throws -> [UInt8]? {
        let context = try TLSContext.client(authoritiesPEM: Array(TLSFixtures.authority.utf8))
        return try TLSClient(context, serverName: "first.example", isAddress: false)?.start()
    }
}
