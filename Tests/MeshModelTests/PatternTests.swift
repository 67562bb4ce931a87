import Testing

@testable import MeshModel

/// Regular expressions in RE2's syntax, matched against whole texts.
@Suite struct PatternTests {
    @Test(arguments: PatternCase.all)
    func takesTextsAndLeavesOthers(_ example: PatternCase) throws {
        let pattern = try Pattern(example.pattern)
        for text in example.taken {
            #expect(pattern.matches(text), "\(example.pattern) is to take \(text.debugDescription)")
        }
        for text in example.left {
            #expect(!pattern.matches(text), "\(example.pattern) took \(text.debugDescription)")
        }
    }

    @Test(arguments: [
        "(", ")", "a)", "[", "[a", "[b-a]", "[[:nothing:]]", "*", "a**", "a{2}{3}", "a{1001}",
        "a{3,2}", "\\", "\\1", "(?=a)", "(?!a)", "(?<=a)", "(?P<>a)", "(?P<n", "(?x)a", "\\y",
        "\\x{110000}", "\\xg0", "\\p{Greek}", "\\p{", "\\C", "(?i",
    ])
    func whatRE2RefusesIsRefusedWithItsPlace(_ text: String) {
        let fault = #expect(throws: PatternFault.self) { try Pattern(text) }
        #expect((fault?.offset ?? -1) >= 0)
        #expect(fault?.reason.contains("expected") == true)
    }

    @Test(arguments: [
        String(repeating: "a", count: Pattern.byteLimit + 1),
        "(((a{1000}){1000}){1000}){1000}",
        "((((){1000}){1000}){1000}){1000}",
        "(?:a|b)*a(?:a|b){40}",
        "(?:\\pL{500}){2}",
        String(repeating: "(", count: 200) + String(repeating: ")", count: 200),
    ])
    func whatWouldCostTooMuchIsRefused(_ text: String) {
        #expect(throws: PatternFault.self) { try Pattern(text) }
    }

    /// Each range of scalars is encoded by byte ranges that take its members and no others.
    @Test(
        arguments: [
            0x00...0x7f, 0x7f...0x80, 0x7ff...0x800, 0xd7ff...0xe000, 0xffff...0x1_0000,
            0x41...0x1_f600, 0x3ff...0x1234, 0x1_0000...0x10_ffff,
        ] as [ClosedRange<UInt32>]
    )
    func byteRangesEncodeExactlyTheirScalars(_ range: ClosedRange<UInt32>) {
        let sequences = UTF8Ranges.sequences(of: ScalarSet([range]))
        var random = SystemRandomNumberGenerator()
        let borders = [range.lowerBound, range.upperBound].flatMap { [$0 &- 1, $0, $0 &+ 1] }
        let some = (0..<2_000).map { _ in UInt32.random(in: 0...0x10_ffff, using: &random) }
        for value in borders + some {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let bytes = Array(String(Character(scalar)).utf8)
            let isTaken = sequences.contains { sequence in
                sequence.count == bytes.count && zip(sequence, bytes).allSatisfy { $0 ~= $1 }
            }
            #expect(isTaken == range.contains(value), "scalar \(value) of \(range)")
        }
    }
}

struct PatternCase: CustomTestStringConvertible, Sendable {
    var pattern: String
    var taken: [String]
    var left: [String]

    var testDescription: String { pattern }

    init(_ pattern: String, _ taken: [String], not left: [String]) {
        self.pattern = pattern
        self.taken = taken
        self.left = left
    }

    static let all: [PatternCase] = [
        PatternCase("", [""], not: ["a"]),
        PatternCase("abc", ["abc"], not: ["", "ab", "abcd", "xabc"]),
        PatternCase("a|bc|", ["a", "bc", ""], not: ["b", "abc"]),
        PatternCase("(a|b)*c", ["c", "abac"], not: ["ab", "cc"]),
        PatternCase("a+?b??", ["a", "aab"], not: ["b", "abb"]),
        PatternCase("a{2}", ["aa"], not: ["a", "aaa"]),
        PatternCase("a{2,}", ["aa", "aaaaa"], not: ["a"]),
        PatternCase("a{1,3}", ["a", "aaa"], not: ["", "aaaa"]),
        PatternCase("a{0}b", ["b"], not: ["ab"]),
        PatternCase("a{,2}", ["a{,2}"], not: ["aa"]),
        PatternCase("x{", ["x{"], not: ["x"]),
        PatternCase("(a*)*b", ["b", "aaab"], not: ["aaa"]),
        PatternCase("/v[0-9]+/.*", ["/v1/", "/v22/a/b"], not: ["/v/", "/va/x"]),
        PatternCase(".", ["a", "é", "😀", " "], not: ["", "\n", "ab"]),
        PatternCase("(?s).", ["\n"], not: [""]),
        PatternCase("[^a]", ["b", "\n", "日"], not: ["a", ""]),
        PatternCase("[]a]+", ["]a"], not: ["b"]),
        PatternCase("[^]a]", ["b"], not: ["]", "a"]),
        PatternCase("[a-c-]", ["b", "-"], not: ["d"]),
        PatternCase("[\\d\\-x]+", ["1-x"], not: ["y"]),
        PatternCase("[[:alpha:][:digit:]]+", ["a1Z"], not: ["-", "é"]),
        PatternCase("[[:^alpha:]]", ["1"], not: ["a"]),
        PatternCase("[à-ü]+", ["éü"], not: ["e"]),
        PatternCase("\\d\\D\\s\\S\\w\\W", ["1a b_-"], not: ["aa b_-", "1a b__"]),
        PatternCase("\\pL+\\p{Nd}\\PL", ["éa1-"], not: ["1a1-", "a1b"]),
        PatternCase("\\p{^L}", ["1"], not: ["a"]),
        PatternCase("\\x41\\x{1F600}\\101\\t\\.", ["A😀A\t."], not: ["A😀A\ta"]),
        PatternCase("\\Qa.b*\\Ec", ["a.b*c"], not: ["axbbc"]),
        PatternCase("\\Qa+\\E+b", ["a+b", "a++b"], not: ["aab"]),
        PatternCase("(?i)straße|KEY", ["STRAßE", "key", "\u{212a}ey"], not: ["kye"]),
        PatternCase("a(?i)b(?-i)c", ["abc", "aBc"], not: ["Abc", "abC"]),
        PatternCase("(?i:a)b", ["Ab"], not: ["aB"]),
        PatternCase("(?i)[^a]", ["b"], not: ["a", "A"]),
        PatternCase("(?P<name>a)(?<other>b)(?:c)", ["abc"], not: ["ab"]),
        PatternCase("^a$", ["a"], not: ["a\n"]),
        PatternCase("\\Aa\\z", ["a"], not: ["aa"]),
        PatternCase("a$b|^c", ["c"], not: ["ab"]),
        PatternCase("(?m)a$\n^b", ["a\nb"], not: ["ab"]),
        PatternCase("a\\b.\\bb", ["a b"], not: ["acb"]),
        PatternCase("\\B-\\Ba?", ["-"], not: ["-a"]),
        PatternCase("(?U)a+b*", ["aab"], not: ["b"]),
    ]
}
