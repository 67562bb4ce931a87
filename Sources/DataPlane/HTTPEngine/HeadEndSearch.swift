/// Looks for the end of a head that arrives in pieces, each byte once: an empty line, or a byte
/// that the parser is sure to refuse.
struct HeadEndSearch: BitwiseCopyable {
    private enum State: UInt8, BitwiseCopyable {
        case inactive, text, lineReturn, lineEnd, lastReturn
    }

    private var state = State.inactive

    /// Whether a partial head was begun.
    var isActive: Bool { state != .inactive }

    /// Begins with the first bytes of a head.
    mutating func begin() { state = .text }

    /// Goes over bytes that follow those before.
    ///
    /// - Returns: whether the head is worth parsing now.
    mutating func ends(within bytes: RawSpan) -> Bool {
        for offset in 0..<bytes.byteCount {
            switch (bytes.byte(at: offset), state) {
            case (UInt8(ascii: "\r"), .text): state = .lineReturn
            case (UInt8(ascii: "\r"), .lineEnd): state = .lastReturn
            case (UInt8(ascii: "\n"), .lineReturn): state = .lineEnd
            case (UInt8(ascii: "\t"), .text), (UInt8(ascii: "\t"), .lineEnd): state = .text
            case (0..<0x20, _), (0x7f, _), (_, .lineReturn), (_, .lastReturn): return true
            default: state = .text
            }
        }
        return false
    }
}
