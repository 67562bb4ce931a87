import Addressing

/// One worker's access log: lines of JSON gathered into blocks and handed to the writer's thread.
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

    private let ring: LogRing?
    /// Whether there is a log at all.
    let isKept: Bool
    let text = ScratchBuffer(capacity: LogRing.blockByteCount)
    /// Texts that were longer than may be and were cut.
    private(set) var cutCount: UInt64 = 0
    private var oldestNanoseconds: UInt64 = 0
    private var stampSecond: UInt64 = 0
    private let stamp = ScratchBuffer(capacity: 64)

    init(ring: LogRing?) {
        self.ring = ring
        isKept = ring != nil
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
    @inline(__always)
    func append(time nanoseconds: UInt64) {
        let second = nanoseconds / 1_000_000_000
        if second != stampSecond {
            stampSecond = second
            render(second)
        }
        text.append(stamp.bytes(0, stamp.capacity), 0..<stamp.count)
        let milliseconds = (nanoseconds &- second &* 1_000_000_000) / 1_000_000
        text.append(thousandths: milliseconds)
        text.append(byte: UInt8(ascii: "Z"))
    }

    /// Civil date from days since 1970 (H. Hinnant's algorithm).
    private func render(_ second: UInt64) {
        let days = Int(second / 86_400) + 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        stamp.reset()
        appendPadded(UInt64(year), digits: 4, to: stamp)
        stamp.append("-")
        appendPadded(UInt64(month), digits: 2, to: stamp)
        stamp.append("-")
        appendPadded(UInt64(day), digits: 2, to: stamp)
        stamp.append("T")
        appendPadded(second / 3_600 % 24, digits: 2, to: stamp)
        stamp.append(":")
        appendPadded(second / 60 % 60, digits: 2, to: stamp)
        stamp.append(":")
        appendPadded(second % 60, digits: 2, to: stamp)
        stamp.append(".")
    }

    private func appendPadded(_ value: UInt64, digits: Int, to target: ScratchBuffer) {
        var threshold: UInt64 = 10
        for _ in 1..<digits {
            if value < threshold { target.append(byte: UInt8(ascii: "0")) }
            threshold *= 10
        }
        target.append(decimal: value)
    }

    /// Writes a token (RFC 9110 section 5.6.2), which needs no escapes, cut at `textByteLimit`.
    @inline(__always)
    func append(token bytes: RawSpan, _ range: Range<Int>) {
        if range.count > AccessLog.textByteLimit { cutCount &+= 1 }
        text.append(bytes, range.prefix(AccessLog.textByteLimit))
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
