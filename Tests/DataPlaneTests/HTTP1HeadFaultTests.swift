import DataPlane
import Testing

/// Parses heads given as text, for tests.
enum HeadText {
    static func request(_ bytes: [UInt8], _ limits: HeadLimits = HeadLimits()) -> RequestParse {
        var fields = [HeaderField](repeating: HeaderField(), count: 64)
        var table = fields.mutableSpan
        return unsafe HTTP1Head.parseRequest(bytes.span.bytes, into: &table, limits: limits)
    }

    static func response(
        _ bytes: [UInt8],
        requestIsHead: Bool = false,
        _ limits: HeadLimits = HeadLimits()
    ) -> ResponseParse {
        var fields = [HeaderField](repeating: HeaderField(), count: 64)
        var table = fields.mutableSpan
        return unsafe HTTP1Head.parseResponse(
            bytes.span.bytes,
            requestIsHead: requestIsHead,
            into: &table,
            limits: limits
        )
    }
}

@Suite struct HTTP1HeadFaultTests {
    /// Small limits, so that a short text breaks each.
    static let limits = HeadLimits(
        startLineByteLimit: 200,
        fieldLineByteLimit: 100,
        headByteLimit: 600,
        fieldCountMax: 8,
        bodyByteLimit: 1_000
    )
    private static let line = "GET / HTTP/1.1\r\n"
    private static let host = "GET / HTTP/1.1\r\nHost: a\r\n"

    static let requests: [(String, HTTP1Fault)] =
        startLines + fieldLines + framing + [
            (line + "\r\n", .hostMissing),
            (host + "Host: a\r\n\r\n", .hostDuplicate),
            (line + "Host: a b\r\n\r\n", .authorityInvalid),
            (line + "Host: a,b\r\n\r\n", .authorityInvalid),
            (line + "Host: u@a\r\n\r\n", .authorityInvalid),
            (line + "Host: a:x\r\n\r\n", .authorityInvalid),
            (line + "Host: a:65536\r\n\r\n", .authorityInvalid),
            (line + "Host: []\r\n\r\n", .authorityInvalid),
            (line + "Host: [::1\r\n\r\n", .authorityInvalid),
            (line + "Host: [::1]x\r\n\r\n", .authorityInvalid),
            (host + "Connection: close, host\r\n\r\n", .connectionInvalid),
            (host + "Connection: Content-Length\r\n\r\n", .connectionInvalid),
            (host + "Connection: transfer-encoding\r\n\r\n", .connectionInvalid),
            (host + "Connection: a@b\r\n\r\n", .connectionInvalid),
            (
                host + "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n",
                .connectionOptionsExceeded
            ),
            (host + "Expect: 200-ok\r\n\r\n", .expectationUnsupported),
            ("GET /" + String(repeating: "a", count: 200) + " HTTP/1.1\r\n", .startLineTooLong),
            (host + "A: " + String(repeating: "a", count: 100), .fieldLineTooLong),
            (host + String(repeating: "a", count: 120), .fieldLineTooLong),
            (host + String(repeating: "A: b\r\n", count: 9) + "\r\n", .fieldCountExceeded),
            (
                host
                    + String(
                        repeating: "A: " + String(repeating: "b", count: 90) + "\r\n",
                        count: 7
                    ),
                .headTooLarge
            ),
        ]

