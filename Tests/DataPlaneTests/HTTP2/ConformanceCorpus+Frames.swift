/// RFC 9113 sections 3 to 5: starting, frames, streams.
extension ConformanceCorpus {
    static let startingAndFrames: [ConformanceCase] = [
        ConformanceCase("3.4", "preface and SETTINGS", .acknowledged(4)),
        ConformanceCase(
            "3.4",
            "a request right behind the preface",
            .status(1, "200"),
            Wire.request(1)
        ),
        .raw(
            "3.4",
            "a first frame that is no SETTINGS",
            .connection(.protocolError),
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + Wire.ping
        ),
        .raw(
            "3.4",
            "a first SETTINGS that acknowledges",
            .connection(.protocolError),
            Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + F.frame(4, 1, 0, [])
        ),
        ConformanceCase(
            "4.1",
            "a frame of unknown type",
            .ignored,
            F.frame(0xfe, 0, 0, Wire.zeros(8))
        ),
        ConformanceCase(
            "4.1",
            "a frame of unknown type on a stream",
            .status(1, "200"),
            Wire.open(1),
            F.frame(0xfe, 0xff, 1, Wire.zeros(8)),
            Wire.data(1, 1, ends: true)
        ),
        ConformanceCase("4.1", "undefined flags", .ignored, F.frame(6, 0xfe, 0, Wire.zeros(8))),
        ConformanceCase(
            "4.1",
            "the reserved bit",
            .ignored,
            F.frame(6, 0, 0x8000_0000, Wire.zeros(8))
        ),
        ConformanceCase(
            "4.2",
            "DATA of 2^14 bytes",
            .status(1, "200"),
            Wire.open(1),
            Wire.data(1, 16_384, ends: true)
        ),
        ConformanceCase(
            "4.2",
            "DATA past the maximum",
            .connection(.frameSize),
            Wire.open(1),
            Wire.data(1, 16_385)
        ),
        ConformanceCase(
            "4.2",
            "HEADERS past the maximum",
            .connection(.frameSize),
            F.frame(1, 5, 1, Wire.zeros(16_385))
        ),
        ConformanceCase(
            "4.2",
            "an unknown frame past the maximum",
            .connection(.frameSize),
            F.frame(0xfe, 0, 0, Wire.zeros(16_385))
        ),
        ConformanceCase(
            "4.2",
            "SETTINGS past the maximum",
            .connection(.frameSize),
            F.frame(4, 0, 0, Wire.zeros(16_386))
        ),
        ConformanceCase(
            "4.3",
            "a block that is no HPACK",
            .connection(.compression),
            Wire.block(1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        ),
        ConformanceCase(
            "4.3",
            "PRIORITY within a block",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            Wire.priority(1, on: 0)
        ),
        ConformanceCase(
            "4.3",
            "HEADERS of another stream within a block",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            Wire.request(3)
        ),
        ConformanceCase(
            "4.3",
            "an unknown frame within a block",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            F.frame(0xfe, 0, 1, [])
        ),
        ConformanceCase(
            "4.3",
            "a block in three frames",
            .status(1, "200"),
            F.frame(1, 1, 1, Array(Wire.get[..<5])),
            F.frame(9, 0, 1, Array(Wire.get[5..<20])),
            F.frame(9, 4, 1, Array(Wire.get[20...]))
        ),
    ]

    static let streams: [ConformanceCase] = [
        ConformanceCase(
            "5.1",
            "DATA on an idle stream",
            .connection(.protocolError),
            Wire.data(1, 1)
        ),
        ConformanceCase(
            "5.1",
            "RST_STREAM on an idle stream",
            .connection(.protocolError),
            F.reset(1)
        ),
        ConformanceCase(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            .connection(.protocolError),
            F.window(1, 100)
        ),
        ConformanceCase(
            "5.1",
            "CONTINUATION on an idle stream",
            .connection(.protocolError),
            F.frame(9, 4, 1, Wire.get)
        ),
        ConformanceCase("5.1", "PRIORITY on an idle stream", .ignored, Wire.priority(1, on: 0)),
        ConformanceCase(
            "5.1",
            "DATA on a half-closed stream",
            .connection(.streamClosed),
            Wire.request(1, [("x-held", "1")]),
            Wire.data(1, 1)
        ),
        ConformanceCase(
            "5.1",
            "HEADERS on a half-closed stream",
            .connection(.streamClosed),
            Wire.request(1, [("x-held", "1")]),
            Wire.request(1)
        ),
        ConformanceCase(
            "5.1",
            "CONTINUATION on a half-closed stream",
            .connection(.protocolError),
            Wire.request(1, [("x-held", "1")]),
            F.frame(9, 4, 1, Wire.get)
        ),
        ConformanceCase(
            "5.1",
            "WINDOW_UPDATE on a half-closed stream",
            .ignored,
            Wire.request(1, [("x-held", "1")]),
            F.window(1, 100)
        ),
        ConformanceCase(
            "5.1",
            "PRIORITY on a half-closed stream",
            .ignored,
            Wire.request(1, [("x-held", "1")]),
            Wire.priority(1, on: 0)
        ),
        ConformanceCase(
            "5.1",
            "RST_STREAM on a half-closed stream",
            .ignored,
            Wire.request(1, [("x-held", "1")]),
            F.reset(1)
        ),
        ConformanceCase(
            "5.1",
            "CONTINUATION on a reset stream",
            .connection(.protocolError),
            Wire.open(1),
            F.reset(1),
            F.frame(9, 4, 1, Wire.get)
        ),
        ConformanceCase(
            "5.1",
            "WINDOW_UPDATE on a reset stream",
            .ignored,
            Wire.open(1),
            F.reset(1),
            F.window(1, 100)
        ),
        ConformanceCase(
            "5.1",
            "PRIORITY on a reset stream",
            .ignored,
            Wire.open(1),
            F.reset(1),
            Wire.priority(1, on: 0)
        ),
        ConformanceCase(
            "5.1",
            "a second RST_STREAM",
            .ignored,
            Wire.open(1),
            F.reset(1),
            F.reset(1)
        ),
        ConformanceCase("5.1.1", "an even id", .connection(.protocolError), Wire.request(2)),
        ConformanceCase(
            "5.1.1",
            "an id that was passed over",
            .connection(.protocolError),
            Wire.request(5),
            Wire.request(3)
        ),
        ConformanceCase("5.1.1", "ids may be passed over", .status(101, "200"), Wire.request(101)),
        ConformanceCase(
            "5.1.1",
            "the greatest id",
            .status(0x7fff_ffff, "200"),
            Wire.request(0x7fff_ffff)
        ),
        ConformanceCase(
            "5.1.2",
            "as many streams as announced",
            .status(255, "200"),
            (0..<128).flatMap { Wire.request(UInt32($0) * 2 + 1) }
        ),
        ConformanceCase(
            "5.1.2",
            "one stream past those announced",
            .stream(257, .refused),
            (0..<129).flatMap { Wire.request(UInt32($0) * 2 + 1, [("x-held", "1")]) }
        ),
        ConformanceCase(
            "5.3",
            "HEADERS that depend on their own stream",
            .connection(.protocolError),
            F.frame(1, 0x25, 1, [0, 0, 0, 1, 16] + Wire.get)
        ),
        ConformanceCase(
            "5.3",
            "PRIORITY that depends on its own stream",
            .connection(.protocolError),
            Wire.priority(1, on: 1)
        ),
        ConformanceCase(
            "5.3",
            "HEADERS with a priority",
            .status(1, "200"),
            F.frame(1, 0x25, 1, [0, 0, 0, 0, 16] + Wire.get)
        ),
        ConformanceCase(
            "5.4.1",
            "GOAWAY before the close",
            .connection(.frameSize),
            F.frame(6, 0, 0, Wire.zeros(7))
        ),
        ConformanceCase(
            "5.5",
            "unknown SETTINGS, frames and flags together",
            .status(1, "200"),
            Wire.settings(0xff, 1),
            F.frame(0xfe, 0xff, 0, []),
            Wire.request(1)
        ),
    ]
}
