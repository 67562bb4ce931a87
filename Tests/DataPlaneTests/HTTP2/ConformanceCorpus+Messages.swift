/// RFC 9113 section 8: requests.
extension ConformanceCorpus {
    private static func refused(_ name: String, _ field: (String, String)) -> ConformanceCase {
        ConformanceCase("8.2", name, .stream(1, .protocolError), Wire.request(1, [field]))
    }

    static let fields: [ConformanceCase] = [
        refused("a name in upper case", ("X-Y", "1")),
        refused("an empty name", ("", "1")),
        refused("a name with a space", ("x y", "1")),
        refused("a name with a colon", ("x:y", "1")),
        refused("a name with a line break", ("x\r\ny", "1")),
        refused("a name with a byte past ASCII", ("x\u{e9}", "1")),
        refused("a value with a line break", ("x", "a\r\ny: b")),
        refused("a value with a line feed", ("x", "a\nb")),
        refused("a value with a carriage return", ("x", "a\rb")),
        refused("a value with NUL", ("x", "a\u{0}b")),
        refused("a value that begins with a space", ("x", " a")),
        refused("a value that ends with a tab", ("x", "a\t")),
        refused("connection", ("connection", "close")),
        refused("keep-alive", ("keep-alive", "1")),
        refused("proxy-connection", ("proxy-connection", "close")),
        refused("transfer-encoding", ("transfer-encoding", "chunked")),
        refused("upgrade", ("upgrade", "h2c")),
        refused("te other than trailers", ("te", "trailers, deflate")),
        ConformanceCase(
            "8.2.2",
            "te: trailers",
            .status(1, "200"),
            Wire.request(1, [("te", "trailers")])
        ),
        ConformanceCase("8.2", "an empty value", .status(1, "200"), Wire.request(1, [("x", "")])),
        ConformanceCase(
            "8.2",
            "a value with bytes past ASCII",
            .status(1, "200"),
            Wire.request(1, [("x", "\u{e9}")])
        ),
        ConformanceCase(
            "8.2.3",
            "cookie crumbs",
            .status(1, "200"),
            Wire.request(1, [("cookie", "a=1"), ("cookie", "b=2")])
        ),
    ]

    private static func malformed(_ name: String, _ frames: [UInt8]...) -> ConformanceCase {
        ConformanceCase("8.3.1", name, .stream(1, .protocolError), frames.flatMap(\.self))
    }

