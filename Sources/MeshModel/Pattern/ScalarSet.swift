/// A set of Unicode scalar values, as sorted ranges that do not touch.
struct ScalarSet: Equatable, Sendable {
    private(set) var ranges: [ClosedRange<UInt32>] = []

    /// The last scalar value.
    static let last: UInt32 = 0x10_ffff

    init(_ ranges: [ClosedRange<UInt32>] = []) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let end = self.ranges.last, range.lowerBound <= end.upperBound &+ 1 {
                self.ranges[self.ranges.count - 1] =
                    end.lowerBound...max(end.upperBound, range.upperBound)
            } else {
                self.ranges.append(range)
            }
        }
    }

    init(_ scalar: UInt32) { ranges = [scalar...scalar] }

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    var inverted: ScalarSet {
        var found: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { found.append(next...(range.lowerBound - 1)) }
            next = range.upperBound + 1
        }
        if next <= ScalarSet.last { found.append(next...ScalarSet.last) }
        return ScalarSet(found)
    }

    /// The set with every letter in both cases, by the simple mappings of Unicode.
    var caseFolded: ScalarSet {
        let others = ScalarSet.casePairs.lazy.filter { pair in
            ranges.contains { $0.contains(pair.scalar) }
        }
        return ScalarSet(ranges + others.map { $0.other...$0.other })
    }

    /// Scalars with their other cases.
    private static let casePairs: [(scalar: UInt32, other: UInt32)] = {
        // No scalar above has a case (Unicode's Adlam letters end there).
        (0...0x1_e943 as ClosedRange<UInt32>).flatMap { value in
            otherCases(of: value).map { (value, $0) }
        }
    }()

    private static func otherCases(of value: UInt32) -> [UInt32] {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        if value < 0x80 {
            guard scalar.properties.isAlphabetic else { return [] }
            // The two scalars outside ASCII that fold into it: long s and the Kelvin sign.
            let other = value ^ 0x20
            switch other | 0x20 {
            case 0x73: return [other, 0x17f]
            case 0x6b: return [other, 0x212a]
            default: return [other]
            }
        }
        return [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping]
            .compactMap { text in
                let mapped = Array(text.unicodeScalars)
                return mapped.count == 1 && mapped[0] != scalar ? mapped[0].value : nil
            }
    }
}

extension ScalarSet {
    /// `[0-9]`.
    static let digits = ScalarSet([0x30...0x39])
    /// `[0-9A-Za-z_]`.
    static let wordCharacters = ScalarSet([0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a])
    /// `[\t\n\f\r ]`.
    static let spaces = ScalarSet([0x09...0x0a, 0x0c...0x0d, 0x20...0x20])
    /// Every scalar but the line feed.
    static let allButLineFeed = ScalarSet([0...0x09, 0x0b...ScalarSet.last])
    /// Every scalar.
    static let all = ScalarSet([0...ScalarSet.last])

    /// A class of POSIX by its name between `[:` and `:]`; `nil` for a name that is none.
    static func posix(_ name: String) -> ScalarSet? {
        switch name {
        case "alnum": ScalarSet([0x30...0x39, 0x41...0x5a, 0x61...0x7a])
        case "alpha": ScalarSet([0x41...0x5a, 0x61...0x7a])
        case "ascii": ScalarSet([0...0x7f])
        case "blank": ScalarSet([0x09...0x09, 0x20...0x20])
        case "cntrl": ScalarSet([0...0x1f, 0x7f...0x7f])
        case "digit": digits
        case "graph": ScalarSet([0x21...0x7e])
        case "lower": ScalarSet([0x61...0x7a])
        case "print": ScalarSet([0x20...0x7e])
        case "punct": ScalarSet([0x21...0x2f, 0x3a...0x40, 0x5b...0x60, 0x7b...0x7e])
        case "space": ScalarSet([0x09...0x0d, 0x20...0x20])
        case "upper": ScalarSet([0x41...0x5a])
        case "word": wordCharacters
        case "xdigit": ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66])
        default: nil
        }
    }

    /// The scalars of a general category of Unicode, of one letter or two; `nil` for none.
    static func category(_ name: String) -> ScalarSet? {
        guard let wanted = categories[name] else { return nil }
        return ScalarSet(wanted.flatMap { rangesByCategory[$0] ?? [] })
    }

    private static let rangesByCategory: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = {
        var found: [Unicode.GeneralCategory: [ClosedRange<UInt32>]] = [:]
        var first: UInt32 = 0
        var current: Unicode.GeneralCategory?
        for value in 0...last + 1 {
            let category = Unicode.Scalar(value)?.properties.generalCategory
            if category == current { continue }
            if let current { found[current, default: []].append(first...(value - 1)) }
            current = category
            first = value
        }
        return found
    }()

    private static let categories: [String: Set<Unicode.GeneralCategory>] = {
        let names: [String: Unicode.GeneralCategory] = [
            "Lu": .uppercaseLetter, "Ll": .lowercaseLetter, "Lt": .titlecaseLetter,
            "Lm": .modifierLetter, "Lo": .otherLetter, "Mn": .nonspacingMark,
            "Mc": .spacingMark, "Me": .enclosingMark, "Nd": .decimalNumber,
            "Nl": .letterNumber, "No": .otherNumber, "Pc": .connectorPunctuation,
            "Pd": .dashPunctuation, "Ps": .openPunctuation, "Pe": .closePunctuation,
            "Pi": .initialPunctuation, "Pf": .finalPunctuation, "Po": .otherPunctuation,
            "Sm": .mathSymbol, "Sc": .currencySymbol, "Sk": .modifierSymbol,
            "So": .otherSymbol, "Zs": .spaceSeparator, "Zl": .lineSeparator,
            "Zp": .paragraphSeparator, "Cc": .control, "Cf": .format, "Co": .privateUse,
        ]
        var sets: [String: Set<Unicode.GeneralCategory>] = [:]
        for (name, category) in names {
            sets[name] = [category]
            sets[String(name.prefix(1)), default: []].insert(category)
        }
        return sets
    }()
}
