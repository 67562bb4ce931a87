import MeshModel

/// Why a rule's match does not hold for a request.
enum MatchReason {
    /// Says why, for people.
    ///
    /// - Parameter path: the path the request is routed by.
    /// - Returns: `nil` where the match holds.
    static func text(_ match: HTTPMatch, _ question: RequestQuestion, path: String) -> String? {
        if let reason = text(match.path, path) { return reason }
        if let method = match.method, method != question.method {
            return "expected method \(method), found \(question.method)"
        }
        for wanted in match.headers {
            let found = question.headers.first { $0.name == wanted.name }?.value
            if found != wanted.value {
                return text("header", wanted.name, "\"\(wanted.value)\"", found)
            }
        }
        for wanted in match.headerPatterns {
            let found = question.headers.first { $0.name == wanted.name }?.value
            if found.map(wanted.pattern.matches) != true {
                return text("header", wanted.name, "a match of \(wanted.pattern.text)", found)
            }
        }
        let parameters = parameters(question.target)
        for wanted in match.queryParameters {
            let found = parameters.first { $0.name == wanted.name }?.value
            if found != wanted.value {
                return text("parameter", wanted.name, "\"\(wanted.value)\"", found)
            }
        }
        for wanted in match.queryPatterns {
            let found = parameters.first { $0.name == wanted.name }?.value
            if found.map(wanted.pattern.matches) != true {
                return text("parameter", wanted.name, "a match of \(wanted.pattern.text)", found)
            }
        }
        return nil
    }

    private static func text(_ match: PathMatch, _ path: String) -> String? {
        switch match {
        case .exact(let exact):
            return path == exact ? nil : "expected path \(exact), found \(path)"
        case .prefix(let prefix):
            let holds = prefix.isEmpty || path == prefix || path.hasPrefix(prefix + "/")
            return holds ? nil : "expected a path under \(prefix), found \(path)"
        case .pattern(let pattern):
            return pattern.matches(path)
                ? nil : "expected a match of \(pattern.text), found \(path)"
        }
    }

    private static func text(
        _ kind: String,
        _ name: String,
        _ wanted: String,
        _ found: String?
    ) -> String {
        "expected \(kind) \(name) to be \(wanted), found \(found.map { "\"\($0)\"" } ?? "none")"
    }

    private static func parameters(_ target: String) -> [NamedValue] {
        guard let mark = target.firstIndex(of: "?") else { return [] }
        return target[mark...].dropFirst().split(separator: "&").map { field in
            let sides = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return NamedValue(String(sides[0]), sides.count == 2 ? String(sides[1]) : "")
        }
    }
}
