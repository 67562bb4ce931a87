/// A request's path apart from its query, and whether it has one reading only.
///
/// The path is kept as it came; what two readers could take differently is refused: dot segments
/// (RFC 3986 section 3.3), also percent-encoded, encoded NUL, and backslashes.
struct RequestPath: BitwiseCopyable {
    /// Where the path begins in the head.
    let start: Int
    /// Bytes of the path, without the query.
    let pathByteCount: Int
    /// Where the query begins, after `?`.
    let queryStart: Int
    /// Bytes of the query.
    let queryByteCount: Int
    /// Whether two readers could take it differently.
    let isAmbiguous: Bool

    @inline(__always)
    init(_ bytes: RawSpan, _ start: Int, _ byteCount: Int) {
        self.start = start
        let end = start + byteCount
        var at = start
        var suspicious = false
        while at < end {
            at = bytes.firstNotable(at..<end)
            guard at < end, bytes.byte(at: at) != UInt8(ascii: "?") else { break }
            suspicious = true
            at += 1
        }
        pathByteCount = at - start
        queryStart = min(at + 1, end)
        queryByteCount = end - queryStart
        isAmbiguous = suspicious && RequestPath.isAmbiguous(bytes, start, at)
    }

    private static func isAmbiguous(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Bool {
        var segmentIsDots = true
        var dotCount = 0
        var at = start
        while at <= end {
            let byte = at < end ? bytes.byte(at: at) : UInt8(ascii: "/")
            switch byte {
            case UInt8(ascii: "/"):
                if segmentIsDots && (1...2).contains(dotCount) { return true }
                segmentIsDots = true
                dotCount = 0
            case UInt8(ascii: "\\"): return true
            case UInt8(ascii: "."): dotCount += 1
            case UInt8(ascii: "%"):
                let code = at + 2 <= end - 1 ? encoded(bytes, at) : nil
                guard let code else { return true }
                if code == 0 { return true }
                if code == UInt8(ascii: ".") { dotCount += 1 } else { segmentIsDots = false }
                at += 2
            default: segmentIsDots = false
            }
            at += 1
        }
        return false
    }

    private static func encoded(_ bytes: RawSpan, _ at: Int) -> UInt8? {
        guard let high = digit(bytes.byte(at: at + 1)), let low = digit(bytes.byte(at: at + 2))
        else { return nil }
        return high << 4 | low
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
