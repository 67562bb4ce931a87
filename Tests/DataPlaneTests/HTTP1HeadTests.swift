import Testing

@testable import DataPlane

/// SplitMix64, so that a seed repeats a run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}

@Suite struct HTTP1HeadTests {
    private static let browser = Array(
        ("\r\nPOST /shop/items?id=7 HTTP/1.1\r\nHost: shop.example.com:8080\r\n"
            + "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nX_Odd: 1\r\nEmpty:\r\n"
            + "Accept:\ttext/html, */*;q=0.8 \t\r\nConnection: keep-alive, X-Hop, upgrade\r\n"
            + "x-hop: gone\r\nUpgrade: websocket\r\nExpect: 100-Continue\r\n"
            + "Content-Length: 5\r\n\r\nHELLO").utf8
    )

    private static func text(_ bytes: [UInt8], _ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }

    /// Parses and returns the fields with the outcome.
    private func parse(_ bytes: [UInt8]) -> (RequestParse, [HeaderField]) {
        var fields = [HeaderField](repeating: HeaderField(), count: 64)
        var table = fields.mutableSpan
        let outcome = unsafe HTTP1Head.parseRequest(
            bytes.span.bytes,
            into: &table,
            limits: HeadLimits()
        )
        guard case .head(let head) = outcome else { return (outcome, []) }
        return (outcome, Array(fields[..<head.fieldCount]))
    }

    private func head(_ text: String) -> HTTP1RequestHead? {
        guard case .head(let head) = HeadText.request(Array(text.utf8)) else { return nil }
        return head
    }

    private func answer(_ text: String, requestIsHead: Bool = false) -> HTTP1ResponseHead? {
        let parse = HeadText.response(Array(text.utf8), requestIsHead: requestIsHead)
        guard case .head(let head) = parse else { return nil }
        return head
    }

    @Test func aBrowsersHeadIsCutIntoItsParts() throws {
        let bytes = Self.browser
        let (outcome, fields) = parse(bytes)
        guard case .head(let head) = outcome else {
            Issue.record("refused: \(outcome)")
            return
        }
        #expect(head.method == .post)
        #expect(head.headByteCount == bytes.count - 5)
        #expect(head.framing == .length(5))
        #expect(head.keepAlive && head.expectsContinue && head.hasUpgrade)
        let path = head.pathOffset..<(head.pathOffset + head.pathLength)
        #expect(Self.text(bytes, path) == "/shop/items?id=7")
        let authority = head.authorityOffset..<(head.authorityOffset + head.authorityLength)
        #expect(Self.text(bytes, authority) == "shop.example.com:8080")
        let wanted = [
            ("Host", "shop.example.com:8080"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("X_Odd", "1"), ("Empty", ""),
            ("Accept", "text/html, */*;q=0.8"), ("Connection", "keep-alive, X-Hop, upgrade"),
            ("x-hop", "gone"), ("Upgrade", "websocket"), ("Expect", "100-Continue"),
            ("Content-Length", "5"),
        ]
        try #require(fields.count == wanted.count)
        for (field, (name, value)) in zip(fields, wanted) {
            #expect(Self.text(bytes, field.nameRange) == name)
            #expect(Self.text(bytes, field.valueRange) == value)
            #expect(Self.text(bytes, field.lineRange).hasPrefix(name + ":"))
            #expect(Self.text(bytes, field.lineRange).hasSuffix("\r\n"))
        }
        #expect(fields[2].flags == .underscore)
        #expect(fields[5].flags == .hopByHop && fields[5].id == .connection)
        #expect(fields[6].flags == .hopByHop && fields[6].id == .other)
    }

    @Test func aHeadIsIncompleteAtEveryByteBeforeItsLast() {
        let end = Self.browser.count - 5
        for count in 0..<end {
            #expect(HeadText.request(Array(Self.browser[..<count])) == .needMore)
        }
        let response = Array("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nA: b\r\n\r\n".utf8)
        for count in 0..<response.count {
            #expect(HeadText.response(Array(response[..<count])) == .needMore)
        }
    }

    @Test func targetsHaveFourForms() {
        let absolute = head("GET http://A.example:81/x?y HTTP/1.1\r\nHost: other\r\n\r\n")
        #expect(absolute?.targetForm == .absolute)
        #expect(absolute?.authorityOffset == 11)
        #expect(absolute?.authorityLength == 12)
        #expect(absolute?.pathLength == 4)
        #expect(head("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n")?.pathLength == 0)
        #expect(head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")?.targetForm == .asterisk)
        let connect = head("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n")
        #expect(connect?.targetForm == .authority)
        #expect(connect?.authorityLength == 9)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false),
    ])
    func aConnectionIsKeptAsItsVersionAndOptionsSay(text: String, keeps: Bool) {
        #expect(head(text)?.keepAlive == keeps)
    }

