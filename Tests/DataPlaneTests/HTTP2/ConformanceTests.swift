import Testing

/// What HTTP/2 asks of a server, frame by frame (RFC 9113, RFC 7541). Where nghttp2 does otherwise
/// the cases say what it does: DATA on a half-closed stream is an error of the connection (section
/// 5.4.2 lets it be); DATA that lacks its padding length is PROTOCOL_ERROR, not FRAME_SIZE_ERROR;
/// SETTINGS that take a stream's window past 2^31-1 are an error of that stream.
enum ConformanceCorpus {
    typealias F = HTTP2Frames
    static let all =
        startingAndFrames + streams + dataAndHeaders + settingsAndPing + windowsAndContinuation
        + fields + pseudoFields + lengths + compression
}

@Suite struct ConformanceTests {
    /// Answers whole requests at once, those of `x-held` once the client's frames are all in.
    private func rig(_ transport: ConformanceTransport) throws -> SocketRig {
        let rig = try ConformancePeer.rig(transport)
        rig.answer = { head in
            if head.contains("x-held") { return nil }
            let isChunked = head.contains("transfer-encoding: chunked")
            guard !isChunked || head.contains("\r\n0\r\n") else { return nil }
            return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
        return rig
    }

    @Test(arguments: ConformanceTransport.allCases, ConformanceCorpus.all)
    func framesHaveTheOutcomeThatTheRFCAsksFor(
        transport: ConformanceTransport,
        item: ConformanceCase
    ) throws {
        let rig = try rig(transport)
        let peer = try #require(try ConformancePeer(rig, transport))
        peer.send((item.hasPreface ? HTTP2Frames.preface : []) + item.bytes)
        if case .status = item.outcome { release(rig) }
        switch item.outcome {
        case .status(let stream, let status):
            #expect(peer.run { peer.status(stream) != nil }, "\(peer.frames)")
            #expect(peer.status(stream) == status)
        case .stream(let stream, let code):
            #expect(peer.run { !peer.codes(3, stream: stream).isEmpty }, "\(peer.frames)")
            #expect(peer.codes(3, stream: stream) == [code.rawValue])
            #expect(peer.codes(7).isEmpty)
            #expect(peer.answersPing())
            let isServed = try Self.serves(peer, after: item)
            #expect(isServed)
        case .connection(let code):
            #expect(peer.run { peer.isClosed }, "\(peer.frames)")
            #expect(peer.codes(7) == [code.rawValue])
        case .ignored:
            #expect(peer.answersPing())
            let isServed = try Self.serves(peer, after: item)
            #expect(isServed)
            #expect(peer.codes(7).isEmpty && peer.codes(3).isEmpty)
        case .acknowledged(let type):
            #expect(peer.run { peer.frames.contains { $0.type == type && $0.flags == 1 } })
            #expect(peer.codes(7).isEmpty)
        }
    }

    private func release(_ rig: SocketRig) {
        rig.answer = { head in
            let isChunked = head.contains("transfer-encoding: chunked")
            guard !isChunked || head.contains("\r\n0\r\n") else { return nil }
            return "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        }
    }

    /// Whether a further request on the connection is served.
    private static func serves(_ peer: ConformancePeer, after item: ConformanceCase) throws -> Bool
    {
        if case .stream(257, _) = item.outcome { return true }
        peer.send(Wire.request(1_001))
        return peer.run { peer.status(1_001) == "200" }
    }

    @Test func theCorpusIsAsLargeAsThePublicOnes() {
        #expect(ConformanceCorpus.all.count >= 140)
        #expect(
            Set(ConformanceCorpus.all.map(\.testDescription)).count == ConformanceCorpus.all.count
        )
    }
}
