import DataPlane
import Testing

@Suite struct ChunkedDecoderTests {
    private static let coded = Array(
        ("5\r\nhello\r\n00a;name=\"v\tx\"\r\n 0123\r\n567\r\n1 ;a\r\nZ\r\n"
            + "0;last\r\nX-Sum: 1\r\nY:\r\n\r\nGET /next").utf8
    )
    private static let body = "hello 0123\r\n567Z"
    private static let following = 9

    static let faults: [(String, HTTP1Fault)] = [
        ("\r\n", .chunkSizeInvalid),
        ("g\r\n", .chunkSizeInvalid),
        (" 5\r\n", .chunkSizeInvalid),
        ("+5\r\n", .chunkSizeInvalid),
        ("0x5\r\n", .chunkSizeInvalid),
        ("-1\r\n", .chunkSizeInvalid),
        ("5 5\r\n", .chunkSizeInvalid),
        ("8000000000000000\r\n", .chunkSizeInvalid),
        ("00000000000000005\r\n", .chunkSizeInvalid),
        ("5\nhello", .chunkSizeInvalid),
        ("5\rhello", .chunkSizeInvalid),
        ("5;a\nhello", .chunkExtensionInvalid),
        ("5;a\u{0}\r\n", .chunkExtensionInvalid),
        ("5;" + String(repeating: "a", count: 1_100), .chunkExtensionTooLong),
        ("5\r\nhelloX", .chunkEndInvalid),
        ("5\r\nhello\n", .chunkEndInvalid),
        ("5\r\nhello\rX", .chunkEndInvalid),
        ("0\r\n\n", .trailerInvalid),
        ("0\r\n: a\r\n", .trailerInvalid),
        ("0\r\n a: b\r\n", .trailerInvalid),
        ("0\r\na : b\r\n", .trailerInvalid),
        ("0\r\na: b\n", .trailerInvalid),
        ("0\r\na: b\u{0}\r\n", .trailerInvalid),
        ("0\r\na: b\rc", .trailerInvalid),
        ("0\r\n\rX", .trailerInvalid),
        ("0\r\na: " + String(repeating: "b", count: 8_200), .trailersTooLarge),
    ]

    private enum Outcome: Equatable {
        case open(String)
        case ended(String, left: Int)
        case fault(HTTP1Fault)
    }

    /// Decodes pieces one after the other, as they would arrive.
    private func decode(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        var decoder = ChunkedDecoder()
        var body: [UInt8] = []
        for (index, piece) in pieces.enumerated() {
            var rest = Array(piece)
            while true {
                let step = rest.withRawSpan { decoder.next($0) }
                switch step {
                case .data(let range):
                    body += rest[range]
                    rest.removeFirst(range.upperBound)
                    continue
                case .needMore(let consumed):
                    if consumed != rest.count { return .open("left \(rest.count - consumed)") }
                case .end(let consumed):
                    let later = pieces[(index + 1)...].reduce(0) { $0 + $1.count }
                    let text = String(decoding: body, as: UTF8.self)
                    return .ended(text, left: rest.count - consumed + later)
                case .fault(let fault): return .fault(fault)
                }
                break
            }
        }
        return .open(String(decoding: body, as: UTF8.self))
    }

    @Test func aBodyIsTheSameHoweverItIsCut() {
        let coded = Self.coded
        let wanted = Outcome.ended(Self.body, left: Self.following)
        #expect(decode([coded[...]]) == wanted)
        #expect(decode(coded.indices.map { coded[$0..<($0 + 1)] }) == wanted)
        for first in 0...coded.count {
            #expect(decode([coded[..<first], coded[first...]]) == wanted)
            for second in first...coded.count {
                let pieces = [coded[..<first], coded[first..<second], coded[second...]]
                #expect(decode(pieces) == wanted)
            }
        }
    }

    @Test func aBodyThatIsNotCompleteStaysOpen() {
        let end = Self.coded.count - Self.following
        for count in 0..<end {
            guard case .open = decode([Self.coded[..<count]]) else {
                Issue.record("ended after \(count) of \(end) bytes")
                return
            }
        }
    }

    @Test(arguments: faults)
    func brokenCodingIsRefusedByNameHoweverItIsCut(text: String, fault: HTTP1Fault) {
        let bytes = Array(text.utf8)
        #expect(decode([bytes[...]]) == .fault(fault))
        #expect(decode(bytes.indices.map { bytes[$0..<($0 + 1)] }) == .fault(fault))
    }

    @Test func theLargestChunkIsReadWithoutOverflow() {
        let bytes = Array("7fffffffffffffff\r\nabc".utf8)
        #expect(decode([bytes[...]]) == .open("abc"))
    }
}
