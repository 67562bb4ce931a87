import Testing

@testable import DataPlane

/// Clients that attack HTTP/2, over real sockets: each is told why and closed, costs a bounded
/// amount, is reported, and leaves a client beside it served all the while.
@Suite struct HTTP2AbuseTests {
    /// One attack: what its client sends round by round, and what it is told.
    struct Attack: CustomTestStringConvertible, Sendable {
        var name: String
        var code: HTTP2Code
        /// Rounds within which it is to be over.
        var roundMax: Int
        /// Requests that may reach an endpoint.
        var requestMax: Int
        var round: @Sendable (UInt32) -> [UInt8]

        var testDescription: String { name }

        init(
            _ name: String,
            _ code: HTTP2Code = .calm,
            rounds: Int,
            requests: Int = 0,
            _ round: @escaping @Sendable (UInt32) -> [UInt8]
        ) {
            self.name = name
            self.code = code
            roundMax = rounds
            requestMax = requests
            self.round = round
        }

        /// Fifty streams a round.
        static func streams(
            _ name: String,
            requests: Int,
            _ stream: @escaping @Sendable (UInt32) -> [UInt8]
        ) -> Attack {
            Attack(name, rounds: 30, requests: requests) { round in
                (0..<50).flatMap { stream((round * 50 + $0) * 2 + 1) }
            }
        }

        /// A hundred frames a round.
        static func frames(_ name: String, first: [UInt8] = [], _ frame: [UInt8]) -> Attack {
            Attack(name, rounds: 12, requests: 1) { round in
                (round == 0 ? first : []) + (0..<100).flatMap { _ in frame }
            }
        }
    }

    private typealias F = HTTP2Frames
    private static let bombStart: [UInt8] =
        Wire.get + [0x40, 1, 0x78, 0x7f, 0xa1, 0x1e] + [UInt8](repeating: 0x61, count: 4_000)

    static let attacks: [Attack] = [
        .streams("rapid reset", requests: 500) { Wire.request($0) + F.reset($0) },
        .streams("resets of streams by an overflown window", requests: 500) {
            Wire.open($0) + F.window($0, 0x7fff_ffff)
        },
        .streams("resets of streams by a wrong length", requests: 500) {
            Wire.open($0, [("content-length", "1")]) + Wire.data($0, 2, ends: true)
        },
        .streams("malformed requests", requests: 0) { Wire.request($0, [("connection", "close")]) },
        .streams("names of no length", requests: 0) { Wire.request($0, [("", "1"), ("", "2")]) },
        .streams("header lists past their limit", requests: 0) {
            Wire.request($0, (0..<140).map { ("x-\($0)", "1") })
        },
        Attack("a flood of empty CONTINUATION", rounds: 1) { _ in
            F.frame(1, 1, 1, Wire.get) + (0..<100).flatMap { _ in F.frame(9, 0, 1, []) }
        },
        Attack("a flood of full CONTINUATION", rounds: 2) { round in
            let field: [UInt8] =
                [0x00, 1, 0x78, 0x7f, 0x81, 0x7b] + Wire.zeros(0)
                + [UInt8](repeating: 0x61, count: 15_872)
            return (round == 0 ? F.frame(1, 1, 1, Wire.get) : [])
                + (0..<5).flatMap { _ in F.frame(9, 0, 1, field) }
        },
        Attack("a bomb of references to one large entry", rounds: 1) { _ in
            F.frame(1, 1, 1, bombStart) + F.frame(9, 4, 1, [UInt8](repeating: 0xbe, count: 12_000))
        },
        Attack("a bomb of many small fields", rounds: 1) { _ in
            F.frame(1, 5, 1, Wire.get + [UInt8](repeating: 0x90, count: 12_000))
        },
        .frames("a flood of SETTINGS", F.frame(4, 0, 0, [])),
        .frames("a flood of PING", Wire.ping),
        .frames("a flood of answers to no PING", F.frame(6, 1, 0, Wire.zeros(8))),
        .frames("a flood of PRIORITY", Wire.priority(1, on: 0)),
        .frames("a flood of WINDOW_UPDATE", F.window(0, 1)),
        .frames("a flood of empty DATA", first: Wire.open(1), Wire.data(1, 0)),
        .frames("a flood of padded empty DATA", first: Wire.open(1), F.frame(0, 8, 1, [2, 0, 0])),
        .frames(
            "a response taken byte by byte",
            first: Wire.settings(4, 0) + Wire.request(1, [("x-large", "1")]),
            F.window(1, 1)
        ),
        Attack("a connection's window past its limit", .flowControl, rounds: 1) { _ in
            F.window(0, 0x7fff_ffff)
        },
        Attack("a stream's id that was passed over", .protocolError, rounds: 1, requests: 1) { _ in
            Wire.request(9) + Wire.request(3)
        },
    ]

