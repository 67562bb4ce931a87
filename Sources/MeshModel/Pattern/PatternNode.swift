/// A regular expression as it was read.
indirect enum PatternNode: Equatable, Sendable {
    /// Matches the empty text.
    case empty
    /// One scalar of a set; an empty set matches nothing.
    case scalar(ScalarSet)
    /// One after the other.
    case sequence([PatternNode])
    /// One of several.
    case choice([PatternNode])
    /// `least` times or more, up to `most`; `nil` for any number.
    case repeated(PatternNode, least: Int, most: Int?)
    /// Holds at a place, and takes nothing.
    case assertion(PatternAssertion)
}

/// What may be asked of a place in the text.
enum PatternAssertion: UInt8, Sendable, CaseIterable {
    case textStart
    case textEnd
    case lineStart
    case lineEnd
    case wordBorder
    case noWordBorder

    /// Whether it holds between two bytes; `nil` stands for the text's own border.
    func holds(after: UInt8?, before: UInt8?) -> Bool {
        switch self {
        case .textStart: after == nil
        case .textEnd: before == nil
        case .lineStart: after == nil || after == 0x0a
        case .lineEnd: before == nil || before == 0x0a
        case .wordBorder: isWord(after) != isWord(before)
        case .noWordBorder: isWord(after) == isWord(before)
        }
    }

    private func isWord(_ byte: UInt8?) -> Bool {
        guard let byte else { return false }
        return switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: true
        default: false
        }
    }
}