    @Test func aResponsesBodyEndsAsMethodStatusAndFieldsSay() {
        let ok = "HTTP/1.1 200 OK\r\n"
        #expect(answer(ok + "Content-Length: 5\r\n\r\n")?.framing == .length(5))
        #expect(answer(ok + "Transfer-Encoding: Chunked\r\n\r\n")?.framing == .chunked)
        let open = answer(ok + "\r\n")
        #expect(open?.framing == .untilClose)
        #expect(open?.keepAlive == false)
        let head = answer(ok + "Content-Length: 5\r\n\r\n", requestIsHead: true)
        #expect(head?.framing == BodyFraming.none)
        #expect(head?.keepAlive == true)
        for status in [100, 101, 103, 204, 304] {
            let text = "HTTP/1.1 \(status)\r\n\r\n"
            #expect(answer(text)?.framing == BodyFraming.none)
            #expect(answer(text)?.isInterim == (status == 100 || status == 103))
        }
        #expect(answer("HTTP/1.1 304\r\nContent-Length: 5\r\n\r\n")?.keepAlive == true)
    }

    @Test(arguments: ["Content-Length: 5", "Transfer-Encoding: chunked"])
    func anAnswerThatAnnouncesABodyWhereNoneMayBeEndsItsConnection(field: String) {
        let head = answer("HTTP/1.1 204 No Content\r\n\(field)\r\n\r\n")
        #expect(head?.framing == BodyFraming.none)
        #expect(head?.keepAlive == false)
        #expect(answer("HTTP/1.1 204\r\nContent-Length: 0\r\n\r\n")?.keepAlive == true)
    }

    @Test(arguments: HeaderID.allCases.filter { $0 != .other })
    func aKnownNameIsRecognisedInAnyCaseAndNoOtherIs(id: HeaderID) {
        let name = Array("\(id.name)".utf8)
        let upper = name.map { $0 >= 0x61 && $0 <= 0x7a ? $0 - 0x20 : $0 }
        func identify(_ name: [UInt8]) -> HeaderID {
            (name + Array(": value".utf8)).withRawSpan {
                HeaderID.identify($0, offset: 0, count: name.count)
            }
        }
        #expect(identify(name) == id)
        #expect(identify(upper) == id)
        for index in name.indices {
            var changed = name
            changed[index] = changed[index] == 0x7a ? 0x71 : 0x7a
            #expect(identify(changed) != id)
        }
        #expect(name.withRawSpan { HeaderID.identify($0, offset: 0, count: name.count) } == id)
    }

    @Test func wordTestsAgreeWithByteTestsInEveryLane() {
        var random = SplitMix(state: 7)
        let clean = Array("abcxyzABCXYZ0189-".utf8)
        for byte in UInt8.min...UInt8.max {
            for lane in 0..<8 {
                var bytes = (0..<8).map { _ in clean.randomElement(using: &random) ?? 0x61 }
                bytes[lane] = byte
                let word = bytes.withRawSpan { $0.word(at: 0) }
                let isPlain = clean.contains(byte) || (0x61...0x7a).contains(byte | 0x20)
                let isName = isPlain && byte < 0x80 || (0x30...0x39).contains(byte)
                func first(_ mask: UInt64) -> Int { mask == 0 ? 8 : ByteScan.firstLane(mask) }
                #expect(first(ByteScan.notNameByte(word)) == (isName ? 8 : lane))
                let isControl = byte < 0x20 || byte == 0x7f
                #expect(first(ByteScan.controls(word)) == (isControl ? lane : 8))
                let isTarget = byte > 0x20 && byte < 0x7f && byte != 0x23
                #expect(first(ByteScan.notTargetByte(word)) == (isTarget ? 8 : lane))
            }
        }
    }