    private func answer(_ head: String) -> String? {
        if head.contains("x-large") {
            return "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
                + String(repeating: "x", count: 100_000)
        }
        guard head.contains("GET /honest") else { return nil }
        return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    }

    private func expectServed(_ peer: ConformancePeer, _ stream: UInt32) {
        peer.send(Wire.altered(stream, ":path", "/honest"))
        #expect(peer.run { peer.status(stream) == "200" }, "the client beside it is served")
    }

    @Test(arguments: ConformanceTransport.allCases, attacks)
    func anAttackerIsToldAndClosedWhileAnotherClientIsServed(
        transport: ConformanceTransport,
        attack: Attack
    ) throws {
        let reports = AbuseReports()
        let rig = try ConformancePeer.rig(transport, listener: reports)
        rig.answer = answer
        let honest = try #require(try ConformancePeer(rig, transport))
        honest.send(HTTP2Frames.preface)
        let attacker = try #require(try ConformancePeer(rig, transport))
        attacker.send(HTTP2Frames.preface)
        expectServed(honest, 1)
        var round: UInt32 = 0
        while !attacker.isClosed && round < attack.roundMax {
            attacker.send(attack.round(round))
            round += 1
            expectServed(honest, round * 2 + 1)
            #expect(rig.proxy.exchanges.count <= 129 && rig.proxy.pool.usedCount <= 300)
        }
        #expect(attacker.run { attacker.isClosed }, "after \(round) rounds")
        #expect(attacker.codes(7) == [attack.code.rawValue])
        #expect(reports.count >= 1)
        #expect(rig.proxy.counters[.protocolErrors] >= 1)
        let others = rig.heads.count { !$0.contains("/honest") }
        #expect(others <= attack.requestMax, "requests that reached the endpoint")
        expectServed(honest, 1_001)
        #expect(rig.run { rig.proxy.exchanges.count == 0 }, "nothing of it is left")
        #expect(honest.codes(7).isEmpty && honest.codes(3).isEmpty)
    }

    @Test(arguments: ConformanceTransport.allCases)
    func anAttackerThatReadsNothingQueuesNoMoreThanItsBudget(
        transport: ConformanceTransport
    ) throws {
        let reports = AbuseReports()
        let rig = try ConformancePeer.rig(transport, listener: reports)
        rig.answer = answer
        let honest = try #require(try ConformancePeer(rig, transport))
        honest.send(HTTP2Frames.preface)
        let attacker = try #require(try ConformancePeer(rig, transport))
        attacker.send(HTTP2Frames.preface)
        rig.unread.insert(attacker.fd)
        var round: UInt32 = 0
        while reports.count == 0 && round < 20 {
            attacker.send((0..<100).flatMap { _ in HTTP2Frames.frame(4, 0, 0, []) + Wire.ping })
            round += 1
            expectServed(honest, round * 2 + 1)
            #expect(rig.proxy.pool.usedCount <= 64)
        }
        #expect(reports.count == 1)
        rig.unread.remove(attacker.fd)
        #expect(attacker.run { attacker.isClosed })
        #expect(attacker.codes(7) == [HTTP2Code.calm.rawValue])
        #expect(attacker.frames.count <= 1_100, "answers stop with the budget")
    }

    @Test func whatIsRefusedReachesNoEndpoint() throws {
        for item in ConformanceCorpus.fields + ConformanceCorpus.pseudoFields {
            guard case .stream = item.outcome, !item.name.contains("trailers") else { continue }
            let rig = try SocketRig()
            let peer = try #require(try ConformancePeer(rig, .cleartext))
            peer.send(HTTP2Frames.preface + item.bytes)
            #expect(peer.run { !peer.codes(3).isEmpty }, "\(item.testDescription)")
            #expect(rig.heads.isEmpty && rig.upstreams.isEmpty, "\(item.testDescription)")
        }
    }
}
