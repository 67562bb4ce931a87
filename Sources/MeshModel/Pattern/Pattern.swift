/// A regular expression in RE2's syntax that is matched against whole texts, in time that grows with
/// the text alone: a finite automaton over UTF-8 bytes, made whole when the expression is read.
///
/// Its cost is bounded where it is made: by the expression's length, the instructions of its
/// program, and the size of its table. What does not fit is refused.
package struct Pattern: Hashable, Sendable {
    /// The most bytes of an expression.
    package static let byteLimit = 4_096

    /// The expression as written.
    package let text: String
    /// Of the expressions of a host those of more weight are tried first; by default the bytes of
    /// the expression.
    package let weight: Int
    /// The class of each byte.
    package let byteClasses: [UInt8]
    /// How many classes of bytes there are; a row of `transitions` has as many entries.
    package let classCount: Int
    /// The next state by state and class; state 0 leads nowhere.
    package let transitions: [UInt16]
    /// Whether a text may end in a state.
    package let accepts: [Bool]

    /// The state before the first byte.
    package static let startState: UInt16 = 1

    /// Reads and compiles an expression.
    ///
    /// - Throws: what is wrong with it, and where.
    package init(_ text: String, weight: Int? = nil) throws(PatternFault) {
        guard text.utf8.count <= Pattern.byteLimit else {
            throw PatternFault(
                reason: "expected at most \(Pattern.byteLimit) bytes, found \(text.utf8.count)",
                offset: -1
            )
        }
        let program = try PatternProgram(try PatternParser.parse(text))
        var automaton = PatternAutomaton(program)
        try automaton.build()
        self.text = text
        self.weight = weight ?? text.utf8.count
        byteClasses = automaton.byteClasses
        classCount = automaton.classCount
        transitions = automaton.transitions
        accepts = automaton.accepts
    }

    /// Whether all of a text matches.
    package func matches(_ text: String) -> Bool {
        var state = Pattern.startState
        for byte in text.utf8 {
            state = transitions[Int(state) * classCount + Int(byteClasses[Int(byte)])]
            if state == 0 { return false }
        }
        return accepts[Int(state)]
    }

    /// Compares expressions as written: the same text makes the same automaton.
    package static func == (left: Pattern, right: Pattern) -> Bool { left.text == right.text }

    /// Hashes the expression as written.
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
