import Addressing
import DataPlane
import L4Proxy
import MeshModel
import Testing

/// The PROXY protocol in front of relayed connections, read and written.
@Suite struct RelayProxyProtocolTests {
    private static let line = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"

    private final class Counts {
        var seen: [EngineCounter: Int] = [:]
    }

    private func rig(
        _ acceptance: ProxyProtocolSettings.Acceptance,
        trusting prefix: String = "127.0.0.0/8",
        writing version: UInt8 = 0,
        listens: [Int] = [0, 1, 2],
        endpoints: [SocketAddress] = [RelayRig.endpoints[0]],
        _ counts: Counts = Counts()
    ) throws -> RelayRig {
        var settings = ProxyProtocolSettings()
        settings.acceptance = acceptance
        settings.trustedPrefixes = [try #require(IPPrefix(prefix))]
        let share = RelayShare(weight: 1, endpoints: endpoints, proxyProtocolVersion: version)
        let rig = try RelayRig([share], listens: listens, proxyProtocol: settings)
        rig.relay.count = { counts.seen[$0, default: 0] += 1 }
        return rig
    }

    @Test(arguments: [ProxyProtocolSettings.Acceptance.required, .optional])
    func aHeaderIsTakenAwayAndWhatStandsBehindItGoesOn(
        acceptance: ProxyProtocolSettings.Acceptance
    ) throws {
        let counts = Counts()
        let rig = try rig(acceptance, counts)
        let client = rig.connect()
        for byte in RelayProxyProtocolTests.line.utf8 { rig.send(client, [byte]) }
        #expect(rig.upstreams[0].count == 1, "the endpoint is connected once the header is whole")
        rig.send(client, Array("hello".utf8))
        #expect(rig.text(rig.upstreams[0][0]) == "hello")
        let second = rig.connect()
        rig.send(second, Array((RelayProxyProtocolTests.line + "at once").utf8))
        #expect(rig.text(rig.upstreams[0][1]) == "at once")
        rig.send(rig.upstreams[0][1], Array("back".utf8))
        #expect(rig.text(second) == "back")
        #expect(counts.seen == [.proxyHeaders: 2])
    }

    @Test(arguments: [UInt8(1), 2])
    func anEndpointIsToldOfTheClientThatWasNamed(version: UInt8) throws {
        let rig = try rig(.required, writing: version)
        let client = rig.connect()
        rig.send(client, Array((RelayProxyProtocolTests.line + "x").utf8))
        let ends = ProxyHeader.Ends(
            source: SocketAddress(IPAddress(192, 0, 2, 7), 56_324),
            destination: SocketAddress(IPAddress(198, 51, 100, 1), 443)
        )
        let header = ProxyHeader(ends: ends).bytes(version: version)
        #expect(rig.bytes(rig.upstreams[0][0]) == header + Array("x".utf8))
    }

    @Test func anEndpointIsToldOfTheSocketsPeerWhereNobodyIsNamed() throws {
        let rig = try rig(.off, writing: 1)
        let client = rig.connect()
        rig.send(client, Array("x".utf8))
        let text = rig.text(rig.upstreams[0][0])
        #expect(text.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 ") && text.hasSuffix(" 70\r\nx"))
    }

    @Test func anotherEndpointGetsAllOfIt() throws {
        let rig = try rig(
            .required,
            writing: 1,
            listens: [1],
            endpoints: [RelayRig.endpoints[0], RelayRig.endpoints[1]]
        )
        for _ in 0..<2 {
            let client = rig.connect()
            rig.send(client, Array((RelayProxyProtocolTests.line + "x").utf8))
        }
        #expect(rig.upstreams[1].count == 2)
        for fd in rig.upstreams[1] { #expect(rig.text(fd) == RelayProxyProtocolTests.line + "x") }
    }

    static let hostile: [(String, ProxyProtocolSettings.Acceptance, String, String)] = [
        ("a stranger's header", .optional, "203.0.113.0/24", line),
        ("a stranger where one must come", .required, "203.0.113.0/24", line),
        ("no header where one must come", .required, "127.0.0.0/8", "hello"),
        ("a broken line", .required, "127.0.0.0/8", "PROXY TCP4 a b c d\r\n"),
        (
            "a line without end", .optional, "127.0.0.0/8",
            "PROXY UNKNOWN " + String(repeating: "x", count: 200)
        ),
    ]

    @Test(arguments: hostile)
    func whatMayNotBeginAConnectionEndsIt(
        name: String,
        acceptance: ProxyProtocolSettings.Acceptance,
        trusted: String,
        text: String
    ) throws {
        let counts = Counts()
        let rig = try rig(acceptance, trusting: trusted, counts)
        let client = rig.connect()
        rig.send(client, Array(text.utf8))
        #expect(rig.ended.contains(client) && rig.upstreams[0].isEmpty)
        #expect(counts.seen[.proxyHeadersRefused] == 1)
        #expect(rig.relay.pairCount == 0)
    }

    @Test func aHeaderThatDoesNotEndInTimeEndsTheConnection() throws {
        let counts = Counts()
        let rig = try rig(.required, counts)
        let client = rig.connect()
        rig.send(client, Array("PROXY TCP4 192.".utf8))
        rig.network.advance(nanoseconds: 6_000_000_000)
        rig.settle()
        #expect(rig.ended.contains(client))
        #expect(counts.seen == [.proxyHeaderTimeouts: 1])
    }

    @Test func whereItIsOptionalOtherBytesGoOn() throws {
        let rig = try rig(.optional)
        let client = rig.connect()
        rig.send(client, Array("hello".utf8))
        #expect(rig.text(rig.upstreams[0][0]) == "hello")
    }
}
