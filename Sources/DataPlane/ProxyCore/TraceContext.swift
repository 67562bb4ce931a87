/// Where a request stands in a trace: what came with it, and the span that it is here.
struct TraceContext: BitwiseCopyable, Equatable {
    /// The trace's 128 bits.
    var high: UInt64 = 0
    var low: UInt64 = 0
    /// The caller's span; 0 for none.
    var parent: UInt64 = 0
    /// The span of this exchange.
    var span: UInt64 = 0
    /// Whether spans of the trace are kept.
    var isSampled = false

    /// Bytes of a `traceparent` of version 00.
    static let parentByteCount = 55

    /// Reads `traceparent` (W3C Trace Context level 2, section 3.2): lower-case digits, no zero ids,
    /// later versions read as far as version 00 goes.
    init?(traceparent value: RawSpan) {
        let count = value.byteCount
        guard count >= TraceContext.parentByteCount,
            let version = value.hexadecimal(0, 2, lowerOnly: true), version != 0xff,
            count == TraceContext.parentByteCount
                || (version != 0 && value.byte(at: 55) == UInt8(ascii: "-")),
            value.byte(at: 2) == UInt8(ascii: "-"), value.byte(at: 35) == UInt8(ascii: "-"),
            value.byte(at: 52) == UInt8(ascii: "-"),
            let high = value.hexadecimal(3, 16, lowerOnly: true),
            let low = value.hexadecimal(19, 16, lowerOnly: true),
            let parent = value.hexadecimal(36, 16, lowerOnly: true),
            let flags = value.hexadecimal(53, 2, lowerOnly: true),
            high | low != 0, parent != 0
        else { return nil }
        self.init(high: high, low: low, parent: parent, isSampled: flags & 1 == 1)
    }

    init(high: UInt64 = 0, low: UInt64 = 0, parent: UInt64 = 0, isSampled: Bool = false) {
        self.high = high
        self.low = low
        self.parent = parent
        self.isSampled = isSampled
    }
}

/// What the headers of Zipkin's B3 propagation say; parts that did not come are `nil`.
struct B3Context: BitwiseCopyable, Equatable {
    var high: UInt64 = 0
    var low: UInt64 = 0
    var span: UInt64 = 0
    /// `nil`: whoever receives it decides.
    var isSampled: Bool?

    /// Whether it names a trace, and not a decision alone.
    var namesTrace: Bool { high | low != 0 && span != 0 }

    /// Reads the single header: `TRACE-SPAN[-STATE[-PARENT]]`, or a state alone.
    init?(single value: RawSpan) {
        if value.byteCount == 1 {
            guard let decision = B3Context.decision(value.byte(at: 0)) else { return nil }
            isSampled = decision
            return
        }
        let dash = (0..<value.byteCount).first { value.byte(at: $0) == UInt8(ascii: "-") }
        guard let dash, readTrace(value, dash), dash + 17 <= value.byteCount,
            let span = value.hexadecimal(dash + 1, 16), span != 0
        else { return nil }
        self.span = span
        let end = dash + 17
        guard end < value.byteCount else { return }
        guard value.byte(at: end) == UInt8(ascii: "-"), end + 1 < value.byteCount,
            let decision = B3Context.decision(value.byte(at: end + 1))
        else { return nil }
        isSampled = decision
        guard end + 2 < value.byteCount else { return }
        guard value.byteCount == end + 19, value.byte(at: end + 2) == UInt8(ascii: "-"),
            value.hexadecimal(end + 3, 16) != nil
        else { return nil }
    }

    /// Begins with nothing; the several headers are added as they are found.
    init() {}

    /// Reads 16 or 32 digits at the front.
    mutating func readTrace(_ value: RawSpan, _ count: Int) -> Bool {
        switch count {
        case 32:
            guard let high = value.hexadecimal(0, 16), let low = value.hexadecimal(16, 16) else {
                return false
            }
            (self.high, self.low) = (high, low)
        case 16:
            guard let low = value.hexadecimal(0, 16) else { return false }
            self.low = low
        default: return false
        }
        return high | low != 0
    }

    static func decision(_ letter: UInt8) -> Bool? {
        switch letter {
        case UInt8(ascii: "1"), UInt8(ascii: "d"), UInt8(ascii: "t"): true
        case UInt8(ascii: "0"), UInt8(ascii: "f"): false
        default: nil
        }
    }
}

extension RawSpan {
    /// Reads so many hexadecimal digits, 16 at most; `nil` when others are among them or there are
    /// fewer.
    func hexadecimal(_ start: Int, _ count: Int, lowerOnly: Bool = false) -> UInt64? {
        guard start >= 0, start + count <= byteCount else { return nil }
        var value: UInt64 = 0
        for offset in start..<(start + count) {
            let digit: UInt8
            switch byte(at: offset) {
            case let letter where (48...57).contains(letter): digit = letter - 48
            case let letter where (97...102).contains(letter): digit = letter - 87
            case let letter where (65...70).contains(letter) && !lowerOnly: digit = letter - 55
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }
}
