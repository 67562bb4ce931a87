/// RFC 9113 sections 6 and 7: types of frames, error codes.
extension ConformanceCorpus {
    static let dataAndHeaders: [ConformanceCase] = [
        ConformanceCase("6.1", "DATA on stream 0", .connection(.protocolError), Wire.data(0, 1)),
        ConformanceCase(
            "6.1",
            "padded DATA",
            .status(1, "200"),
            Wire.open(1),
            F.frame(0, 9, 1, [4, 1, 2, 3] + Wire.zeros(4))
        ),
        ConformanceCase(
            "6.1",
            "padding as long as the payload",
            .connection(.protocolError),
            Wire.open(1),
            F.frame(0, 9, 1, [4, 1, 2, 3])
        ),
        ConformanceCase(
            "6.1",
            "padding without its length",
            .connection(.protocolError),
            Wire.open(1),
            F.frame(0, 9, 1, [])
        ),
        ConformanceCase(
            "6.1",
            "nothing but padding",
            .status(1, "200"),
            Wire.open(1),
            F.frame(0, 9, 1, [3, 0, 0, 0])
        ),
        ConformanceCase(
            "6.1",
            "DATA behind its stream's end",
            .connection(.streamClosed),
            Wire.open(1, [("x-held", "1")]),
            Wire.data(1, 1, ends: true),
            Wire.data(1, 1)
        ),
        ConformanceCase(
            "6.2",
            "HEADERS on stream 0",
            .connection(.protocolError),
            F.frame(1, 5, 0, Wire.get)
        ),
        ConformanceCase(
            "6.2",
            "padded HEADERS",
            .status(1, "200"),
            F.frame(1, 13, 1, [2] + Wire.get + [0, 0])
        ),
        ConformanceCase(
            "6.2",
            "HEADERS with too much padding",
            .connection(.protocolError),
            F.frame(1, 13, 1, [200] + Wire.get)
        ),
        ConformanceCase(
            "6.2",
            "HEADERS with a priority that is short",
            .connection(.frameSize),
            F.frame(1, 0x25, 1, [0, 0])
        ),
        ConformanceCase(
            "6.3",
            "PRIORITY on stream 0",
            .connection(.protocolError),
            Wire.priority(0, on: 1)
        ),
        ConformanceCase(
            "6.3",
            "PRIORITY that is short",
            .connection(.frameSize),
            F.frame(2, 0, 1, Wire.zeros(4))
        ),
        ConformanceCase(
            "6.3",
            "PRIORITY that is long",
            .connection(.frameSize),
            F.frame(2, 0, 1, Wire.zeros(6))
        ),
        ConformanceCase("6.4", "RST_STREAM on stream 0", .connection(.protocolError), F.reset(0)),
        ConformanceCase(
            "6.4",
            "RST_STREAM that is short",
            .connection(.frameSize),
            Wire.open(1),
            F.frame(3, 0, 1, Wire.zeros(3))
        ),
        ConformanceCase(
            "6.4",
            "RST_STREAM that is long",
            .connection(.frameSize),
            Wire.open(1),
            F.frame(3, 0, 1, Wire.zeros(5))
        ),
        ConformanceCase(
            "6.4",
            "RST_STREAM with an unknown code",
            .ignored,
            Wire.open(1),
            F.frame(3, 0, 1, [0xff, 0, 0, 1])
        ),
    ]

