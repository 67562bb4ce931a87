extension TidyRule {
    /// A body longer than a screen hides what it does.
    static let functionLength = TidyRule(name: "function length") { source in
        let bodyLineLimit = 70
        return source.functions.compactMap { function in
            guard function.bodyLineCount > bodyLineLimit else { return nil }
            return source.finding(
                function.line,
                "\(function.name) has \(function.bodyLineCount) lines, at most \(bodyLineLimit)"
            )
        }
    }

    /// The formatter's own rule looks at `public` only.
    static let documentation = TidyRule(name: "documentation") { source in
        let kinds: Set<String> = [
            "func", "var", "let", "init", "struct", "class", "enum", "actor", "protocol",
            "typealias", "subscript", "static", "final", "mutating", "consuming", "borrowing",
            "indirect", "nonisolated", "convenience", "required", "private", "internal", "lazy",
            "weak", "unowned", "isolated", "distributed", "prefix", "postfix", "infix",
        ]
        let tokens = Token.tokens(of: source.code)
        return tokens.indices.dropLast().compactMap { index in
            let token = tokens[index]
            guard token.text == "package" || token.text == "public",
                kinds.contains(tokens[index + 1].text),
                tokens.startsDeclaration(at: index),
                !source.hasDocumentation(above: token.line)
            else { return nil }
            return source.finding(token.line, "a \(token.text) declaration without ///")
        }
    }
}

extension [Token] {
    /// Whether the word stands inside the parentheses of `function`.
    func isArgument(of function: String, at index: Int) -> Bool {
        index >= 2 && self[index - 1].text == "(" && self[index - 2].text == function
    }

    /// Whether only attributes and modifiers precede the token on its line.
    func startsDeclaration(at index: Int) -> Bool {
        var cursor = index
        while !self[cursor].isFirstOfLine {
            cursor -= 1
            guard self[cursor].line == self[index].line else { return false }
        }
        let first = self[cursor].text
        return cursor == index || first.hasPrefix("@") || first == "static" || first == "final"
            || first == "nonisolated"
    }
}

extension SourceText {
    struct Function {
        let name: String
        let line: Int
        let bodyLineCount: Int
    }

    /// - Parameter line: from 0.
    func finding(_ line: Int, _ reason: String) -> Finding {
        Finding(path: path, line: line + 1, reason: reason)
    }

    /// The modules imported, with their lines from 0.
    var imports: [(module: String, line: Int)] {
        let tokens = Token.tokens(of: code)
        let kinds: Set<String> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
        return tokens.indices.dropLast().compactMap { index in
            guard tokens[index].text == "import", tokens.startsImport(at: index) else { return nil }
            let next = tokens[index + 1]
            if kinds.contains(next.text), index + 2 < tokens.count {
                return (tokens[index + 2].text, tokens[index].line)
            }
            return (next.text, tokens[index].line)
        }
    }

    /// The types declared, at any depth, with the depth of braces they stand at.
    var declaredTypes: [(name: String, line: Int, depth: Int)] {
        let tokens = Token.tokens(of: code)
        let kinds: Set<String> = ["struct", "class", "enum", "actor", "protocol", "typealias"]
        var depth = 0
        var types: [(name: String, line: Int, depth: Int)] = []
        for (index, token) in tokens.enumerated() {
            if token.text == "{" { depth += 1 }
            if token.text == "}" { depth -= 1 }
            guard kinds.contains(token.text), index + 1 < tokens.count,
                index == 0 || (tokens[index - 1].text != "." && tokens[index - 1].text != "import")
            else { continue }
            let name = tokens[index + 1]
            guard let first = name.text.first, first.isUppercase else { continue }
            types.append((name.text, name.line, depth))
        }
        return types
    }

    /// Functions, initialisers and deinitialisers that have a body.
    var functions: [Function] {
        let tokens = Token.tokens(of: code)
        return tokens.indices.compactMap { index in
            let token = tokens[index]
            let next = index + 1 < tokens.count ? tokens[index + 1].text : ""
            let previous = index > 0 ? tokens[index - 1].text : ""
            let isFunction = token.text == "func" && previous != "."
            let isInit = token.text == "init" && previous != "." && ["(", "?", "<"].contains(next)
            let isDeinit = token.text == "deinit" && next == "{"
            guard isFunction || isInit || isDeinit, let open = tokens.bodyStart(after: index) else {
                return nil
            }
            let close = tokens.matchingBrace(of: open)
            return Function(
                name: isFunction ? next : token.text,
                line: token.line,
                bodyLineCount: max(tokens[close].line - tokens[open].line - 1, 0)
            )
        }
    }

    /// Whether the comment block above the line, past attributes, holds a `///` line.
    func hasDocumentation(above line: Int) -> Bool {
        guard let above = lastLineAbove(line) else { return false }
        let comment = comments[above].trimmed
        return comment.hasPrefix("///") || comment.hasSuffix("*/")
    }

    /// Whether a comment that touches the line, from above or below, says why it is safe.
    func hasSafetyComment(at line: Int) -> Bool {
        var cursor = line
        if comments[line].contains("SAFETY:") { return true }
        if line + 1 < comments.count, comments[line + 1].contains("SAFETY:") { return true }
        while let above = lastLineAbove(cursor), comments[above].trimmed.hasPrefix("//") {
            if comments[above].contains("SAFETY:") { return true }
            cursor = above
        }
        return false
    }

    private func lastLineAbove(_ line: Int) -> Int? {
        var cursor = line - 1
        while cursor >= 0 {
            let text = code[cursor].trimmed
            guard text.hasPrefix("@") || text.hasPrefix("#if") || text.hasPrefix("#endif") else {
                return cursor
            }
            cursor -= 1
        }
        return nil
    }
}

extension [Token] {
    fileprivate func startsImport(at index: Int) -> Bool {
        guard !self[index].isFirstOfLine else { return true }
        let modifiers: Set<String> = ["package", "public", "internal", "private", "fileprivate"]
        let previous = self[index - 1]
        return modifiers.contains(previous.text) || previous.text.hasPrefix("@")
            || previous.text == ")"
    }

    /// The `{` of the declaration at `index`; nil where it has no body (a requirement).
    fileprivate func bodyStart(after index: Int) -> Int? {
        let ends: Set<String> = [
            "}", "func", "var", "let", "init", "deinit", "static", "mutating", "associatedtype",
            "subscript", "package", "public", "private", "internal", "case", "typealias",
        ]
        var depth = 0
        var cursor = index + 1
        while cursor < count {
            let text = self[cursor].text
            switch text {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            case "{" where depth == 0: return cursor
            case _ where depth == 0 && cursor > index + 1 && ends.contains(text): return nil
            default: break
            }
            cursor += 1
        }
        return nil
    }

    fileprivate func matchingBrace(of open: Int) -> Int {
        var depth = 0
        for cursor in open..<count {
            if self[cursor].text == "{" { depth += 1 }
            if self[cursor].text == "}" {
                depth -= 1
                if depth == 0 { return cursor }
            }
        }
        return count - 1
    }
}

extension String {
    var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    /// `FilterManager` is `Filter`, `Manager`; a run of capitals is one word.
    var camelCaseWords: [String] {
        var words: [String] = []
        var previousIsLower = true
        for character in self {
            if character.isUppercase && previousIsLower || words.isEmpty {
                words.append(String(character))
            } else {
                words[words.count - 1].append(character)
            }
            previousIsLower = !character.isUppercase
        }
        return words
    }
}
