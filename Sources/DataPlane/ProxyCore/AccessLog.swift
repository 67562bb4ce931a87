import Addressing

/// One worker's access log, or its finished spans: lines gathered into blocks and handed to the
/// writer's thread.
final class AccessLog {
    /// Room for the longest line: every text in it is cut, and a path may be escaped to six times as
    /// much.
    private static let lineByteLimit = 24_576
    /// The longest text of one field that comes from outside.
    static let textByteLimit = 2_048
    /// Bytes of a route's name as it is written.
    static let nameByteLimit = 4_096
    /// Text waits no longer than this before it is handed over, nanoseconds.
    private static let delayNanoseconds: UInt64 = 100_000_000

    /// Bytes that response headers kept for a line may take.
    private static let keptByteLimit = LogFormat.responseNameMax * (textByteLimit + 2)

    private let ring: LogRing?
    /// How lines are written; `nil` for JSON.
    let format: LogFormat?
    /// Whether there is a log at all.
    let isKept: Bool
    /// Whether something of a response's head is to be kept for its line.
    let keepsResponses: Bool
    /// Where what is kept of a response's head is put together.
    let kept = ScratchBuffer(capacity: AccessLog.keptByteLimit)
    let text = ScratchBuffer(capacity: LogRing.blockByteCount)
    /// Texts that were longer than may be and were cut.
    private(set) var cutCount: UInt64 = 0
    private var oldestNanoseconds: UInt64 = 0
    /// The second that lines were written in last: when it began, its text of 20 bytes, and where
    /// that is put together.
    private var stampNanoseconds: UInt64 = 0
    private var stamp: (UInt64, UInt64, UInt64) = (0, 0, 0)
    private let stampText = ScratchBuffer(capacity: 64)
    /// The clocks' distance at a moment of the loop: wall-clock minus monotonic time.
    private var wallDistance: UInt64 = 0
    private var wallReadNanoseconds: UInt64 = 0

    init(ring: LogRing?, format: LogFormat? = nil) {
        self.ring = ring
        self.format = format
        isKept = ring != nil
        keepsResponses = ring != nil && format?.responseNames.isEmpty == false
    }

    /// The wall-clock time of a moment of the loop. The clock is read once a turn.
    @inline(__always)
    func wallNanoseconds(_ moment: UInt64, _ loop: EventLoop) -> UInt64 {
        if wallReadNanoseconds != loop.nowNanoseconds { readWall(loop) }
        return moment &+ wallDistance
    }

    @inline(never)
    private func readWall(_ loop: EventLoop) {
        wallReadNanoseconds = loop.nowNanoseconds
        wallDistance = loop.network.wallNanoseconds() &- loop.nowNanoseconds
    }

    /// Makes room for a line.
    ///
    /// - Returns: where it begins.
    @inline(__always)
    func begin(nowNanoseconds: UInt64) -> Int {
        if text.count + AccessLog.lineByteLimit > text.capacity { handOver() }
        if text.count == 0 { oldestNanoseconds = nowNanoseconds }
        return text.count
    }

    /// Ends a line; one that did not fit after all is taken back, never left in part.
    ///
    /// - Returns: whether it stands.
    @inline(__always)
    func end(from start: Int) -> Bool {
        guard text.overflowed else { return true }
        text.truncate(to: start)
        return false
    }

    /// Hands text over that has waited long enough.
    func endTurn(nowNanoseconds: UInt64) {
        guard text.count > 0,
            nowNanoseconds &- oldestNanoseconds >= AccessLog.delayNanoseconds
        else { return }
        handOver()
    }

    /// Milliseconds until text must be handed over; -1 when none waits.
    func waitMilliseconds(nowNanoseconds: UInt64) -> Int32 {
        guard text.count > 0 else { return -1 }
        let age = nowNanoseconds &- oldestNanoseconds
        guard age < AccessLog.delayNanoseconds else { return 0 }
        return Int32((AccessLog.delayNanoseconds - age) / 1_000_000 + 1)
    }

    /// Hands over what waits.
    func handOver() {
        guard text.count > 0 else { return }
        ring?.put(text)
    }

    /// Writes a wall-clock time as RFC 3339 with milliseconds. The second's text is kept.
    func append(time nanoseconds: UInt64) {
        var line = LineCursor(text)
        write(time: nanoseconds, to: &line)
        line.write(byte: UInt8(ascii: "Z"))
        line.finish(text)
    }

    /// The same, to a line, but for the Z behind it.
    @inline(__always)
    func write(time nanoseconds: UInt64, to line: inout LineCursor) {
        if nanoseconds &- stampNanoseconds >= 1_000_000_000 { render(nanoseconds) }
        line.write(words: stamp, byteCount: 20)
        line.write(thousandths: (nanoseconds &- stampNanoseconds) / 1_000_000)
    }

    @inline(never)
    private func render(_ nanoseconds: UInt64) {
        let second = nanoseconds / 1_000_000_000
        stampNanoseconds = second * 1_000_000_000
        let time = CivilTime(seconds: second)
        stampText.reset()
        time.writeDate(to: stampText)
        stampText.append("T")
        time.writeTime(to: stampText)
        stampText.append(".    ")
        let bytes = stampText.bytes()
        stamp = (bytes.word(at: 0), bytes.word(at: 8), bytes.word(at: 16))
    }

    /// Writes a token (RFC 9110 section 5.6.2), which needs no escapes, cut at `textByteLimit`.
    @inline(__always)
    func append(token bytes: RawSpan, _ range: Range<Int>) {
        if range.count > AccessLog.textByteLimit { cutCount &+= 1 }
        text.append(bytes, range.prefix(AccessLog.textByteLimit))
    }

    /// The same, to a line.
    @inline(__always)
    func write(token bytes: RawSpan, _ range: Range<Int>, to line: inout LineCursor) {
        if range.count > AccessLog.textByteLimit { cutCount &+= 1 }
        line.write(bytes, range.prefix(AccessLog.textByteLimit))
    }

    /// Writes some bytes from outside as the inside of a JSON string to a line, cut at
    /// `textByteLimit`.
    @inline(__always)
    func write(escaped bytes: RawSpan, _ range: Range<Int>, to line: inout LineCursor) {
        if range.count <= AccessLog.textByteLimit,
            bytes.firstEscaped(range) == range.upperBound
        {
            line.write(bytes, range)
        } else {
            line.detour(text) { append(escaped: bytes, range) }
        }
    }

    /// Writes some bytes from outside as the inside of a JSON string (RFC 8259 section 7), cut at
    /// `byteLimit`.
    func append(escaped bytes: RawSpan, _ range: Range<Int>, byteLimit: Int = textByteLimit) {
        if range.count > byteLimit { cutCount &+= 1 }
        let end = range.lowerBound + min(range.count, byteLimit)
        var start = range.lowerBound
        while true {
            let stop = bytes.firstEscaped(start..<end)
            text.append(bytes, start..<stop)
            guard stop < end else { return }
            text.append("\\u00")
            text.append(hexadecimal: UInt64(bytes.byte(at: stop)), digits: 2)
            start = stop + 1
        }
    }
}
