/// A word or a mark of code, with the line it stands on.
struct Token: Equatable {
    let text: String
    /// Index of the line, from 0.
    let line: Int
    /// Whether it is the first token of its line.
    let isFirstOfLine: Bool

    /// Whether the token is an identifier or a keyword.
    var isWord: Bool {
        text.utf8.first.map { Token.isWordByte($0) } ?? false
    }

    /// The tokens of blanked code: words, and every other character on its own.
    static func tokens(of lines: [String]) -> [Token] {
        var tokens: [Token] = []
        for (index, line) in lines.enumerated() {
            var word: [UInt8] = []
            var isFirst = true
            func flush() {
                guard !word.isEmpty else { return }
                let text = String(decoding: word, as: UTF8.self)
                tokens.append(Token(text: text, line: index, isFirstOfLine: isFirst))
                isFirst = false
                word = []
            }
            for byte in line.utf8 {
                if isWordByte(byte) || (word.isEmpty && byte == UInt8(ascii: "@")) {
                    word.append(byte)
                    continue
                }
                flush()
                guard byte != UInt8(ascii: " ") && byte != UInt8(ascii: "\t") else { continue }
                let text = String(decoding: [byte], as: UTF8.self)
                tokens.append(Token(text: text, line: index, isFirstOfLine: isFirst))
                isFirst = false
            }
            flush()
        }
        return tokens
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default:
            byte >= 0x80
        }
    }
}
