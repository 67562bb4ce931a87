import Addressing
import MeshModel
import Testing

@testable import XDPEngine

/// Frames of every form against a listener's block on port 80: dropped exactly when the frame is TCP
/// to that port, whatever lies before it.
@Suite struct ShieldParsingTests {
    private static let v4 = PacketBuilder.ethernet()
        .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node)
    private static let v6 = PacketBuilder.ethernet()
        .ipv6(from: ShieldFixture.attacker6, to: ShieldFixture.node6)

    private func shield() throws -> ShieldFixture {
        let shield = try ShieldFixture()
        let listener = ListenerID(namespace: "ns", gateway: "web", name: "http")
        for source in [ShieldFixture.attacker, ShieldFixture.attacker6] {
            try shield.engine.addBlock(
                ShieldFixture.block(source, scope: .listener(listener), port: 80)
            )
        }
        return shield
    }

    private static func tagged(_ tags: [UInt16]) -> PacketBuilder {
        tags.reduce(PacketBuilder.ethernet()) { $0.vlan(5, tag: $1) }
            .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node)
    }

    private static func chained(_ kinds: [UInt8]) -> PacketBuilder {
        kinds.reduce(v6) { $0.extensionHeader($1) }
    }

    static let frames: [(String, PacketBuilder, PacketReason)] = [
        ("IPv4", v4.tcp(port: 80), .dropBlockListener),
        ("IPv4, another port", v4.tcp(port: 8080), .passClean),
        ("IPv4, UDP", v4.udp(port: 80), .passClean),
        (
            "IPv4 with options",
            PacketBuilder.ethernet()
                .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node, words: 8)
                .tcp(port: 80), .dropBlockListener
        ),
        ("IPv6", v6.tcp(port: 80), .dropBlockListener),
        ("IPv6, another port", v6.tcp(port: 8080), .passClean),
        ("VLAN", tagged([0x8100]).tcp(port: 80), .dropBlockListener),
        ("QinQ", tagged([0x88a8, 0x8100]).tcp(port: 80), .dropBlockListener),
        ("three tags", tagged([0x88a8, 0x8100, 0x8100]).tcp(port: 80), .passVLANDepth),
        ("ARP", PacketBuilder.ethernet().type(0x0806).payload(28), .passNotIP),
        (
            "six extension headers", chained([0, 43, 60, 60, 60, 60]).tcp(port: 80),
            .dropBlockListener
        ),
        ("an authentication header", v6.authenticationHeader().tcp(port: 80), .dropBlockListener),
        (
            "seven extension headers", chained([0, 43, 60, 60, 60, 60, 60]).tcp(port: 80),
            .dropHeaderChain
        ),
        (
            "a chain that leaves the window", v6.extensionHeader(60, extraUnits: 30).tcp(port: 80),
            .dropHeaderChain
        ),
        (
            "IPv4 first fragment",
            PacketBuilder.ethernet()
                .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node, more: true)
                .tcp(port: 80), .dropBlockListener
        ),
        (
            "IPv4 later fragment",
            PacketBuilder.ethernet()
                .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node, fragment: 185)
                .tcp(port: 80), .passFragment
        ),
        (
            "IPv6 first fragment", v6.fragmentHeader(offset: 0, more: true).tcp(port: 80),
            .dropBlockListener
        ),
        (
            "IPv6 later fragment", v6.fragmentHeader(offset: 185, more: false).tcp(port: 80),
            .passFragment
        ),
        (
            "IPv6 atomic fragment", v6.fragmentHeader(offset: 0, more: false).tcp(port: 80),
            .dropBlockListener
        ),
        (
            "IPv4 header length below five",
            PacketBuilder.ethernet()
                .ipv4(from: ShieldFixture.attacker, to: ShieldFixture.node, words: 4)
                .tcp(port: 80), .passMalformed
        ),
    ]

    @Test(arguments: frames.indices)
    func everyFormOfFrameCountsUnderItsReason(index: Int) throws {
        let (name, builder, expected) = ShieldParsingTests.frames[index]
        let shield = try shield()
        #expect(try shield.reason(builder.frame()) == expected, "\(name)")
    }

    /// Padding after the IP packet's end is not a transport header, though it looks like one.
    @Test func paddingIsNotReadAsPorts() throws {
        let shield = try shield()
        var frame = ShieldParsingTests.v4.tcp(port: 80).frame()
        frame.replaceSubrange(16..<18, with: [0, 20])
        #expect(try shield.reason(frame) == .passMalformed)
        var frame6 = ShieldParsingTests.v6.tcp(port: 80).frame()
        frame6.replaceSubrange(18..<20, with: [0, 0])
        #expect(try shield.reason(frame6) == .passMalformed)
    }

    /// Cut anywhere, a frame is dropped only where its port can be seen, and never misread.
    @Test(
        arguments: [
            v4.tcp(port: 80), v6.tcp(port: 80), tagged([0x88a8, 0x8100]).tcp(port: 80),
            chained([0, 43, 60]).tcp(port: 80),
            v6.fragmentHeader(offset: 0, more: true).tcp(port: 80),
        ].map { $0.payload(40).frame() }
    )
    func cutAtEveryByteAFrameIsNeverMisread(frame: [UInt8]) throws {
        let shield = try shield()
        let transport = try #require(frame.firstRange(of: [0x9c, 0x40, 0, 80])).lowerBound
        // The kernel takes no test frame shorter than an Ethernet header.
        for count in 14...frame.count {
            let reason = try shield.reason(Array(frame.prefix(count)))
            let expected: PacketReason =
                count >= transport + 4 ? .dropBlockListener : .passMalformed
            #expect(reason == expected, "at \(count) of \(frame.count)")
        }
    }

    /// Headers that lie across buffers are read all the same.
    @Test func headersBeyondTheFirstBufferAreRead() throws {
        let shield = try shield()
        let large = ShieldParsingTests.v6.extensionHeader(60, extraUnits: 4).tcp(port: 80)
            .payload(9000).frame()
        #expect(try shield.reason(large) == .dropBlockListener)
        for firstBuffer in [14, 20, 54, 60, 94, 101, 200] {
            #expect(
                try shield.reason(large, firstBuffer: firstBuffer) == .dropBlockListener,
                "first buffer of \(firstBuffer) bytes"
            )
        }
    }
}
