import DataPlane
import LinuxSystem
import Testing

/// The text access log: what its operators write, and which formats are refused.
@Suite struct LogFormatTests {
    private func lines(
        _ format: String,
        _ requests: [String],
        answer: String = "HTTP/1.1 204 No Content\r\n\r\n"
    ) throws -> [String] {
        let path = "/tmp/martlet-text-log-\(UInt64.random(in: 0...UInt64.max))"
        let writer = try LogWriter(path: path, workerCount: 1)
        let rig = try ProxyRig(log: writer.rings[0], logFormat: LogFormat(format))
        for request in requests {
            _ = rig.connect(sending: request)
            rig.answer(answer)
        }
        rig.network.advance(nanoseconds: 1_000_000_000)
        rig.settle()
        writer.stop()
        defer { _ = try? FileSystem.remove(path) }
        let bytes = try FileSystem.read(path, byteLimit: 1 << 24)
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static let get =
        "GET /a?b=c HTTP/1.1\r\nhost: shop.test\r\nx-one: 1\r\n"
        + "x-request-id: id-7\r\n\r\n"

    @Test(arguments: [
        ("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%", "GET /a?b=c HTTP/1.1"),
        ("%REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(X-One)% %REQ(none)%", "shop.test http 1 -"),
        ("%REQ(:AUTHORITY):4%|%REQ(HOST)%", "shop|shop.test"),
        ("%RESP(SERVER)% %RESP(None?X-Two)% %RESP(x)%", "own 22 -"),
        ("%RESP(X-Two):1%%%", "2%"),
        ("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", "200 - via_upstream"),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "0 3"),
        ("%UPSTREAM_HOST% %UPSTREAM_CLUSTER%", "127.0.0.1:9000 ns/peer:80"),
        ("%ROUTE_NAME% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "ns/route/0 1"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
        ("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "127.0.0.1:80 80"),
        ("%REQUESTED_SERVER_NAME% %GRPC_STATUS% %TRACE_ID%", "- - -"),
        ("%STREAM_ID% %TRAILER(GRPC-STATUS)%", "id-7 -"),
        ("%REQUEST_DURATION%", "0"),
    ])
    func anOperatorWritesWhatTheExchangeHas(_ format: String, _ expected: String) throws {
        let answer = "HTTP/1.1 200 OK\r\nserver: own\r\nx-two: 22\r\ncontent-length: 3\r\n\r\nabc"
        #expect(try lines(format, [LogFormatTests.get], answer: answer) == [expected])
    }

    @Test func trailersAndTheStatusAmongThemAreWritten() throws {
        let answer =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
            + "grpc-status: 14\r\nx-t: \"t\r\n\r\n"
        let format = "%TRAILER(X-T)% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%"
        let found = try lines(format, [LogFormatTests.get], answer: answer)
        #expect(found == ["\\u0022t Unavailable UNAVAILABLE 14"])
    }

    @Test func timesAreWrittenAsTheFormatAsks() throws {
        let whole = try #require(try lines("%START_TIME%", [LogFormatTests.get]).first)
        #expect(whole.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(whole)")
        let format = "%START_TIME(%d/%b/%Y:%T %z|%F|%s.%3f|%H%M%S)%"
        let parts = try #require(try lines(format, [LogFormatTests.get]).first)
        let pattern =
            /\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\|\d{4}-\d\d-\d\d\|\d+\.\d{3}\|\d{6}/
        #expect(parts.wholeMatch(of: pattern) != nil, "\(parts)")
    }

    @Test func aLineOfHostileRequestsStaysOneLine() throws {
        let quote = "GET /\"\u{1b}\\ HTTP/1.1\r\nhost: h\r\nx-one: a\"b\tc\r\n\r\n"
        let found = try lines(
            "[%REQ(:PATH)%] \"%REQ(X-One)%\" %RESPONSE_CODE%",
            [quote, LogFormatTests.get]
        )
        #expect(found.count == 2)
        #expect(found.last == "[/a?b=c] \"1\" 204")
        for line in found { #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }) }
        #expect(found.first?.utf8.count { $0 == UInt8(ascii: "\"") } == 2)
    }

    @Test func aRequestThatCannotBeReadHasItsLine() throws {
        let found = try lines(
            "%RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(:PATH)% %DURATION%",
            ["GET / HTTP/1.1\r\nno colon\r\n\r\n"]
        )
        #expect(found == ["400 DPE - 0"])
    }

    @Test(arguments: [
        ("", "expected text with operators, found nothing"),
        ("a %FOO% b", "expected an operator such as %PROTOCOL%, found %FOO% at byte 2"),
        ("%PROTOCOL", "expected % after PROTOCOL, found the end at byte 9"),
        ("%REQ%", "expected REQ(NAME) or REQ(NAME?OTHER), found () at byte 0"),
        ("%REQ(A?B?C)%", "expected REQ(NAME) or REQ(NAME?OTHER), found (A?B?C) at byte 0"),
        ("%RESP(:PATH)%", "expected a header's name, found \":PATH\" at byte 0"),
        ("%REQ(A):0%", "expected a length above 0 after :, found \"0\" at byte 9"),
        ("%PROTOCOL:3%", "expected %PROTOCOL% without a length, found :3 at byte 0"),
        ("%PROTOCOL(x)%", "expected %PROTOCOL% without an argument, found (x) at byte 0"),
        ("%START_TIME(%q)%", "expected one of %Y %m %b %d"),
        ("%GRPC_STATUS(LOUD)%", "expected one of CAMEL_STRING, SNAKE_STRING, NUMBER"),
        ("%REQ(A", "expected ), found the end"),
    ])
    func aFormatThatMeansNothingIsRefused(_ format: String, _ reason: String) {
        #expect {
            try LogFormat(format)
        } throws: { error in
            (error as? LogFormatFault)?.reason.hasPrefix(reason) == true
        }
    }

    @Test func responseHeadersOfOneFormatAreBounded() {
        let names = (0...LogFormat.responseNameMax).map { "%RESP(x-\($0))%" }.joined()
        #expect(throws: LogFormatFault.self) { try LogFormat(names) }
        let same = String(repeating: "%RESP(x-1)%", count: LogFormat.responseNameMax + 1)
        #expect(throws: Never.self) { try LogFormat(same) }
    }
}
