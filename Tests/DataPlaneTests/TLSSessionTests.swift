import MeshModel
import Testing

@testable import DataPlane

@Suite struct TLSSessionTests {
    private func server(_ chain: String, _ key: String) throws -> TLSContext {
        try TLSContext.server(chainPEM: Array(chain.utf8), keyPEM: Array(key.utf8))
    }

    private func client(_ authority: String = TLSFixtures.authority) throws -> TLSContext {
        try TLSContext.client(authoritiesPEM: Array(authority.utf8))
    }

    private func first() throws -> TLSHostTable {
        TLSHostTable([
            (.exact("first.example"), try server(TLSFixtures.firstChain, TLSFixtures.firstKey))
        ])
    }

    /// `first` for its own name, `second` by wildcard, `renewed` for any other.
    private func three() throws -> TLSHostTable {
        TLSHostTable([
            (.exact("first.example"), try server(TLSFixtures.firstChain, TLSFixtures.firstKey)),
            (
                .wildcard(suffix: "second.example"),
                try server(TLSFixtures.secondChain, TLSFixtures.secondKey)
            ),
            (.any, try server(TLSFixtures.renewedChain, TLSFixtures.renewedKey)),
        ])
    }

    @Test(arguments: [TLSContext.version12, TLSContext.version13], [1, 7, 16_384])
    func bytesPassBothWaysHoweverTheyAreCut(version: Int32, piece: Int) throws {
        let context = try client()
        context.limit(toVersion: version)
        let pair = try #require(TLSPair(try first(), context))
        try pair.handshake(piece: piece)
        #expect(pair.client.isEstablished && pair.serverIsEstablished)
        let request = Array("GET / HTTP/1.1\r\n\r\n".utf8)
        let sent = unsafe try pair.client.send(request.span.bytes)
        _ = try pair.toClient(pair.toServer(sent, piece: piece))
        #expect(pair.heard == request)
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        _ = try pair.toClient(pair.answer(body))
        #expect(pair.answered == body)
    }

    @Test func aLargeBodyReachesTheServerWhole() throws {
        let pair = try #require(TLSPair(try first(), try client()))
        try pair.handshake()
        let body = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
        let sent = unsafe try pair.client.send(body.span.bytes)
        _ = pair.toServer(sent, piece: 65_536)
        #expect(pair.heard == body)
    }

    @Test(arguments: [
        ("first.example", TLSFixtures.authority),
        ("FIRST.example", TLSFixtures.authority),
        ("a.second.example", TLSFixtures.authority),
    ])
    func theCertificateIsThatOfTheName(name: String, authority: String) throws {
        let pair = try #require(TLSPair(try three(), try client(authority), name: name))
        try pair.handshake()
        #expect(pair.client.isEstablished)
    }

    @Test func anUnknownNameGetsTheDefault() throws {
        let pair = try #require(TLSPair(try three(), try client(), name: "other.example"))
        #expect(throws: TLSError.self) { try pair.handshake() }
        let context = try TLSContext.client(authoritiesPEM: [], verifies: false)
        let trusting = try #require(TLSPair(try three(), context, name: "other.example"))
        try trusting.handshake()
        #expect(trusting.client.isEstablished)
    }

    @Test func withoutADefaultAnUnknownNameIsRefused() throws {
        let context = try TLSContext.client(authoritiesPEM: [], verifies: false)
        let pair = try #require(TLSPair(try first(), context, name: "other.example"))
        try pair.handshake()
        #expect(pair.serverError != nil && !pair.client.isEstablished)
    }

    @Test(arguments: [
        (["http/1.1", "h2"], true), (["h2"], true), (["http/1.1"], false), ([], false),
        (["spdy/1"], false),
    ])
    func http2IsChosenWhereItIsOffered(offer: [String], speaksHTTP2: Bool) throws {
        let context = try client()
        if !offer.isEmpty { context.offer(offer) }
        let pair = try #require(TLSPair(try first(), context))
        try pair.handshake()
        #expect(pair.serverIsEstablished)
        #expect(pair.session?.speaksHTTP2 == speaksHTTP2)
    }

