import Addressing
import DataPlane
import MeshModel
import Testing

@testable import PluginRuntime

@Suite struct SourceGuardTests {
    private func guardBinding(_ more: [String: JSONValue] = [:]) -> PluginBinding {
        let members: [String: JSONValue] = [
            "statuses": .array([.integer(401)]), "offences": .integer(3), "window": .string("10s"),
            "block": .string("30s"),
        ]
        return Sample.binding("sourceGuard", members.merging(more) { $1 })
    }

    private func rig(_ more: [String: JSONValue] = [:]) throws -> PluginRig {
        let rig = try PluginRig()
        rig.install([
            [Sample.keyAuth([("authorization", "HEADER")]), guardBinding(more)],
            [guardBinding(more)],
        ])
        return rig
    }

    @Test func asManyRefusalsAsConfiguredEarnOneBlockOfTheSocketsPeer() throws {
        let rig = try rig()
        for _ in 0..<2 {
            #expect(rig.status("/", ["authorization: x", "x-forwarded-for: 9.9.9.9"]) == "401")
        }
        #expect(rig.blocks.isEmpty)
        #expect(rig.status("/", ["authorization: x", "x-forwarded-for: 9.9.9.9"]) == "401")
        let block = try #require(rig.blocks.first)
        #expect(rig.blocks.count == 1)
        #expect(block.source == .loopbackIPv4)
        #expect(block.listener == 0)
        #expect(block.destination == PluginRig.entrance)
        #expect(block.ttlNanoseconds == 30_000_000_000)
        #expect(block.owner == .plugin(name: "sourceGuard", policy: Sample.policy))
        #expect(block.reason.contains("3 refusals"))
        #expect(!block.dryRun)
    }

    @Test func answersOfOtherStatusesAreNoOffences() throws {
        let rig = try rig()
        for _ in 0..<6 { #expect(rig.status("/1") == "200") }
        #expect(rig.blocks.isEmpty)
    }

    @Test func refusalsFurtherApartThanTheWindowEarnNothing() throws {
        let rig = try rig()
        for _ in 0..<6 {
            _ = rig.status("/", ["authorization: x"])
            rig.network.advance(nanoseconds: 6_000_000_000)
        }
        #expect(rig.blocks.isEmpty)
    }

    @Test func protocolAbuseIsAnOffence() throws {
        let rig = try rig()
        for _ in 0..<3 { _ = rig.ask("GET / HTTP/1.1\r\nHost: h\r\nBad Header: 1\r\n\r\n") }
        #expect(rig.blocks.count == 1)
    }

    /// What a client does that abuses its connection: bytes, then seconds in which it does nothing.
    struct Abuse: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var bytes: [UInt8]
        var seconds: UInt64 = 0
        /// Whether it leaves unread what comes.
        var reads = true

        static func http2(_ name: String, _ frames: [UInt8]) -> Abuse {
            let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
            return Abuse(
                testDescription: name,
                bytes: Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + settings + frames
            )
        }
    }

    private static let http2Get: [UInt8] = [0x82, 0x86, 0x84, 0x41, 1, 0x68]

