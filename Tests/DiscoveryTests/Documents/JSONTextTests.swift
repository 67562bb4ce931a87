import Discovery
import MeshModel
import Testing

@Suite struct JSONTextTests {
    @Test func everyKindOfValueIsRead() {
        let text = #" {"a": [1, -2.5, "x\n\u00e9\ud83d\udc26", true, false, null, {}, []]} "#
        #expect(
            JSONText.parse(text)
                == .object([
                    .init(
                        "a",
                        .array([
                            .integer(1), .number(-2.5), .string("x\né🐦"), .bool(true),
                            .bool(false), .null, .object([]), .array([]),
                        ])
                    )
                ])
        )
    }

    @Test(arguments: [
        "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "01", "1.", "-", "tru",
        "\"", "\"\u{1}\"", "\"\\x\"", "\"\\ud800\"", "1 2", "[1}", "+1",
        String(repeating: "[", count: 200) + String(repeating: "]", count: 200),
    ])
    func whatIsNoJSONIsRefused(_ text: String) {
        #expect(JSONText.parse(text) == nil)
    }
}