    @Test func aNewTableHoldsForNewHandshakesAndBreaksNoSession() throws {
        var hosts = try first()
        let old = try #require(TLSPair(hosts, try client()))
        try old.handshake()
        hosts = TLSHostTable([
            (.exact("first.example"), try server(TLSFixtures.renewedChain, TLSFixtures.renewedKey))
        ])
        let new = try #require(TLSPair(hosts, try client(TLSFixtures.renewedChain)))
        try new.handshake()
        #expect(new.client.isEstablished)
        let stale = try #require(TLSPair(hosts, try client()))
        #expect(throws: TLSError.self) { try stale.handshake() }
        let text = Array("still here".utf8)
        _ = try old.toClient(old.answer(text))
        #expect(old.answered == text)
    }

    @Test(arguments: ["10.0.0.1", "127.0.0.1"])
    func aServerIsVerifiedByItsAddress(address: String) throws {
        let pair = try #require(
            TLSPair(try three(), try client(), name: address, isAddress: true)
        )
        // Without a name the default answers, which the authority did not sign.
        #expect(throws: TLSError.self) { try pair.handshake() }
        let only = TLSHostTable([
            (.any, try server(TLSFixtures.firstChain, TLSFixtures.firstKey))
        ])
        let other = try #require(TLSPair(only, try client(), name: address, isAddress: true))
        if address == "127.0.0.1" {
            try other.handshake()
            #expect(other.client.isEstablished)
        } else {
            #expect(throws: TLSError.self) { try other.handshake() }
        }
    }

    @Test func aServerOfAnotherNameOrAuthorityIsRefused() throws {
        let only = TLSHostTable([
            (.any, try server(TLSFixtures.firstChain, TLSFixtures.firstKey))
        ])
        let other = try #require(TLSPair(only, try client(), name: "other.example"))
        #expect(throws: TLSError.self) { try other.handshake() }
        let stranger = try #require(TLSPair(only, try client(TLSFixtures.renewedChain)))
        #expect(throws: TLSError.self) { try stranger.handshake() }
        #expect(!stranger.client.isEstablished)
    }

    @Test(arguments: [
        Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), [UInt8](repeating: 0, count: 64),
        [22, 3, 1, 0, 5, 1, 0, 0, 1, 0], [21, 3, 3, 0, 2, 2, 40], [22, 3, 1, 255, 255, 1, 2, 3],
    ])
    func whatIsNotTLSIsRefusedWithAReason(bytes: [UInt8]) throws {
        let pair = try #require(TLSPair(try first(), try client()))
        _ = pair.toServer(bytes)
        let error = try #require(pair.serverError)
        #expect(error.description.contains("ClientHello"))
    }

    @Test func aRecordThatWasChangedIsRefused() throws {
        let pair = try #require(TLSPair(try first(), try client()))
        try pair.handshake()
        var sent = unsafe try pair.client.send(Array("secret".utf8).span.bytes)
        sent[sent.count - 1] ^= 1
        _ = pair.toServer(sent)
        #expect(pair.serverError != nil)
        #expect(pair.heard.isEmpty)
    }

    @Test func anOrderlyEndIsToldFromMissingBytes() throws {
        let pair = try #require(TLSPair(try first(), try client()))
        try pair.handshake()
        pair.session?.shutDown()
        _ = try pair.toClient(pair.takeOutput())
        #expect(pair.clientEnded)
        #expect(!pair.serverEnded && pair.serverError == nil)
    }

    @Test func bytesAreNotTakenBeforeTheHandshakeIsComplete() throws {
        let pair = try #require(TLSPair(try first(), try client()))
        #expect(pair.answer(Array("early".utf8)).isEmpty)
    }

    @Test(arguments: [
        ("", TLSFixtures.firstKey, "certificate"), ("junk", TLSFixtures.firstKey, "certificate"),
        (TLSFixtures.firstChain, "", "key"), (TLSFixtures.firstChain, "junk", "key"),
        (TLSFixtures.firstChain, TLSFixtures.secondKey, "not the key"),
        (TLSFixtures.firstChain, TLSFixtures.encryptedKey, "key"),
        (TLSFixtures.weakChain, TLSFixtures.weakKey, "bits"),
    ])
    func materialThatCannotServeIsRefusedWithAReason(chain: String, key: String, word: String) {
        do {
            _ = try server(chain, key)
            Issue.record("accepted")
        } catch {
            #expect("\(error)".contains(word), "\(error)")
        }
    }
}
