import MeshModel
import Testing

@testable import Discovery

@Suite struct YAMLReaderTests {
    private func read(_ text: String) throws -> [DocumentNode] {
        try YAMLReader.read(Array(text.utf8))
    }

    @Test func documentsKeepTheirLines() throws {
        let documents = try read("a: 1\n---\nb:\n- x\n- y\n---\n")
        #expect(documents.map(\.line) == [1, 3])
        #expect(documents.last?["b"]?.json == .array([.string("x"), .string("y")]))
    }

    @Test func jsonIsReadAsYAML() throws {
        let documents = try read(#"{"a": [1, 1.5, true, null, "8"], "b": {"c": "\u00e9"}}"#)
        let expected = JSONValue.array([
            .integer(1), .number(1.5), .bool(true), .null, .string("8"),
        ])
        #expect(documents.first?["a"]?.json == expected)
        #expect(documents.first?["b"]?["c"]?.string == "é")
    }

    @Test(arguments: [
        "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: [1\nb: 2\n", "a:\n\t- 1\n", "[a]: 1\n",
        String(repeating: "[", count: 70),
    ])
    func whatIsNotPlainIsRefusedWithItsLine(text: String) {
        let fault = #expect(throws: DocumentFault.self) { try read(text) }
        #expect((1...3).contains(fault?.line ?? 0))
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(state: 0x9e37_79b9_7f4a_7c15)
        let alphabet = Array("{}[]:,-\"' \n\t#&*!|>%@ab01\\".utf8)
        for _ in 0..<2_000 {
            let bytes = (0..<40).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            _ = ManifestReader.read(bytes)
            _ = try? DocumentNode(json: bytes)
        }
    }
}

/// xorshift64*: the same numbers for the same seed.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
