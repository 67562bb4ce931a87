/// The one form of a path that routing, policy and the endpoint all see (RFC 3986 section 6.2.2):
/// unreserved characters decoded, the other escapes in upper case, and by the listener's choice runs
/// of slashes merged and escaped slashes decoded. A path that two readers could still take
/// differently has no such form.
struct PathShape: BitwiseCopyable {
    /// What is known of a path.
    enum Verdict: BitwiseCopyable {
        /// It has the form.
        case asItCame
        /// It has to be rewritten.
        case other
        /// It is refused: a dot segment whether escaped or not, and also one that only shows where
        /// an escaped slash or a parameter's `;` is taken as its end; NUL; a broken escape; a bare
        /// backslash that does not stand for a slash.
        case ambiguous
    }

    /// What becomes of `%2F` and `%5C`.
    enum Slashes: UInt8, BitwiseCopyable {
        case keep
        case decode
        case reject
    }

    var mergesSlashes = false
    var escapedSlashes = Slashes.keep

    /// What a byte, or an escape of three, stands for.
    private enum Unit {
        case separator(isPlain: Bool)
        case dot(isPlain: Bool)
        /// The end of a segment's name for those who know parameters.
        case semicolon(isPlain: Bool)
        /// Another unreserved byte that was escaped.
        case unreserved(UInt8)
        case other
        /// An escape that stays one.
        case escape(isUpper: Bool)
        case broken
    }

    /// Judges a path.
    func judge(_ bytes: RawSpan, _ range: Range<Int>) -> Verdict {
        var verdict = Verdict.asItCame
        var dotCount = 0
        // Whether all of the segment so far is dots, or its name has ended.
        var isDots = true
        var afterSeparator = false
        var at = range.lowerBound
        while at < range.upperBound {
            let (unit, width) = read(bytes, at, range.upperBound)
            var isSeparator = false
            switch unit {
            case .broken: return .ambiguous
            case .separator(let isPlain):
                if isDots && (1...2).contains(dotCount) { return .ambiguous }
                (isDots, dotCount) = (true, 0)
                let isDecoded = !isPlain && escapedSlashes == .decode
                if isDecoded { verdict = .other }
                if !isPlain && !isDecoded && hasLowerDigit(bytes, at) { verdict = .other }
                isSeparator = isPlain || isDecoded
                if isSeparator && afterSeparator && mergesSlashes { verdict = .other }
            case .dot(let isPlain):
                dotCount += 1
                if !isPlain { verdict = .other }
            case .semicolon(let isPlain):
                if isDots && (1...2).contains(dotCount) { return .ambiguous }
                isDots = false
                if !isPlain && hasLowerDigit(bytes, at) { verdict = .other }
            case .unreserved: (isDots, verdict) = (false, .other)
            case .other: isDots = false
            case .escape(let isUpper):
                isDots = false
                if !isUpper { verdict = .other }
            }
            afterSeparator = isSeparator
            at += width
        }
        return isDots && (1...2).contains(dotCount) ? .ambiguous : verdict
    }

    /// Writes a path of verdict `.other` in its form.
    func write(_ bytes: RawSpan, _ range: Range<Int>, to text: ScratchBuffer) {
        var afterSeparator = false
        var at = range.lowerBound
        while at < range.upperBound {
            let (unit, width) = read(bytes, at, range.upperBound)
            var isSeparator = false
            switch unit {
            case .separator(let isPlain) where isPlain || escapedSlashes == .decode:
                isSeparator = true
                if !(afterSeparator && mergesSlashes) { text.append(byte: UInt8(ascii: "/")) }
            case .dot: text.append(byte: UInt8(ascii: "."))
            case .unreserved(let byte): text.append(byte: byte)
            case .semicolon(let isPlain) where isPlain: text.append(byte: UInt8(ascii: ";"))
            case .separator, .semicolon, .escape:
                text.append(byte: UInt8(ascii: "%"))
                text.append(byte: PathShape.upper(bytes.byte(at: at + 1)))
                text.append(byte: PathShape.upper(bytes.byte(at: at + 2)))
            case .other, .broken: text.append(byte: bytes.byte(at: at))
            }
            afterSeparator = isSeparator
            at += width
        }
    }

    private func read(_ bytes: RawSpan, _ at: Int, _ end: Int) -> (unit: Unit, width: Int) {
        switch bytes.byte(at: at) {
        case UInt8(ascii: "/"): return (.separator(isPlain: true), 1)
        case UInt8(ascii: "."): return (.dot(isPlain: true), 1)
        case UInt8(ascii: ";"): return (.semicolon(isPlain: true), 1)
        case UInt8(ascii: "\\"):
            return (escapedSlashes == .decode ? .separator(isPlain: false) : .broken, 1)
        case UInt8(ascii: "%"):
            guard at + 2 < end, let high = PathShape.digit(bytes.byte(at: at + 1)),
                let low = PathShape.digit(bytes.byte(at: at + 2))
            else { return (.broken, 1) }
            return (unit(of: high << 4 | low, isUpper: !hasLowerDigit(bytes, at)), 3)
        default: return (.other, 1)
        }
    }

    private func unit(of code: UInt8, isUpper: Bool) -> Unit {
        switch code {
        case 0: .broken
        case UInt8(ascii: "/"), UInt8(ascii: "\\"):
            escapedSlashes == .reject ? .broken : .separator(isPlain: false)
        case UInt8(ascii: "."): .dot(isPlain: false)
        case UInt8(ascii: ";"): .semicolon(isPlain: false)
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            .unreserved(code)
        default: .escape(isUpper: isUpper)
        }
    }

    private func hasLowerDigit(_ bytes: RawSpan, _ at: Int) -> Bool {
        bytes.byte(at: at) == UInt8(ascii: "%")
            && (bytes.byte(at: at + 1) >= UInt8(ascii: "a")
                || bytes.byte(at: at + 2) >= UInt8(ascii: "a"))
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func upper(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "a") ? byte - 32 : byte
    }
}