    static let settingsAndPing: [ConformanceCase] = [
        ConformanceCase(
            "6.5",
            "SETTINGS on a stream",
            .connection(.protocolError),
            F.frame(4, 0, 1, Wire.zeros(6))
        ),
        ConformanceCase(
            "6.5",
            "an acknowledgement with a payload",
            .connection(.frameSize),
            F.frame(4, 1, 0, Wire.zeros(6))
        ),
        ConformanceCase(
            "6.5",
            "SETTINGS of half an entry",
            .connection(.frameSize),
            F.frame(4, 0, 0, Wire.zeros(3))
        ),
        ConformanceCase(
            "6.5",
            "SETTINGS are acknowledged",
            .acknowledged(4),
            Wire.settings(3, 100)
        ),
        ConformanceCase(
            "6.5.2",
            "ENABLE_PUSH of 2",
            .connection(.protocolError),
            Wire.settings(2, 2)
        ),
        ConformanceCase(
            "6.5.2",
            "a window past 2^31-1",
            .connection(.flowControl),
            Wire.settings(4, 0x8000_0000)
        ),
        ConformanceCase(
            "6.5.2",
            "a frame size under 2^14",
            .connection(.protocolError),
            Wire.settings(5, 16_383)
        ),
        ConformanceCase(
            "6.5.2",
            "a frame size past 2^24-1",
            .connection(.protocolError),
            Wire.settings(5, 16_777_216)
        ),
        ConformanceCase(
            "6.5.2",
            "ENABLE_CONNECT_PROTOCOL of 2",
            .connection(.protocolError),
            Wire.settings(8, 2)
        ),
        ConformanceCase("6.5.2", "an unknown setting", .acknowledged(4), Wire.settings(0xff, 1)),
        ConformanceCase(
            "6.5.3",
            "the last value of a setting counts",
            .status(1, "200"),
            F.frame(4, 0, 0, [0, 4, 0, 0, 0, 0] + [0, 4, 0, 0, 0, 9]),
            Wire.request(1)
        ),
        ConformanceCase(
            "6.6",
            "PUSH_PROMISE of a client",
            .connection(.protocolError),
            Wire.open(1),
            F.frame(5, 4, 1, [0, 0, 0, 2] + Wire.get)
        ),
        ConformanceCase(
            "6.7",
            "PING on a stream",
            .connection(.protocolError),
            F.frame(6, 0, 1, Wire.zeros(8))
        ),
        ConformanceCase(
            "6.7",
            "PING that is short",
            .connection(.frameSize),
            F.frame(6, 0, 0, Wire.zeros(6))
        ),
        ConformanceCase(
            "6.7",
            "PING that is long",
            .connection(.frameSize),
            F.frame(6, 0, 0, Wire.zeros(9))
        ),
        ConformanceCase("6.7", "PING is answered", .acknowledged(6), Wire.ping),
        ConformanceCase(
            "6.7",
            "an answer nobody asked for",
            .ignored,
            F.frame(6, 1, 0, Wire.zeros(8))
        ),
        ConformanceCase(
            "6.8",
            "GOAWAY on a stream",
            .connection(.protocolError),
            F.frame(7, 0, 1, Wire.zeros(8))
        ),
        ConformanceCase(
            "6.8",
            "GOAWAY that is short",
            .connection(.frameSize),
            F.frame(7, 0, 0, Wire.zeros(7))
        ),
        ConformanceCase(
            "6.8",
            "a request before GOAWAY",
            .status(1, "200"),
            Wire.request(1, [("x-held", "1")]),
            F.frame(7, 0, 0, Wire.zeros(8))
        ),
    ]

    static let windowsAndContinuation: [ConformanceCase] = [
        ConformanceCase(
            "6.9",
            "WINDOW_UPDATE of 0 on the connection",
            .connection(.protocolError),
            F.window(0, 0)
        ),
        ConformanceCase(
            "6.9",
            "WINDOW_UPDATE of 0 on a stream",
            .connection(.protocolError),
            Wire.open(1),
            F.window(1, 0)
        ),
        ConformanceCase(
            "6.9",
            "WINDOW_UPDATE that is short",
            .connection(.frameSize),
            F.frame(8, 0, 0, Wire.zeros(3))
        ),
        ConformanceCase(
            "6.9",
            "WINDOW_UPDATE that is long",
            .connection(.frameSize),
            F.frame(8, 0, 0, Wire.zeros(5))
        ),
        ConformanceCase(
            "6.9.1",
            "the connection's window past 2^31-1",
            .connection(.flowControl),
            F.window(0, 0x7fff_ffff)
        ),
        ConformanceCase(
            "6.9.1",
            "a stream's window past 2^31-1",
            .stream(1, .flowControl),
            Wire.open(1),
            F.window(1, 0x7fff_ffff)
        ),
        ConformanceCase(
            "6.9.2",
            "a window that becomes negative and opens",
            .status(1, "200"),
            Wire.settings(4, 1),
            Wire.request(1, [("x-held", "1")]),
            Wire.settings(4, 0),
            F.window(1, 10)
        ),
        ConformanceCase(
            "6.9.2",
            "a setting that takes a window past 2^31-1",
            .stream(1, .flowControl),
            Wire.open(1),
            F.window(1, 0x7fff_ffff - 65_535),
            Wire.settings(4, 0x7fff_ffff)
        ),
        ConformanceCase(
            "6.10",
            "CONTINUATION on stream 0",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            F.frame(9, 4, 0, [])
        ),
        ConformanceCase(
            "6.10",
            "CONTINUATION of another stream",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            F.frame(9, 4, 3, [])
        ),
        ConformanceCase(
            "6.10",
            "CONTINUATION behind END_HEADERS",
            .connection(.protocolError),
            Wire.open(1),
            F.frame(9, 4, 1, [])
        ),
        ConformanceCase(
            "6.10",
            "CONTINUATION behind the last one",
            .connection(.protocolError),
            F.frame(1, 1, 1, Wire.get),
            F.frame(9, 4, 1, []),
            F.frame(9, 4, 1, [])
        ),
        ConformanceCase(
            "6.10",
            "CONTINUATION behind DATA",
            .connection(.protocolError),
            Wire.open(1),
            Wire.data(1, 1),
            F.frame(9, 4, 1, Wire.get)
        ),
        ConformanceCase(
            "6.10",
            "DATA within a block",
            .connection(.protocolError),
            F.frame(1, 0, 1, Wire.post),
            Wire.data(1, 1)
        ),
        ConformanceCase(
            "6.10",
            "an empty CONTINUATION",
            .status(1, "200"),
            F.frame(1, 1, 1, Wire.get),
            F.frame(9, 4, 1, [])
        ),
        ConformanceCase(
            "7",
            "GOAWAY with an unknown code",
            .status(1, "200"),
            Wire.request(1, [("x-held", "1")]),
            F.frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xff])
        ),
    ]
}
