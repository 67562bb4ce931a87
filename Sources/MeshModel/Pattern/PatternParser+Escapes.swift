/// Escapes and classes in brackets.
extension PatternParser {
    /// What follows a backslash.
    mutating func escaped() throws(PatternFault) -> PatternNode {
        guard let scalar = next else { throw fault("expected a character after \\") }
        switch scalar {
        case "A": return assertion(.textStart)
        case "z": return assertion(.textEnd)
        case "b": return assertion(.wordBorder)
        case "B": return assertion(.noWordBorder)
        case "C": throw fault("expected no \\C: texts are matched by characters")
        default: break
        }
        if let set = try shorthand() { return .scalar(set) }
        return literal(try escapedScalar())
    }

    private mutating func assertion(_ kind: PatternAssertion) -> PatternNode {
        at += 1
        return .assertion(kind)
    }

    /// `\d` and its like, and `\p`; `nil` where the escape is another.
    private mutating func shorthand() throws(PatternFault) -> ScalarSet? {
        guard let scalar = next else { return nil }
        let set: ScalarSet
        switch scalar {
        case "d": set = .digits
        case "D": set = ScalarSet.digits.inverted
        case "s": set = .spaces
        case "S": set = ScalarSet.spaces.inverted
        case "w": set = .wordCharacters
        case "W": set = ScalarSet.wordCharacters.inverted
        case "p", "P": return try category(isInverted: scalar == "P")
        default: return nil
        }
        at += 1
        return set
    }

    private mutating func category(isInverted: Bool) throws(PatternFault) -> ScalarSet {
        at += 1
        var name = ""
        if take("{") {
            while let scalar = next, scalar != "}", name.utf8.count < 32 {
                name.unicodeScalars.append(scalar)
                at += 1
            }
            guard take("}") else { throw fault("expected } after the category's name") }
        } else if let scalar = next {
            name.unicodeScalars.append(scalar)
            at += 1
        }
        var inverts = isInverted
        if name.hasPrefix("^") {
            name.removeFirst()
            inverts.toggle()
        }
        guard let set = ScalarSet.category(name) else {
            throw fault("expected a general category of Unicode such as L or Nd, found \(name)")
        }
        return inverts ? set.inverted : set
    }

    /// An escape that stands for one scalar.
    private mutating func escapedScalar() throws(PatternFault) -> UInt32 {
        guard let scalar = next else { throw fault("expected a character after \\") }
        at += 1
        switch scalar {
        case "a": return 0x07
        case "f": return 0x0c
        case "t": return 0x09
        case "n": return 0x0a
        case "r": return 0x0d
        case "v": return 0x0b
        case "x": return try hexadecimal()
        case "0": return octal(from: 0)
        case "1"..."7":
            // With another octal digit it is a number, else it would refer back.
            if let second = next, ("0"..."7").contains(second) {
                return octal(from: scalar.value - 0x30)
            }
            at -= 1
            throw fault("expected no back reference, found \\\(scalar)")
        default:
            let isPunctuation = scalar.value < 0x80 && !isLetterOrDigit(scalar)
            guard isPunctuation else {
                at -= 1
                throw fault("expected an escape that is known, found \\\(scalar)")
            }
            return scalar.value
        }
    }

    private func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
        ("0"..."9").contains(scalar) || ("a"..."z").contains(scalar)
            || ("A"..."Z").contains(scalar)
    }

    private mutating func octal(from first: UInt32) -> UInt32 {
        var value = first
        var count = 1
        while count < 3, let digit = next, ("0"..."7").contains(digit) {
            value = value * 8 + (digit.value - 0x30)
            at += 1
            count += 1
        }
        return value
    }

    private mutating func hexadecimal() throws(PatternFault) -> UInt32 {
        if take("{") {
            var value: UInt32 = 0
            var count = 0
            while let digit = next.flatMap({ Character($0).hexDigitValue }), count < 6 {
                value = value * 16 + UInt32(digit)
                at += 1
                count += 1
            }
            guard count > 0, take("}"), value <= ScalarSet.last else {
                throw fault("expected \\x{...} with a character's number up to 10FFFF")
            }
            return value
        }
        guard let high = next.flatMap({ Character($0).hexDigitValue }), at + 1 < scalars.count,
            let low = Character(scalars[at + 1]).hexDigitValue
        else { throw fault("expected two hexadecimal digits after \\x") }
        at += 2
        return UInt32(high * 16 + low)
    }

    // MARK: Brackets

    /// A class after its `[`.
    mutating func bracket() throws(PatternFault) -> ScalarSet {
        let isInverted = take("^")
        var set = ScalarSet()
        var isFirst = true
        while isFirst || next != "]" {
            guard !isAtEnd else { throw fault("expected ] at the class's end") }
            isFirst = false
            if take("[:") {
                set = set.union(try posix())
            } else if let members = try bracketShorthand() {
                set = set.union(members)
            } else {
                set = set.union(try bracketRange())
            }
        }
        at += 1
        if flags.foldsCase { set = set.caseFolded }
        return isInverted ? set.inverted : set
    }

    private mutating func posix() throws(PatternFault) -> ScalarSet {
        let isInverted = take("^")
        var name = ""
        while let scalar = next, ("a"..."z").contains(scalar), name.utf8.count < 8 {
            name.unicodeScalars.append(scalar)
            at += 1
        }
        guard take(":]"), let set = ScalarSet.posix(name) else {
            throw fault("expected a class such as [:alpha:], found [:\(name)")
        }
        return isInverted ? set.inverted : set
    }

    private mutating func bracketShorthand() throws(PatternFault) -> ScalarSet? {
        guard next == "\\" else { return nil }
        at += 1
        if let set = try shorthand() { return set }
        at -= 1
        return nil
    }

    private mutating func bracketRange() throws(PatternFault) -> ScalarSet {
        let low = try bracketScalar()
        guard next == "-", at + 1 < scalars.count, scalars[at + 1] != "]" else {
            return ScalarSet(low)
        }
        at += 1
        let high = try bracketScalar()
        guard low <= high else { throw fault("expected a range that counts upwards") }
        return ScalarSet([low...high])
    }

    private mutating func bracketScalar() throws(PatternFault) -> UInt32 {
        guard let scalar = next else { throw fault("expected ] at the class's end") }
        at += 1
        return scalar == "\\" ? try escapedScalar() : scalar.value
    }
}