    static let pseudoFields: [ConformanceCase] = [
        malformed("an unknown pseudo field", Wire.request(1, [(":x", "1")])),
        malformed("a pseudo field of responses", Wire.request(1, [(":status", "200")])),
        malformed(
            "a pseudo field behind others",
            Wire.block(1, F.block([("x", "1")] + F.get))
        ),
        malformed("no method", Wire.without(1, ":method")),
        malformed("no scheme", Wire.without(1, ":scheme")),
        malformed("no path", Wire.without(1, ":path")),
        malformed("an empty path", Wire.altered(1, ":path", "")),
        malformed("an empty method", Wire.altered(1, ":method", "")),
        malformed("a relative path", Wire.altered(1, ":path", "x")),
        malformed("a path with a space", Wire.altered(1, ":path", "/a b")),
        malformed("a path with a line break", Wire.altered(1, ":path", "/a\r\nb: c")),
        malformed("a path with a fragment", Wire.altered(1, ":path", "/a#b")),
        malformed("an absolute path", Wire.altered(1, ":path", "http://a.example/")),
        malformed("a star that is no OPTIONS", Wire.altered(1, ":path", "*")),
        malformed("a method with a space", Wire.altered(1, ":method", "GET /evil HTTP/1.1\r\n")),
        malformed(
            "an authority with user information",
            Wire.altered(1, ":authority", "u@a.example")
        ),
        malformed("an authority with a space", Wire.altered(1, ":authority", "a b")),
        malformed("another host", Wire.request(1, [("host", "b.example")])),
        malformed(
            "two hosts without authority",
            Wire.block(
                1,
                F.block(
                    F.get.filter { $0.0 != ":authority" }
                        + [("host", "a.example"), ("host", "b.example")]
                )
            )
        ),
        malformed("the method twice", Wire.request(1, [(":method", "GET")])),
        malformed("the path twice", Wire.request(1, [(":path", "/")])),
        malformed("the scheme twice", Wire.request(1, [(":scheme", "http")])),
        malformed(
            "a pseudo field in trailers",
            Wire.open(1, [("x-held", "1")]),
            F.frame(1, 5, 1, F.block([(":method", "GET")]))
        ),
        ConformanceCase(
            "8.3.1",
            "the same host again",
            .status(1, "200"),
            Wire.request(1, [("host", "A.example")])
        ),
        ConformanceCase(
            "8.3.1",
            "a host in place of an authority",
            .status(1, "200"),
            Wire.block(1, F.block(F.get.filter { $0.0 != ":authority" } + [("host", "a.example")]))
        ),
        ConformanceCase(
            "8.5",
            "CONNECT with a path",
            .stream(1, .protocolError),
            Wire.altered(1, ":method", "CONNECT")
        ),
        ConformanceCase(
            "8.5",
            "CONNECT without authority",
            .stream(1, .protocolError),
            Wire.block(1, F.block([(":method", "CONNECT")]))
        ),
        ConformanceCase(
            "8.5",
            "CONNECT where it is not allowed",
            .status(1, "405"),
            Wire.block(1, F.block([(":method", "CONNECT"), (":authority", "a.example:443")]))
        ),
        ConformanceCase(
            "RFC 8441 4",
            "a protocol without CONNECT",
            .stream(1, .protocolError),
            Wire.request(1, [(":protocol", "websocket")])
        ),
    ]

    private static func wrongLength(_ name: String, _ length: String, _ frames: [UInt8]...)
        -> ConformanceCase
    {
        let head = Wire.open(1, [("content-length", length), ("x-held", "1")])
        return ConformanceCase(
            "8.1.1",
            name,
            .stream(1, .protocolError),
            head + frames.flatMap(\.self)
        )
    }

    static let lengths: [ConformanceCase] = [
        wrongLength("a body shorter than its length", "2", Wire.data(1, 1, ends: true)),
        wrongLength("a body longer than its length", "1", Wire.data(1, 2, ends: true)),
        wrongLength(
            "a body in two frames that is too long",
            "3",
            Wire.data(1, 2),
            Wire.data(1, 2, ends: true)
        ),
        wrongLength("a length with a sign", "+1", Wire.data(1, 1, ends: true)),
        wrongLength("a length that is a list", "1, 1", Wire.data(1, 1, ends: true)),
        wrongLength("a length past 64 bits", "99999999999999999999", Wire.data(1, 1, ends: true)),
        wrongLength("an empty length", "", Wire.data(1, 1, ends: true)),
        ConformanceCase(
            "8.1.1",
            "two lengths",
            .stream(1, .protocolError),
            Wire.open(1, [("content-length", "1"), ("content-length", "2")])
        ),
        ConformanceCase(
            "8.1.1",
            "a length without a body",
            .stream(1, .protocolError),
            Wire.request(1, [("content-length", "3")])
        ),
        ConformanceCase(
            "8.1.1",
            "a length of 0 without a body",
            .status(1, "200"),
            Wire.request(1, [("content-length", "0")])
        ),
        ConformanceCase(
            "8.1",
            "trailers",
            .status(1, "200"),
            Wire.open(1),
            Wire.data(1, 1),
            F.frame(1, 5, 1, F.block([("x-sum", "1")]))
        ),
        ConformanceCase(
            "8.1",
            "trailers that do not end the stream",
            .stream(1, .protocolError),
            Wire.open(1),
            Wire.data(1, 1),
            F.frame(1, 4, 1, F.block([("x-sum", "1")]))
        ),
    ]
}
