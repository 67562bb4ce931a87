import Addressing
import Testing

@testable import DataPlane

/// Headers of the PROXY protocol, byte by byte.
@Suite struct ProxyHeaderTests {
    static let source = SocketAddress(IPAddress(192, 0, 2, 1), 56_324)
    static let destination = SocketAddress(IPAddress(198, 51, 100, 1), 443)
    static let ends = ProxyHeader.Ends(source: source, destination: destination)

    private func read(_ bytes: [UInt8]) -> ProxyHeader.Outcome {
        bytes.withRawSpan { ProxyHeader.read($0) }
    }

    private func read(_ text: String) -> ProxyHeader.Outcome { read(Array(text.utf8)) }

    private static func binary(
        _ command: UInt8,
        _ family: UInt8,
        _ rest: [UInt8],
        count: Int? = nil
    ) -> [UInt8] {
        let count = count ?? rest.count
        return ProxyHeader.signature
            + [command, family, UInt8(count >> 8), UInt8(count & 255)] + rest
    }

    private static let addresses: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 1, 220, 4, 1, 187]

    static let good: [(String, [UInt8], ProxyHeader.Ends?)] = [
        ("TCP4", Array("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".utf8), ends),
        (
            "TCP6", Array("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n".utf8),
            ProxyHeader.Ends(
                source: SocketAddress(IPAddress(high: 0x2001_0db8_0000_0000, low: 1), 0),
                destination: SocketAddress(IPAddress(high: 0x2001_0db8_0000_0000, low: 2), 65_535)
            )
        ),
        ("UNKNOWN", Array("PROXY UNKNOWN\r\n".utf8), nil),
        ("UNKNOWN with more", Array("PROXY UNKNOWN ffff:f...f 1 b\r\n".utf8), nil),
        ("v2", binary(0x21, 0x11, addresses), ends),
        ("v2 with a record", binary(0x21, 0x11, addresses + [4, 0, 2, 0, 0]), ends),
        ("v2 LOCAL with a block", binary(0x20, 0xff, [1, 2, 3]), nil),
        ("v2 without addresses", binary(0x21, 0x00, []), nil),
        ("v2 of a local socket", binary(0x21, 0x31, [UInt8](repeating: 0, count: 216)), nil),
        (
            "v2 with a checksum",
            binary(
                0x21,
                0x11,
                addresses + [2, 0, 9] + Array("h.example".utf8) + [3, 0, 4, 0xc6, 0x49, 0xb4, 0x4f]
            ),
            ends
        ),
    ]

    @Test(arguments: good)
    func whatTheProtocolKnowsIsRead(name: String, bytes: [UInt8], ends: ProxyHeader.Ends?) {
        let wanted = ProxyHeader.Outcome.header(ProxyHeader(ends: ends), byteCount: bytes.count)
        #expect(read(bytes) == wanted)
        #expect(read(bytes + Array("GET /".utf8)) == wanted, "bytes behind the header are not its")
        for count in 0..<bytes.count {
            #expect(read(Array(bytes[..<count])) == .needMore, "\(count) bytes")
        }
    }

    static let broken: [String] = [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY \r\n",
    ]

    @Test(arguments: broken)
    func aBrokenLineIsNone(line: String) { #expect(read(line) == .fault(.malformed)) }

    @Test func aLineWithoutEndIsRefusedAtItsBound() {
        let long = "PROXY UNKNOWN " + String(repeating: "x", count: 200)
        #expect(read(String(long.prefix(106))) == .needMore)
        #expect(read(String(long.prefix(107))) == .fault(.tooLong))
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 107 - 16) + "\r\n"
        #expect(read(longest) == .header(ProxyHeader(ends: nil), byteCount: 107))
        // A bare line feed ends nothing.
        #expect(read("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n") == .needMore)
    }

    static let brokenBinary: [(String, [UInt8], ProxyHeader.Fault)] = [
        ("version 1", binary(0x11, 0x11, addresses), .malformed),
        ("version 3", binary(0x31, 0x11, addresses), .malformed),
        ("another command", binary(0x22, 0x11, addresses), .malformed),
        ("another family", binary(0x21, 0x41, addresses), .malformed),
        ("datagrams", binary(0x21, 0x12, addresses), .malformed),
        ("addresses cut short", binary(0x21, 0x11, Array(addresses.dropLast())), .malformed),
        ("IPv6 of IPv4's length", binary(0x21, 0x21, addresses), .malformed),
        ("half a record", binary(0x21, 0x11, addresses + [4, 0]), .malformed),
        ("a record past the end", binary(0x21, 0x11, addresses + [4, 0, 9, 0]), .malformed),
        ("a short checksum", binary(0x21, 0x11, addresses + [3, 0, 2, 0, 0]), .malformed),
        (
            "two checksums",
            binary(0x21, 0x11, addresses + [3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0]), .malformed
        ),
        (
            "a checksum of other bytes",
            binary(0x21, 0x11, addresses + [3, 0, 4, 0xde, 0xad, 0xbe, 0xef]), .checksum
        ),
        ("more than may be", binary(0x21, 0x11, addresses, count: 4_081), .tooLong),
        ("as much as can be said", binary(0x20, 0x00, [], count: 65_535), .tooLong),
    ]

    @Test(arguments: brokenBinary)
    func aBrokenBlockIsNone(name: String, bytes: [UInt8], fault: ProxyHeader.Fault) {
        #expect(read(bytes) == .fault(fault))
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n", "\r\n\r\nGET", "PROXYING /", "\u{16}",
    ])
    func whatIsNoHeaderIsAbsent(text: String) { #expect(read(text) == .absent) }

    @Test func theChecksumIsCRC32c() {
        // RFC 3720 appendix B.4: 32 bytes of zero.
        let zeros = [UInt8](repeating: 0, count: 32)
        #expect(zeros.withRawSpan { ProxyHeader.checksum($0, without: 8) } == 0x8a91_36aa)
    }

    @Test(arguments: [UInt8(1), 2], [ends, nil])
    func whatIsWrittenIsReadAgain(version: UInt8, ends: ProxyHeader.Ends?) {
        let header = ProxyHeader(ends: ends)
        let bytes = header.bytes(version: version)
        #expect(read(bytes) == .header(header, byteCount: bytes.count))
        #expect(bytes.first == (version == 1 ? UInt8(ascii: "P") : 13))
    }

    @Test func endsOfTwoFamiliesAreUnknownInALine() {
        let mixed = ProxyHeader(
            ends: ProxyHeader.Ends(
                source: ProxyHeaderTests.source,
                destination: SocketAddress(.loopbackIPv6, 80)
            )
        )
        #expect(mixed.bytes(version: 1) == Array("PROXY UNKNOWN\r\n".utf8))
        let bytes = mixed.bytes(version: 2)
        #expect(read(bytes) == .header(mixed, byteCount: bytes.count))
    }
}
