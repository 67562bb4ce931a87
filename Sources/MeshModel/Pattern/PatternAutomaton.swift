/// Makes a deterministic automaton of a program, by the sets of instructions that a text may have
/// led to.
struct PatternAutomaton {
    /// The most entries of the table of transitions: 256 KiB.
    static let entryMax = 131_072
    private static let stateMax = 16_384
    /// The most instructions that are looked at in all.
    private static let workMax = 4_000_000

    /// Which kind of byte came last; only assertions ask.
    private enum Before: UInt8 {
        case nothing
        case wordCharacter
        case lineFeed
        case other

        var byte: UInt8? {
            switch self {
            case .nothing: nil
            case .wordCharacter: 0x61
            case .lineFeed: 0x0a
            case .other: 0x20
            }
        }
    }

    private struct State: Hashable {
        var instructions: [Int]
        var before: Before
    }

    private(set) var byteClasses = [UInt8](repeating: 0, count: 256)
    private(set) var classCount = 0
    private(set) var transitions: [UInt16] = []
    private(set) var accepts: [Bool] = []

    private let program: PatternProgram
    private var states: [State] = []
    private var numbers: [State: UInt16] = [:]
    /// A byte of each class.
    private var samples: [UInt8] = []
    private var work = 0

    init(_ program: PatternProgram) {
        self.program = program
        classify()
    }

    /// Finds every state that a text may lead to.
    mutating func build() throws(PatternFault) {
        _ = try number(of: State(instructions: [], before: .other))
        _ = try number(
            of: State(
                instructions: [program.start],
                before: program.hasAssertions ? .nothing : .other
            )
        )
        var index = 0
        while index < states.count {
            try follow(states[index])
            index += 1
        }
        states = []
        numbers = [:]
    }

    // MARK: Classes of bytes

    /// Bytes that no instruction tells apart are one class.
    private mutating func classify() {
        var begins = [Bool](repeating: false, count: 257)
        begins[0] = true
        func note(_ range: ClosedRange<UInt8>) {
            begins[Int(range.lowerBound)] = true
            begins[Int(range.upperBound) + 1] = true
        }
        for case .bytes(let range, _) in program.instructions { note(range) }
        if program.hasAssertions {
            for range in [0x0a...0x0a, 0x30...0x39, 0x41...0x5a, 0x5f...0x5f, 0x61...0x7a]
                as [ClosedRange<UInt8>]
            {
                note(range)
            }
        }
        for byte in 0..<256 {
            if begins[byte] {
                samples.append(UInt8(byte))
                classCount += 1
            }
            byteClasses[byte] = UInt8(classCount - 1)
        }
    }

    private func kind(of byte: UInt8) -> Before {
        guard program.hasAssertions else { return .other }
        switch byte {
        case 0x0a: return .lineFeed
        case 0x30...0x39, 0x41...0x5a, 0x5f, 0x61...0x7a: return .wordCharacter
        default: return .other
        }
    }

    // MARK: States

    private mutating func number(of state: State) throws(PatternFault) -> UInt16 {
        if let known = numbers[state] { return known }
        guard states.count < PatternAutomaton.stateMax,
            (states.count + 1) * classCount <= PatternAutomaton.entryMax
        else {
            throw PatternAutomaton.tooLarge
        }
        let number = UInt16(states.count)
        states.append(state)
        numbers[state] = number
        return number
    }

    private mutating func follow(_ state: State) throws(PatternFault) {
        accepts.append(
            try reach(state, before: nil).contains { program.instructions[$0] == .match }
        )
        var reached: [Before: [Int]] = [:]
        for sample in samples {
            let kind = kind(of: sample)
            if reached[kind] == nil { reached[kind] = try reach(state, before: sample) }
            var targets: Set<Int> = []
            let places = reached[kind] ?? []
            work += places.count
            for index in places {
                guard case .bytes(let range, let next) = program.instructions[index],
                    range.contains(sample)
                else { continue }
                targets.insert(next)
            }
            let next = State(
                instructions: targets.sorted(),
                before: targets.isEmpty ? .other : kind
            )
            transitions.append(try number(of: next))
        }
    }

    /// The instructions that a state leads to without a byte, where `before` comes next.
    private mutating func reach(_ state: State, before: UInt8?) throws(PatternFault) -> [Int] {
        var found: [Int] = []
        var seen: Set<Int> = []
        var open = state.instructions
        while let index = open.popLast() {
            guard seen.insert(index).inserted else { continue }
            work += 1
            guard work <= PatternAutomaton.workMax else { throw PatternAutomaton.tooLarge }
            switch program.instructions[index] {
            case .bytes, .match: found.append(index)
            case .split(let left, let right): open += [left, right]
            case .assertion(let kind, let next):
                if kind.holds(after: state.before.byte, before: before) { open.append(next) }
            case .fail: break
            }
        }
        return found
    }

    private static let tooLarge = PatternFault(
        reason: "expected an expression whose automaton has at most \(entryMax) entries",
        offset: -1
    )
}
