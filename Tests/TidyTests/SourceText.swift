/// One Swift source cut into lines of code and lines of comment: what a rule may look at without
/// being fooled by words inside literals.
struct SourceText {
    /// Path below the repository's root, with `/`.
    let path: String
    /// The lines as they stand.
    let raw: [String]
    /// The same lines with comments and the contents of string literals blanked.
    let code: [String]
    /// The same lines with everything but comments blanked.
    let comments: [String]

    init(path: String, text: String) {
        self.path = path
        var splitter = Splitter(bytes: Array(text.utf8))
        splitter.run()
        raw = SourceText.lines(Array(text.utf8))
        code = SourceText.lines(splitter.code)
        comments = SourceText.lines(splitter.comments)
    }

    /// The file's name without folders.
    var name: String { String(path.split(separator: "/").last ?? "") }

    /// The folder names above the file.
    var folders: [String] { path.split(separator: "/").dropLast().map(String.init) }

    /// The module under `Sources/` that the file belongs to; nil elsewhere.
    var module: String? {
        let folders = folders
        return folders.count >= 2 && folders[0] == "Sources" ? folders[1] : nil
    }

    /// The folder of DataPlane that the file belongs to; nil elsewhere.
    var dataPlaneFolder: String? {
        let folders = folders
        return folders.count >= 3 && module == "DataPlane" ? folders[2] : nil
    }

    private static func lines(_ bytes: [UInt8]) -> [String] {
        bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Walks a source once and copies every byte to the code side, the comment side or neither.
private struct Splitter {
    let bytes: [UInt8]
    var code: [UInt8] = []
    var comments: [UInt8] = []
    private var position = 0
    /// Open interpolations: the literal each stands in, and its open parentheses.
    private var interpolations: [(literal: Literal, parentheses: Int)] = []

    struct Literal {
        var hashes: Int
        var isMultiline: Bool
    }

    init(bytes: [UInt8]) {
        self.bytes = bytes
        code.reserveCapacity(bytes.count)
        comments.reserveCapacity(bytes.count)
    }

    mutating func run() {
        while position < bytes.count {
            if starts(with: "//") {
                while position < bytes.count, bytes[position] != UInt8(ascii: "\n") {
                    emit(.comment)
                }
            } else if starts(with: "/*") {
                blockComment()
            } else if let literal = literalStart() {
                emit(.code, count: literal.hashes + (literal.isMultiline ? 3 : 1))
                string(literal)
            } else {
                parentheses()
            }
        }
    }

    private enum Side { case code, comment, neither }

    private mutating func emit(_ side: Side, count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            let byte = bytes[position]
            let isNewline = byte == UInt8(ascii: "\n")
            code.append(side == .code || isNewline ? byte : UInt8(ascii: " "))
            comments.append(side == .comment || isNewline ? byte : UInt8(ascii: " "))
            position += 1
        }
    }

    private func starts(with text: StaticString, at offset: Int = 0) -> Bool {
        let word = Array(text.description.utf8)
        let start = position + offset
        return start + word.count <= bytes.count && Array(bytes[start..<start + word.count]) == word
    }

    private mutating func blockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                emit(.comment, count: 2)
            } else if starts(with: "*/") {
                depth -= 1
                emit(.comment, count: 2)
            } else {
                emit(.comment)
            }
        } while depth > 0 && position < bytes.count
    }

    private func literalStart() -> Literal? {
        var hashes = 0
        while position + hashes < bytes.count, bytes[position + hashes] == UInt8(ascii: "#") {
            hashes += 1
        }
        guard starts(with: "\"", at: hashes) else { return nil }
        return Literal(hashes: hashes, isMultiline: starts(with: "\"\"\"", at: hashes))
    }

    private mutating func string(_ literal: Literal) {
        while position < bytes.count {
            if isEnd(of: literal) {
                emit(.code, count: (literal.isMultiline ? 3 : 1) + literal.hashes)
                return
            }
            if bytes[position] == UInt8(ascii: "\\"), hashes(at: 1) >= literal.hashes {
                let escape = position + 1 + literal.hashes
                emit(.neither, count: 1 + literal.hashes)
                if escape < bytes.count, bytes[escape] == UInt8(ascii: "(") {
                    emit(.code)
                    interpolations.append((literal, 1))
                    return
                }
            }
            emit(.neither)
        }
    }

    private func hashes(at offset: Int) -> Int {
        var count = 0
        while position + offset + count < bytes.count,
            bytes[position + offset + count] == UInt8(ascii: "#")
        {
            count += 1
        }
        return count
    }

    private func isEnd(of literal: Literal) -> Bool {
        let quotes = literal.isMultiline ? 3 : 1
        guard literal.isMultiline ? starts(with: "\"\"\"") : starts(with: "\"") else {
            return false
        }
        return hashes(at: quotes) >= literal.hashes
    }

    private mutating func parentheses() {
        let byte = bytes[position]
        emit(.code)
        guard let last = interpolations.indices.last else { return }
        if byte == UInt8(ascii: "(") { interpolations[last].parentheses += 1 }
        if byte == UInt8(ascii: ")") {
            interpolations[last].parentheses -= 1
            if interpolations[last].parentheses == 0 {
                string(interpolations.removeLast().literal)
            }
        }
    }
}
