import Addressing
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("192.0.2.7", "192.0.2.7"), ("::", "::"), ("::1", "::1"), ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1::", "1::"),
        ("::ffff:192.0.2.7", "192.0.2.7"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"),
    ])
    func textIsReadAndWrittenCanonically(input: String, canonical: String) throws {
        let address = try #require(IPAddress(input))
        #expect(address.description == canonical)
        #expect(IPAddress(address.description) == address)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", "a.b.c.d", ":", ":::", "1:2",
        "1::2::3", "1:2:3:4:5:6:7:8:9", "g::", "12345::", "::1.2.3", "+1::", "[::1]", "1.2.3.4/8",
    ])
    func malformedTextIsRefused(input: String) {
        #expect(IPAddress(input) == nil)
    }

    @Test func networkBytesRoundTrip() throws {
        for text in ["10.1.2.3", "2001:db8::42"] {
            let address = try #require(IPAddress(text))
            #expect(IPAddress(networkBytes: address.networkBytes) == address)
            #expect(IPAddress(networkBytes: address.mappedNetworkBytes) == address)
        }
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.1.1", true), ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false), ("::/0", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db8:1::1", true), ("2001:db8::/65", "2001:db8::8000:0:0:1", false),
        ("192.0.2.7/32", "192.0.2.7", true),
    ])
    func prefixesContainTheirOwnFamilyOnly(prefix: String, address: String, inside: Bool) throws {
        let block = try #require(IPPrefix(prefix))
        #expect(block.contains(try #require(IPAddress(address))) == inside)
    }

    @Test(arguments: ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/08", "x/8"])
    func prefixesWithStrayBitsOrBadLengthsAreRefused(text: String) {
        #expect(IPPrefix(text) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1:80", true), ("[::1]:443", true), ("::1:443", false), ("1.2.3.4", false),
    ])
    func socketAddressesNeedBracketsForIPv6(text: String, valid: Bool) {
        #expect((SocketAddress(text) != nil) == valid)
        if valid { #expect(SocketAddress(text)?.description == text) }
    }
}
