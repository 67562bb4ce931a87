import Testing

@testable import DataPlane

@Suite struct ClientHelloTests {
    private func hello(_ name: String, isAddress: Bool, _ protocols: [String]) throws -> [UInt8] {
        let context = try TLSContext.client(authoritiesPEM: [], verifies: false)
        if !protocols.isEmpty { context.offer(protocols) }
        let client = try #require(
            TLSClient(context, serverName: name, isAddress: isAddress)
        )
        return try client.start()
    }

    private func peek(_ bytes: [UInt8]) -> ClientHello.Outcome {
        unsafe ClientHello.peek(bytes.span.bytes)
    }

    @Test func nameAndProtocolsAreRead() throws {
        let full = try hello("a.example", isAddress: false, ["h2", "http/1.1"])
        #expect(
            peek(full) == .hello(serverName: "a.example", protocols: ["h2", "http/1.1"])
        )
        #expect(peek(full + [1, 2, 3]) == peek(full))
        let bare = try hello("192.0.2.1", isAddress: true, [])
        #expect(peek(bare) == .hello(serverName: nil, protocols: []))
    }

    @Test func aHelloIsIncompleteAtEveryByteBeforeItsLast() throws {
        let bytes = try hello("a.example", isAddress: false, ["h2"])
        for count in 0..<bytes.count { #expect(peek(Array(bytes[..<count])) == .needMore) }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}"])
    func otherProtocolsAreNotTLS(text: String) {
        #expect(peek(Array(text.utf8)) == .notTLS)
    }

    @Test func alertsAndOtherHandshakesAreNotHellos() {
        #expect(peek([21, 3, 3, 0, 2, 2, 40]) == .notTLS)
        #expect(peek([22, 3, 3, 0, 4, 2, 0, 0, 0]) == .notTLS)
        #expect(peek([22, 3, 1, 0, 0, 1]) == .malformed)
        #expect(peek([22, 3, 1, 0xff, 0xff, 1]) == .malformed)
        #expect(peek([22, 3, 1, 0, 4, 1, 1, 0, 0]) == .malformed)
        #expect(peek([22, 3, 1, 0, 4, 1, 0, 0, 0]) == .malformed)
    }

    /// Cuts the message of one record into records of `count` bytes each.
    private func cut(_ hello: [UInt8], _ count: Int) -> [UInt8] {
        let message = Array(hello.dropFirst(5))
        return stride(from: 0, to: message.count, by: count).flatMap { at in
            let piece = message[at..<min(at + count, message.count)]
            return [22, 3, 1, UInt8(piece.count >> 8), UInt8(piece.count & 0xff)] + piece
        }
    }

    @Test(arguments: [11, 50, 100, 400])
    func aHelloInSeveralRecordsIsReadWhole(count: Int) throws {
        let whole = try hello("a.example", isAddress: false, ["h2"])
        let pieces = cut(whole, count)
        #expect(peek(pieces) == (pieces.count / (count + 5) < 32 ? peek(whole) : .malformed))
        for count in 0..<pieces.count where peek(pieces) != .malformed {
            #expect(peek(Array(pieces[..<count])) == .needMore)
        }
    }

    @Test func aHelloInTooManyRecordsIsMalformed() throws {
        #expect(peek(cut(try hello("a.example", isAddress: false, []), 1)) == .malformed)
    }

    @Test(arguments: 0..<20)
    func aChangedHelloNeverReadsPastItsEnd(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let bytes = try hello("a.example", isAddress: false, ["h2", "http/1.1"])
        for _ in 0..<200 {
            var changed = bytes
            for _ in 0..<3 {
                let at = Int.random(in: 0..<changed.count, using: &random)
                changed[at] = UInt8.random(in: 0...255, using: &random)
            }
            if case .hello(let name?, _) = peek(changed) {
                #expect(name.utf8.count <= 255 && !name.isEmpty)
            }
        }
    }
}
