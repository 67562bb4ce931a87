/// The `traceparent` header (W3C Trace Context, section 3.2).
package struct TraceContext: Hashable, Sendable, BitwiseCopyable {
    /// The first half of the trace-id.
    package var traceHigh: UInt64
    /// The second half of the trace-id.
    package var traceLow: UInt64
    /// The parent-id.
    package var parent: UInt64
    /// The trace-flags; bit 0: sampled.
    package var flags: UInt8

    /// Makes a context of its parts.
    package init(traceHigh: UInt64, traceLow: UInt64, parent: UInt64, flags: UInt8) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.parent = parent
        self.flags = flags
    }

    /// Whether the caller recorded the trace.
    package var isSampled: Bool { flags & 1 == 1 }

    /// Reads a header's value.
    ///
    /// - Returns: `nil` for anything that section 3.2.2 calls invalid: other lengths in version 00,
    ///   version ff, upper-case digits, an all-zero trace-id or parent-id.
    package init?(parsing value: borrowing Span<UInt8>) {
        guard value.count >= 55, value[2] == TraceContext.dash, value[35] == TraceContext.dash,
            value[52] == TraceContext.dash,
            let version = TraceContext.hex(value, 0, 2), version != 0xff,
            let high = TraceContext.hex(value, 3, 16),
            let low = TraceContext.hex(value, 19, 16),
            let parent = TraceContext.hex(value, 36, 16),
            let flags = TraceContext.hex(value, 53, 2)
        else { return nil }
        guard value.count == 55 || version != 0 && value[55] == TraceContext.dash else {
            return nil
        }
        guard high != 0 || low != 0, parent != 0 else { return nil }
        self.init(traceHigh: high, traceLow: low, parent: parent, flags: UInt8(flags))
    }

    /// The header's value, in version 00.
    package var headerValue: String {
        let digits = [(traceHigh, 16), (traceLow, 16), (parent, 16), (UInt64(flags), 2)].map {
            let text = String($0.0, radix: 16)
            return String(repeating: "0", count: $0.1 - text.count) + text
        }
        return "00-\(digits[0])\(digits[1])-\(digits[2])-\(digits[3])"
    }

    private static let dash = UInt8(ascii: "-")

    private static func hex(_ value: borrowing Span<UInt8>, _ start: Int, _ count: Int) -> UInt64? {
        var result: UInt64 = 0
        for index in start..<(start + count) {
            let byte = value[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): result = result << 4 | UInt64(byte - 48)
            case UInt8(ascii: "a")...UInt8(ascii: "f"): result = result << 4 | UInt64(byte - 87)
            default: return nil
            }
        }
        return result
    }
}
