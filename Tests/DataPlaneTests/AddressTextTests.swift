import Addressing
import Testing

@testable import DataPlane

@Suite struct AddressTextTests {
    private let scratch = ScratchBuffer(capacity: 64)

    private func text(_ body: (ScratchBuffer) -> Void) -> String {
        let target = ScratchBuffer(capacity: 64)
        body(target)
        return String(decoding: target.array(0, target.count), as: UTF8.self)
    }

    @Test(
        arguments: [
            ("0.0.0.0", 0), ("1.2.3.4", 5), ("10.20.99.100", 80), ("255.255.255.255", 65_535),
            ("127.0.0.1", 8_080), ("9.10.11.109", 10),
        ] as [(String, UInt16)]
    )
    func anIPv4AddressIsKeptAsItsText(host: String, port: UInt16) throws {
        let address = SocketAddress(try #require(IPAddress(host)), port)
        let kept = AddressText(address, scratch)
        #expect(text { kept.write(kept.byteCount, to: $0) } == "\(host):\(port)")
        #expect(text { kept.write(kept.hostByteCount, to: $0) } == host)
    }

    @Test func anIPv6AddressIsNotKept() throws {
        let address = SocketAddress(try #require(IPAddress("2001:db8::1")), 443)
        #expect(AddressText(address, scratch).byteCount == 0)
        #expect(AddressText(address, scratch).hostByteCount == 0)
    }
}
