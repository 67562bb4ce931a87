/// Reads the syntax of RE2 (github.com/google/re2/wiki/Syntax), all of it but scripts of Unicode:
/// what it leaves out of Perl's syntax, such as back references and look-around, is refused.
struct PatternParser {
    /// Flags that a group may set.
    struct Flags {
        var foldsCase = false
        var isMultiLine = false
        var dotTakesLineFeed = false
    }

    /// A count in braces may be this high, as in RE2.
    static let repeatMax = 1_000
    /// Groups may be nested this deep.
    static let depthMax = 100

    var scalars: [Unicode.Scalar]
    var at = 0
    var flags = Flags()
    private var depth = 0

    static func parse(_ text: String) throws(PatternFault) -> PatternNode {
        var parser = PatternParser(scalars: Array(text.unicodeScalars))
        let node = try parser.choice()
        if !parser.isAtEnd { throw parser.fault("expected no ) without its (") }
        return node
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    var isAtEnd: Bool { at >= scalars.count }

    var next: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    func fault(_ reason: String) -> PatternFault { PatternFault(reason: reason, offset: at) }

    /// Steps over a text that comes next.
    mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard at + wanted.count <= scalars.count,
            Array(scalars[at..<at + wanted.count]) == wanted
        else { return false }
        at += wanted.count
        return true
    }

    // MARK: Structure

    private mutating func choice() throws(PatternFault) -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= PatternParser.depthMax else {
            throw fault("expected groups nested at most \(PatternParser.depthMax) deep")
        }
        var nodes = [try sequence()]
        while take("|") { nodes.append(try sequence()) }
        return nodes.count == 1 ? nodes[0] : .choice(nodes)
    }

    private mutating func sequence() throws(PatternFault) -> PatternNode {
        var nodes: [PatternNode] = []
        while let scalar = next, scalar != "|" && scalar != ")" {
            if take("\\Q") {
                let literals = quoted()
                nodes += literals.dropLast()
                if let last = literals.last { nodes.append(try repeated(last)) }
                continue
            }
            guard let node = try atom() else { continue }
            nodes.append(try repeated(node))
        }
        return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
    }

    /// `\Q...\E`, or to the end.
    private mutating func quoted() -> [PatternNode] {
        var nodes: [PatternNode] = []
        while let scalar = next {
            if take("\\E") { break }
            nodes.append(literal(scalar.value))
            at += 1
        }
        return nodes
    }

    /// One element; `nil` where only flags were set.
    private mutating func atom() throws(PatternFault) -> PatternNode? {
        guard let scalar = next else { return .empty }
        at += 1
        switch scalar {
        case "(": return try group()
        case "[": return .scalar(try bracket())
        case ".": return .scalar(flags.dotTakesLineFeed ? .all : .allButLineFeed)
        case "^": return .assertion(flags.isMultiLine ? .lineStart : .textStart)
        case "$": return .assertion(flags.isMultiLine ? .lineEnd : .textEnd)
        case "*", "+", "?":
            at -= 1
            throw fault("expected something before \(scalar) that it repeats")
        case "\\": return try escaped()
        default: return literal(scalar.value)
        }
    }

    func literal(_ value: UInt32) -> PatternNode {
        let set = ScalarSet(value)
        return .scalar(flags.foldsCase ? set.caseFolded : set)
    }

    // MARK: Groups

    private mutating func group() throws(PatternFault) -> PatternNode? {
        let outer = flags
        if take("?P<") || take("?<") {
            guard next != "=" && next != "!" else { throw fault("expected no look-behind") }
            try groupName()
        } else if take("?") {
            guard try groupFlags() else { return nil }
        }
        let node = try choice()
        guard take(")") else { throw fault("expected ) at the group's end") }
        flags = outer
        return node
    }

    private mutating func groupName() throws(PatternFault) {
        let start = at
        while let scalar = next, scalar != ">" {
            guard scalar == "_" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
            else { throw fault("expected a group's name of letters, digits and _") }
            at += 1
        }
        guard at > start, take(">") else { throw fault("expected a group's name and >") }
    }

    /// Flags after `(?`; whether a group follows, and not just `)`.
    private mutating func groupFlags() throws(PatternFault) -> Bool {
        var value = true
        while let scalar = next {
            at += 1
            switch scalar {
            case "i": flags.foldsCase = value
            case "m": flags.isMultiLine = value
            case "s": flags.dotTakesLineFeed = value
            // Greed decides what groups hold, never whether all of the text matches.
            case "U": break
            case "-" where value: value = false
            case ":": return true
            case ")": return false
            default:
                at -= 1
                throw fault("expected flags of i, m, s and U, found \(scalar)")
            }
        }
        throw fault("expected ) at the group's end")
    }

    // MARK: Repetition

    private mutating func repeated(_ node: PatternNode) throws(PatternFault) -> PatternNode {
        guard let (least, most) = try count() else { return node }
        _ = take("?")
        if let (_, _) = try count() { throw fault("expected one repetition, found two in a row") }
        return .repeated(node, least: least, most: most)
    }

    private mutating func count() throws(PatternFault) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard next == "{" else { return nil }
        let start = at
        at += 1
        guard let least = number() else {
            // A brace that begins no count stands for itself, as in RE2.
            at = start
            return nil
        }
        var most: Int? = least
        if take(",") { most = next == "}" ? nil : number() ?? -1 }
        guard take("}"), most != -1 else {
            at = start
            return nil
        }
        guard least <= PatternParser.repeatMax, (most ?? 0) <= PatternParser.repeatMax else {
            throw fault("expected counts of at most \(PatternParser.repeatMax)")
        }
        if let most, most < least { throw fault("expected {\(least),\(most)} to count upwards") }
        return (least, most)
    }

    private mutating func number() -> Int? {
        let start = at
        var value = 0
        while let scalar = next, ("0"..."9").contains(scalar), at - start < 5 {
            value = value * 10 + Int(scalar.value - 0x30)
            at += 1
        }
        return at > start ? value : nil
    }
}