    private static let startLines: [(String, HTTP1Fault)] = [
        (" / HTTP/1.1\r\n", .methodInvalid),
        ("G@T / HTTP/1.1\r\n", .methodInvalid),
        ("\u{16}\u{3}\u{1}", .methodInvalid),
        ("POST\u{0}\u{0}\u{0} / HTTP/1.1\r\n", .methodInvalid),
        ("GET\u{0} / HTTP/1.1\r\n", .methodInvalid),
        ("GET  / HTTP/1.1\r\n", .targetInvalid),
        ("GET /#a HTTP/1.1\r\n", .targetInvalid),
        ("GET /\u{e9} HTTP/1.1\r\n", .targetInvalid),
        ("GET /\u{7f} HTTP/1.1\r\n", .targetInvalid),
        ("GET a HTTP/1.1\r\n", .targetInvalid),
        ("GET * HTTP/1.1\r\n", .targetInvalid),
        ("GET ftp://a/ HTTP/1.1\r\n", .targetInvalid),
        ("GET http://a?b HTTP/1.1\r\n", .targetInvalid),
        ("GET http:///b HTTP/1.1\r\n", .authorityInvalid),
        ("GET http://u@a/ HTTP/1.1\r\n", .authorityInvalid),
        ("CONNECT /a HTTP/1.1\r\n", .authorityInvalid),
        ("GET / HTTX/1.1\r\n", .versionInvalid),
        ("GET /a b HTTP/1.1\r\n", .versionInvalid),
        ("GET / HTTP/1.1 \r\n", .versionInvalid),
        ("GET / HTTP/1x1\r\n", .versionInvalid),
        ("GET / \r\n\r\n", .versionInvalid),
        ("GET / HTTP/2.0\r\n", .versionUnsupported),
        ("GET / HTTP/1.2\r\n", .versionUnsupported),
        ("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
        ("GET / HTTP/1.1\rHost", .bareCarriageReturn),
        ("\rGET / HTTP/1.1\r\n", .bareCarriageReturn),
    ]

    private static let fieldLines: [(String, HTTP1Fault)] = [
        (host + ": b\r\n\r\n", .fieldNameEmpty),
        (host + "A(: b\r\n\r\n", .fieldNameInvalid),
        (host + "A\u{e9}: b\r\n\r\n", .fieldNameInvalid),
        (host + "A\r\n\r\n", .fieldNameInvalid),
        (host + "A : b\r\n\r\n", .spaceBeforeColon),
        (host + "A\t: b\r\n\r\n", .spaceBeforeColon),
        (host + "A: b\r\n c\r\n\r\n", .foldedLine),
        (host + "A: b\r\n\tc\r\n\r\n", .foldedLine),
        (host + " A: b\r\n\r\n", .foldedLine),
        (host + "A: b\nC: d\r\n\r\n", .bareLineFeed),
        (host + "\n", .bareLineFeed),
        (host + "A: b\rC: d\r\n\r\n", .bareCarriageReturn),
        (host + "\rA", .bareCarriageReturn),
        (host + "A: b\u{0}\r\n\r\n", .fieldValueInvalid),
        (host + "A: b\u{1}\r\n\r\n", .fieldValueInvalid),
        (host + "A: \u{7f}b\r\n\r\n", .fieldValueInvalid),
    ]

    private static let framing: [(String, HTTP1Fault)] =
        ["+1", "-1", "1,1", "1, 1", "1 1", "", "0x10", "1.0", "a", "9223372036854775808"].map {
            (host + "Content-Length: \($0)\r\n\r\n", .contentLengthInvalid)
        } + [
            (host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", .contentLengthDuplicate),
            (host + "Content-Length: 1\r\ncontent-length: 2\r\n\r\n", .contentLengthDuplicate),
            (
                host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                .lengthAndTransferEncoding
            ),
            (
                host + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
                .lengthAndTransferEncoding
            ),
            (
                host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                .transferEncodingDuplicate
            ),
            (host + "Transfer-Encoding: gzip, chunked\r\n\r\n", .transferCodingUnsupported),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                .transferEncodingInHTTP10
            ),
            (host + "Content-Length: 1001\r\n\r\n", .bodyTooLarge),
            (
                "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\n",
                .connectWithBody
            ),
        ]
        + [
            "", "identity", "gzip", "chunked, gzip", "chunked, chunked", "xchunked",
            "chunked;q=1", "\u{b}chunked", "chunked,", ",chunked",
        ].map { value in
            let fault: HTTP1Fault =
                value == "\u{b}chunked" ? .fieldValueInvalid : .transferEncodingInvalid
            return (host + "Transfer-Encoding: \(value)\r\n\r\n", fault)
        }

    static let responses: [(String, HTTP1Fault)] = [
        ("HTTX/1.1 200 OK\r\n\r\n", .versionInvalid),
        ("HTTP/1.7 200 OK\r\n\r\n", .versionUnsupported),
        ("HTTP/1.1 2x0 OK\r\n\r\n", .statusInvalid),
        ("HTTP/1.1 099 OK\r\n\r\n", .statusInvalid),
        ("HTTP/1.1 2000 OK\r\n\r\n", .statusInvalid),
        ("HTTP/1.1\t200 OK\r\n\r\n", .statusInvalid),
        ("HTTP/1.1 200 O\u{0}K\r\n\r\n", .fieldValueInvalid),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", .bareLineFeed),
        ("HTTP/1.1 200 OK\rA: b\r\n\r\n", .bareCarriageReturn),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", .spaceBeforeColon),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", .foldedLine),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", .contentLengthInvalid),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            .lengthAndTransferEncoding
        ),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInHTTP10),
    ]

    @Test(arguments: requests)
    func anAmbiguousRequestIsRefusedByNameAtEveryCut(text: String, fault: HTTP1Fault) {
        let bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        #expect(HeadText.request(bytes, Self.limits) == .fault(fault))
        for count in 0..<bytes.count {
            let parse = HeadText.request(Array(bytes[..<count]), Self.limits)
            if case .head = parse { Issue.record("a cut at \(count) is taken for a head") }
        }
    }

    @Test(arguments: responses)
    func anAmbiguousResponseIsRefusedByName(text: String, fault: HTTP1Fault) {
        let bytes = text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
        #expect(HeadText.response(bytes, Self.limits) == .fault(fault))
        for count in 0..<bytes.count {
            let parse = HeadText.response(Array(bytes[..<count]), Self.limits)
            if case .head = parse { Issue.record("a cut at \(count) is taken for a head") }
        }
    }

    @Test func everyFaultHasACase() {
        let seen = (Self.requests + Self.responses).map(\.1) + ChunkedDecoderTests.faults.map(\.1)
        for fault in HTTP1Fault.allCases {
            #expect(seen.contains(fault), "\(fault) is in no table")
        }
    }

    @Test func faultsAnswerWithTheStatusOfTheirKind() {
        let special: [HTTP1Fault: UInt16] = [
            .bodyTooLarge: 413, .startLineTooLong: 414, .expectationUnsupported: 417,
            .fieldLineTooLong: 431, .headTooLarge: 431, .fieldCountExceeded: 431,
            .trailersTooLarge: 431, .transferCodingUnsupported: 501, .versionUnsupported: 505,
        ]
        for fault in HTTP1Fault.allCases { #expect(fault.status == special[fault] ?? 400) }
    }
}