    private static func http2Stream(_ number: Int) -> [UInt8] {
        let id = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: (number * 2 + 1) >> $0) }
        let reset = [0, 0, 4, 3, 0] + id + [0, 0, 0, 8]
        return [0, 0, UInt8(http2Get.count), 1, 5] + id + http2Get + reset
    }

    static let abuses: [Abuse] = [
        Abuse(
            testDescription: "a slow head",
            bytes: Array("GET / HTTP/1.1\r\nHo".utf8),
            seconds: 11
        ),
        Abuse(
            testDescription: "a slow body",
            bytes: Array("POST / HTTP/1.1\r\nHost: h\r\ncontent-length: 9\r\n\r\nab".utf8),
            seconds: 31
        ),
        Abuse(
            testDescription: "a response that is not read",
            bytes: Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8),
            seconds: 31,
            reads: false
        ),
        .http2("HTTP/2: rapid reset", (0..<300).flatMap(http2Stream)),
        .http2(
            "HTTP/2: a flood of PING",
            (0..<1_200).flatMap { _ in
                [0, 0, 8, 6, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8)
            }
        ),
        .http2(
            "HTTP/2: a flood of CONTINUATION",
            [0, 0, UInt8(http2Get.count), 1, 1, 0, 0, 0, 1] + http2Get
                + (0..<100).flatMap { _ in [0, 0, 0, 9, 0, 0, 0, 0, 1] as [UInt8] }
        ),
    ]

    @Test(arguments: abuses)
    func abuseEarnsABlock(abuse: Abuse) throws {
        let rig = try rig(["offences": .integer(2)])
        rig.install([[guardBinding(["offences": .integer(2)])]])
        rig.reply =
            Array("HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n".utf8)
            + [UInt8](repeating: 120, count: 900_000)
        let streams = (0..<2).map { _ in
            let stream = PluginStream(rig)
            stream.reads = abuse.reads
            return stream
        }
        for stream in streams { stream.send(abuse.bytes) }
        if abuse.seconds > 0 {
            #expect(rig.blocks.isEmpty)
            streams[0].pass(seconds: abuse.seconds)
        }
        let block = try #require(rig.blocks.first)
        #expect(rig.blocks.count == 1 && block.source == .loopbackIPv4)
        #expect(block.owner == .plugin(name: "sourceGuard", policy: Sample.policy))
    }

    @Test(arguments: ["", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"])
    func aConnectionThatIsOnlyIdleIsNoOffence(text: String) throws {
        let rig = try rig(["offences": .integer(1)])
        let stream = PluginStream(rig)
        stream.send(Array(text.utf8))
        stream.pass(seconds: 100)
        #expect(stream.hasEnded && rig.blocks.isEmpty)
    }

    @Test(arguments: BlockRefusal.allCases)
    func aRefusedBlockIsCountedByItsReason(reason: BlockRefusal) throws {
        let rig = try rig()
        rig.verdict = .refused(reason)
        for _ in 0..<3 { _ = rig.status("/", ["authorization: x"]) }
        rig.verdict = .granted
        for _ in 0..<3 { _ = rig.status("/", ["authorization: x"]) }
        let use = PluginUse(name: "sourceGuard", policy: Sample.policy)
        let counts = try #require(rig.proxy.filterStore.countsByUse[use])
        #expect(counts.blocksAsked == 2)
        for other in BlockRefusal.allCases {
            #expect(counts.blocksRefused(other) == (other == reason ? 1 : 0))
        }
    }

    @Test func aDryRunSaysSo() throws {
        let rig = try rig(["dryRun": .bool(true)])
        for _ in 0..<3 { _ = rig.status("/", ["authorization: x"]) }
        #expect(rig.blocks.map(\.dryRun) == [true])
    }

    @Test func itStandsBeforeAuthentication() {
        let sorted = PluginRegistry.shipped.sorted([
            Sample.keyAuth([("a", "HEADER")]), guardBinding(),
        ])
        #expect(sorted.map(\.name) == ["sourceGuard", "keyAuth"])
    }

    @Test(
        arguments: [
            (["offences": .integer(0)], "offences: expected an integer of 1...64, found 0"),
            (["offences": .integer(65)], "offences: expected an integer of 1...64, found 65"),
            (["block": .string("61s")], "block: expected at most \"60s\", found 61.0 seconds"),
            (
                ["window": .string("10")],
                "window: expected a duration such as \"10s\", above zero, found \"10\""
            ),
            (
                ["statuses": .array([.integer(99)])],
                "statuses: expected codes of 100...599, found 99"
            ),
            (["dryRun": .string("yes")], "dryRun: expected true or false, found \"yes\""),
            (["burst": .integer(1)], "burst: unknown field"),
        ] as [([String: JSONValue], String)]
    )
    func whatIsNotAConfigurationIsRefusedWithItsReason(
        members: [String: JSONValue],
        reason: String
    ) {
        let fault = PluginRegistry.shipped.fault(of: "sourceGuard", Sample.object(members))
        #expect(fault == reason)
    }

    @Test func anEmptyConfigurationHasTheDefaultsOfTheContract() throws {
        let settings = try SourceGuard.Settings(Sample.object([:]))
        #expect(settings.statuses == [401, 403, 429])
        #expect(settings.offences == 5)
        #expect(settings.window == .seconds(10))
        #expect(settings.block == .seconds(30))
        #expect(!settings.dryRun)
    }
}

@Suite struct OffenceTableTests {
    private let source = IPAddress(192, 0, 2, 7)

    private func record(
        _ table: OffenceTable,
        _ source: IPAddress,
        at milliseconds: UInt64,
        policy: UInt64 = 1,
        offences: Int = 5
    ) -> Bool {
        table.record(
            source,
            policy: policy,
            offences: offences,
            windowMilliseconds: 10_000,
            nowMilliseconds: milliseconds
        )
    }

    @Test func theWindowSlides() {
        let table = OffenceTable()
        let early: [UInt64] = [1_000, 10_000, 10_500, 11_500]
        #expect(early.allSatisfy { !record(table, source, at: $0) })
        #expect(!record(table, source, at: 12_000))
        #expect(record(table, source, at: 12_500))
    }

    @Test func afterABlockTheCountBeginsAnew() {
        let table = OffenceTable()
        let verdicts = (0..<15).map { record(table, source, at: 1_000 + UInt64($0)) }
        #expect(verdicts.indices.filter { verdicts[$0] } == [4, 9, 14])
    }

    @Test func sourcesAndPoliciesAreCountedApart() {
        let table = OffenceTable()
        for second in 0..<4 {
            #expect(!record(table, source, at: 1_000 + UInt64(second)))
            #expect(!record(table, source, at: 1_000 + UInt64(second), policy: 2))
            #expect(!record(table, IPAddress(192, 0, 2, 8), at: 1_000 + UInt64(second)))
        }
        #expect(record(table, source, at: 2_000))
    }

    @Test func aFullTableForgetsSourcesAndCountsThem() {
        let table = OffenceTable()
        for number in 0..<UInt32(4_096 * 4) {
            _ = record(table, IPAddress(v4: 0x0a00_0000 + number), at: 1_000 + UInt64(number))
        }
        #expect(table.evictionCount > 0)
        #expect(record(table, source, at: 99_000, offences: 1))
    }
}
