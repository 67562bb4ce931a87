import Telemetry
import Testing

@Suite struct JSONWriterTests {
    @Test func nestingPutsCommasWhereTheyBelong() {
        var json = JSONWriter()
        json.object { json in
            json.string("a", "x")
            json.array("b") { json in
                json.integer(1)
                json.object { _ in }
                json.array { json in json.bool(true) }
                json.null()
            }
            json.object("c") { json in json.number("d", 1.5) }
            json.null("e")
            json.string("f", nil)
            json.strings("g", ["h", "i"])
            json.bool("j", false)
            json.integer("k", Int?.none)
        }
        #expect(
            json.text == #"{"a":"x","b":[1,{},[true],null],"c":{"d":1.5},"e":null,"f":null,"#
                + #""g":["h","i"],"j":false,"k":null}"#
        )
    }

    @Test(arguments: [
        ("a\"b\\c", #""a\"b\\c""#),
        ("\n\r\t", #""\n\r\t""#),
        ("\u{1}\u{1f}", #""\u0001\u001f""#),
        ("zürich 🐦", "\"zürich 🐦\""),
    ])
    func stringsAreEscaped(_ value: String, _ expected: String) {
        var json = JSONWriter()
        json.string(value)
        #expect(json.text == expected)
    }

    @Test func whatIsNoNumberIsNull() {
        var json = JSONWriter()
        json.array { json in
            json.number(.infinity)
            json.number(.nan)
            json.integer(UInt64.max)
        }
        #expect(json.text == "[null,null,18446744073709551615]")
    }
}