    /// The same decisions taken one byte at a time: the names and values, or `nil` for a fault.
    private func reference(_ bytes: [UInt8], from start: Int) -> (done: Bool, [[UInt8]])? {
        let tokens = Set(
            "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8
        )
        var found: [[UInt8]] = []
        var at = start
        while true {
            if at < bytes.count && bytes[at] == 0x0d {
                guard at + 1 < bytes.count else { return (false, []) }
                return bytes[at + 1] == 0x0a ? (true, found) : nil
            }
            let name = at
            while at < bytes.count && tokens.contains(bytes[at]) { at += 1 }
            guard at < bytes.count else { return (false, []) }
            guard bytes[at] == 0x3a, at > name else { return nil }
            found.append(Array(bytes[name..<at]))
            at += 1
            let value = at
            while at < bytes.count
                && (bytes[at] == 9 || (bytes[at] >= 0x20 && bytes[at] != 0x7f))
            {
                at += 1
            }
            guard at < bytes.count else { return (false, []) }
            guard bytes[at] == 0x0d else { return nil }
            guard at + 1 < bytes.count else { return (false, []) }
            guard bytes[at + 1] == 0x0a else { return nil }
            let blank: Set<UInt8> = [0x20, 0x09]
            let trimmed = bytes[value..<at].drop { blank.contains($0) }
            found.append(Array(trimmed.reversed().drop { blank.contains($0) }.reversed()))
            at += 2
        }
    }

    @Test(arguments: 0..<40)
    func randomHeadsAreReadAsOneByteAtATimeReadsThem(seed: UInt64) {
        var random = SplitMix(state: seed)
        let alphabet = Array("aZ09-_.:: \t\r\n\r\nxyzq\u{7f}\u{0}~(".utf8) + [0x80, 0xff]
        for _ in 0..<250 {
            var bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
            let start = bytes.count
            for _ in 0..<Int.random(in: 0..<6, using: &random) {
                bytes += Array("x-".utf8)
                for _ in 0..<Int.random(in: 0..<20, using: &random) {
                    bytes.append(UInt8.random(in: 0x61...0x7a, using: &random))
                }
                bytes += Array(": ".utf8)
                for _ in 0..<Int.random(in: 0..<30, using: &random) {
                    bytes.append(UInt8.random(in: 0x20...0x7e, using: &random))
                }
                bytes += Array("\r\n".utf8)
            }
            bytes += Array("\r\n".utf8)
            for _ in 0..<Int.random(in: 0..<3, using: &random) where bytes.count > start {
                let at = Int.random(in: start..<bytes.count, using: &random)
                bytes[at] = alphabet.randomElement(using: &random) ?? 0
            }
            compare(bytes, start, seed)
        }
    }

    private func compare(_ bytes: [UInt8], _ start: Int, _ seed: UInt64) {
        let (outcome, fields) = parse(bytes)
        switch (outcome, reference(bytes, from: start)) {
        case (.fault, nil), (.needMore, .some((false, _))): break
        case (.head, .some((true, let wanted))):
            var got: [[UInt8]] = []
            for field in fields.dropFirst() {
                got.append(Array(bytes[field.nameRange]))
                got.append(Array(bytes[field.valueRange]))
            }
            #expect(got == wanted, "seed \(seed): \(bytes)")
        default: Issue.record("seed \(seed): \(outcome) for \(bytes)")
        }
    }
}
