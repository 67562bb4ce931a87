/// A regular expression as instructions over bytes, without their order of preference: that decides
/// what groups hold, and nobody asks for it.
struct PatternProgram {
    enum Instruction: Hashable {
        case bytes(ClosedRange<UInt8>, next: Int)
        case split(Int, Int)
        case assertion(PatternAssertion, next: Int)
        case match
        case fail
    }

    /// The most instructions of a program.
    static let instructionMax = 16_384
    /// The most parts of an expression that are looked at, repetitions counted as often as they
    /// repeat.
    private static let stepMax = 65_536

    private(set) var instructions: [Instruction] = [.match, .fail]
    private(set) var start = 0
    private(set) var hasAssertions = false
    private var steps = 0
    /// Ends of characters that several sequences share.
    private var shared: [Instruction: Int] = [:]

    init(_ node: PatternNode) throws(PatternFault) {
        start = try add(node, before: 0)
        shared = [:]
    }

    /// Adds instructions for a node that go on at `next`; their start.
    private mutating func add(_ node: PatternNode, before next: Int) throws(PatternFault) -> Int {
        steps += 1
        guard steps <= PatternProgram.stepMax else { throw PatternProgram.tooLarge }
        switch node {
        case .empty: return next
        case .scalar(let set): return try add(set, before: next)
        case .sequence(let nodes):
            var start = next
            for node in nodes.reversed() { start = try add(node, before: start) }
            return start
        case .choice(let nodes):
            var starts: [Int] = []
            for node in nodes { starts.append(try add(node, before: next)) }
            return try split(starts)
        case .repeated(let node, let least, let most):
            return try repeated(node, least, most, before: next)
        case .assertion(let kind):
            hasAssertions = true
            return try append(.assertion(kind, next: next))
        }
    }

    private mutating func repeated(
        _ node: PatternNode,
        _ least: Int,
        _ most: Int?,
        before next: Int
    ) throws(PatternFault) -> Int {
        var start = next
        var needed = least
        if let most {
            for _ in least..<max(most, least) {
                start = try append(.split(try add(node, before: start), next))
            }
        } else {
            let loop = try append(.fail)
            let body = try add(node, before: loop)
            instructions[loop] = .split(body, next)
            start = least > 0 ? body : loop
            needed = max(least - 1, 0)
        }
        for _ in 0..<needed { start = try add(node, before: start) }
        return start
    }

    private mutating func add(_ set: ScalarSet, before next: Int) throws(PatternFault) -> Int {
        var starts: [Int] = []
        for sequence in UTF8Ranges.sequences(of: set) {
            var start = next
            for range in sequence.reversed() {
                let instruction = Instruction.bytes(range, next: start)
                if let known = shared[instruction] {
                    start = known
                } else {
                    start = try append(instruction)
                    shared[instruction] = start
                }
            }
            starts.append(start)
        }
        return try split(starts)
    }

    private mutating func split(_ starts: [Int]) throws(PatternFault) -> Int {
        guard var start = starts.last else { return 1 }
        for other in starts.dropLast().reversed() { start = try append(.split(other, start)) }
        return start
    }

    private mutating func append(_ instruction: Instruction) throws(PatternFault) -> Int {
        guard instructions.count < PatternProgram.instructionMax else {
            throw PatternProgram.tooLarge
        }
        instructions.append(instruction)
        return instructions.count - 1
    }

    private static let tooLarge = PatternFault(
        reason: "expected an expression of at most \(instructionMax) instructions",
        offset: -1
    )
}
