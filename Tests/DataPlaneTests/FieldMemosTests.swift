import Testing

@testable import DataPlane

@Suite struct FieldMemosTests {
    private static let sections = [
        "Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
            + "Accept: text/html\r\nX_Odd: 1\r\nConnection: keep-alive\r\n\r\n",
        "Host: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
            + "Accept: text/html\r\nConnection: close, x-hop\r\nX-Hop: one\r\n\r\n",
        "host: api.example:8080\r\ncontent-type: application/json; charset=utf-8\r\n"
            + "content-length: 12\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-01\r\n\r\n",
        "host: api.example:8080\r\ncontent-type: application/json; charset=utf-8\r\n"
            + "transfer-encoding: chunked\r\nte: trailers\r\n\r\n",
        "host: a\r\n\r\n",
    ]

    private struct Read: Equatable {
        var outcome: String
        var fields: [HeaderField] = []
    }

    private func read(
        _ bytes: [UInt8],
        _ memos: borrowing FieldMemos,
        limits: HeadLimits = HeadLimits()
    ) -> Read {
        var fields = [HeaderField](repeating: HeaderField(), count: 64)
        var table = fields.mutableSpan
        let outcome = unsafe HTTP1Head.parseRequest(
            bytes.span.bytes,
            into: &table,
            limits: limits,
            memos: memos
        )
        guard case .head(let head) = outcome else { return Read(outcome: "\(outcome)") }
        return Read(outcome: "\(head)", fields: Array(fields[..<head.fieldCount]))
    }

    @Test func headsThatResembleOneAnotherAreReadAsIfEachWereTheFirst() {
        let seed: UInt64 = 0x6d61_7274_6c65_7401
        var random = SplitMix(state: seed)
        let memos = FieldMemos()
        for round in 0..<20_000 {
            let path = String(repeating: "x", count: Int.random(in: 0..<20, using: &random))
            var bytes = Array("GET /\(path) HTTP/1.1\r\n".utf8)
            let start = bytes.count
            bytes += Array(Self.sections.randomElement(using: &random).map(\.utf8) ?? "".utf8)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let at = Int.random(in: start..<bytes.count, using: &random)
                bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeLast(Int.random(in: 0..<(bytes.count - start), using: &random))
            case 2: bytes += Array("GET / HTTP/1.1\r\nhost: next\r\n\r\n".utf8)
            default: break
            }
            let remembered = read(bytes, memos)
            #expect(
                remembered == read(bytes, FieldMemos(remembers: false)),
                "seed \(seed) round \(round)"
            )
        }
    }

    @Test func aSectionThatCameBeforeIsRecalledWhereverItBegins() throws {
        let memos = FieldMemos()
        let section = Self.sections[0]
        _ = read(Array("GET /first HTTP/1.1\r\n\(section)".utf8), memos)
        let bytes = Array("GET / HTTP/1.1\r\n\(section)".utf8)
        var fields = [HeaderField](repeating: HeaderField(), count: 64)
        var table = fields.mutableSpan
        let place = try #require(unsafe memos.place(bytes.span.bytes, 16))
        let isKnown = unsafe memos.knows(place, bytes.span.bytes, 16, HeadLimits(), 64)
        try #require(isKnown)
        let lines = memos.recall(place, 16, into: &table)
        #expect(lines.count == 5 && lines.end == bytes.count)
        #expect(Array(fields[..<5]) == read(bytes, FieldMemos(remembers: false)).fields)
    }

    @Test func whatIsRecalledKeepsWithinTheLimitsOfTheReader() {
        let memos = FieldMemos()
        let bytes = Array("GET / HTTP/1.1\r\n\(Self.sections[0])".utf8)
        _ = read(bytes, memos)
        var few = HeadLimits()
        few.fieldCountMax = 4
        #expect(
            read(bytes, memos, limits: few)
                == read(bytes, FieldMemos(remembers: false), limits: few)
        )
        var short = HeadLimits()
        short.fieldLineByteLimit = 40
        #expect(
            read(bytes, memos, limits: short)
                == read(bytes, FieldMemos(remembers: false), limits: short)
        )
        var small = HeadLimits()
        small.headByteLimit = 80
        #expect(
            read(bytes, memos, limits: small)
                == read(bytes, FieldMemos(remembers: false), limits: small)
        )
    }
}
