import MeshModel
import Testing

@testable import DataPlane

/// The compiled view against the Gateway API's precedence taken literally (HTTPRouteMatch, GEP-724).
/// Every request is asked for twice: what is remembered must be what was found.
@Suite struct RoutingViewTests {
    private struct Asked {
        var method = "GET"
        var host = "a.example"
        var path = "/"
        var headers: [NamedValue] = []
    }

    private struct Answer: Equatable {
        var listener: Int32
        var action: Int
    }

    // MARK: Asking the view

    private func ask(_ view: borrowing RoutingView, _ asked: Asked) throws -> Answer? {
        var text = "\(asked.method) \(asked.path) HTTP/1.1\r\nhost: \(asked.host)\r\n"
        for header in asked.headers { text += "\(header.name): \(header.value)\r\n" }
        let bytes = Array((text + "\r\n").utf8)
        var fields = [HeaderField](repeating: HeaderField(), count: 32)
        var table = fields.mutableSpan
        let parsed = unsafe HTTP1Head.parseRequest(
            bytes.span.bytes,
            into: &table,
            limits: HeadLimits()
        )
        guard case .head(let parsed) = parsed else {
            Issue.record("refused: \(text)")
            return nil
        }
        var head = RequestHead()
        head.methodLength = Int32(parsed.methodLength)
        head.authorityOffset = Int32(parsed.authorityOffset)
        head.authorityLength = Int32(parsed.authorityLength)
        let span = unsafe bytes.span.bytes
        let path = RequestPath(span, parsed.pathOffset, parsed.pathLength)
        let host = view.findHost(
            0,
            span,
            Int(head.authorityOffset),
            Int(head.authorityLength)
        )
        guard host >= 0 else { return nil }
        let action = view.findAction(
            host,
            span,
            fields.span.extracting(0..<parsed.fieldCount),
            TextRange(start: head.methodOffset, byteCount: head.methodLength),
            path
        )
        guard action >= 0 else { return nil }
        return Answer(listener: view.hosts[Int(host)].listener, action: Int(action))
    }

    // MARK: The model

    private func model(_ hosts: [EngineHost], _ asked: Asked) -> Answer? {
        let name = String(asked.host.lowercased().split(separator: ":")[0])
        let ranked = hosts.enumerated().compactMap { index, host -> (Int, Int)? in
            switch host.pattern {
            case .exact(let exact): exact == name ? (1_000, index) : nil
            case .wildcard(let suffix):
                name.hasSuffix("." + suffix) ? (suffix.utf8.count, index) : nil
            case .any: (-1, index)
            }
        }
        guard let (_, host) = ranked.max(by: { $0.0 < $1.0 }) else { return nil }
        let rules = hosts[host].rules.enumerated().filter { matches($0.element.match, asked) }
        let best = rules.min {
            rank($0.element.match, $0.offset).lexicographicallyPrecedes(
                rank($1.element.match, $1.offset)
            )
        }
        guard let best, let action = Int(best.element.action.routeName) else { return nil }
        return Answer(listener: hosts[host].listener, action: action)
    }

    private func matches(_ match: HTTPMatch, _ asked: Asked) -> Bool {
        let parts = asked.path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        switch match.path {
        case .exact(let exact): guard path == exact else { return false }
        case .prefix(let prefix):
            guard prefix.isEmpty || path == prefix || path.hasPrefix(prefix + "/") else {
                return false
            }
        case .pattern(let pattern): guard pattern.matches(path) else { return false }
        }
        if let method = match.method, method != asked.method { return false }
        for wanted in match.headers {
            let found = asked.headers.first { $0.name.lowercased() == wanted.name }
            guard found?.value == wanted.value else { return false }
        }
        for wanted in match.headerPatterns {
            let found = asked.headers.first { $0.name.lowercased() == wanted.name }
            guard let found, wanted.pattern.matches(found.value) else { return false }
        }
        let query = parts.count > 1 ? parts[1].split(separator: "&") : []
        for wanted in match.queryPatterns {
            let found = query.first { $0.hasPrefix("\(wanted.name)=") }
            guard let found, wanted.pattern.matches(String(found.dropFirst(2))) else {
                return false
            }
        }
        return match.queryParameters.allSatisfy { query.contains("\($0.name)=\($0.value)") }
    }

    private func rank(_ match: HTTPMatch, _ position: Int) -> [Int] {
        let (kind, length): (Int, Int) =
            switch match.path {
            case .exact(let path): (0, -path.utf8.count)
            case .pattern(let pattern): (1, -pattern.text.utf8.count)
            case .prefix(let path): (2, -path.utf8.count)
            }
        return [
            kind, length, match.method == nil ? 1 : 0, -match.headerCount, -match.queryCount,
            position,
        ]
    }

    // MARK: Random configurations

    private func view(of hosts: [EngineHost], version: UInt64 = 1) -> RoutingView {
        var configuration = EngineConfiguration()
        configuration.entries[0] = EngineEntry(isEdge: true, hosts: hosts, listener: 0)
        return RoutingView(version: version, configuration)
    }

    private static let paths = [
        "", "/a", "/a/b", "/a/b/c", "/ab", "/long/path/of/several/elements",
        "/exactly/forty/bytes/of/path/are/kept/ok", "/x",
    ]
    private static let names = [
        "a.example", "b.example", "x.y.example", "a-host-name-of-twenty.example",
        "quite-a-long-host-name.with.labels.example",
    ]

    /// Of different lengths, so that their order is one.
    private static let patterns = ["/a/.*", "/[a-c]+", "/a/?b?/?c?", ".*"].compactMap {
        try? Pattern($0)
    }
    private static let digits = (try? Pattern("[0-9]+")) ?? patterns[0]

    private func hosts(_ random: inout SplitMix, conditions: Bool) -> [EngineHost] {
        var patterns: [HostPattern] = Self.names.shuffled(using: &random).prefix(2).map {
            .exact($0)
        }
        patterns += [.wildcard(suffix: "example"), .wildcard(suffix: "y.example")]
        if Bool.random(using: &random) { patterns.append(.any) }
        var next = 0
        return patterns.enumerated().map { listener, pattern in
            let rules = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                rule(&random, conditions, &next)
            }
            return EngineHost(pattern: pattern, listener: Int32(listener), rules: rules)
        }
    }

    private func rule(
        _ random: inout SplitMix,
        _ conditions: Bool,
        _ next: inout Int
    ) -> EngineRule {
        let text = Self.paths.randomElement(using: &random) ?? ""
        let isExact = !text.isEmpty && Bool.random(using: &random)
        var match = HTTPMatch(path: isExact ? .exact(text) : .prefix(text))
        if Int.random(in: 0..<4, using: &random) == 0,
            let pattern = Self.patterns.randomElement(using: &random)
        {
            match.path = .pattern(pattern)
        }
        if conditions {
            match.method = [nil, nil, "GET", "POST"].randomElement(using: &random) ?? nil
            if Bool.random(using: &random) { match.headers = [NamedValue("x-one", "1")] }
            if Bool.random(using: &random) { match.queryParameters = [NamedValue("q", "2")] }
            if match.headers.isEmpty && Bool.random(using: &random) {
                match.headerPatterns = [NamedPattern("x-one", Self.digits)]
            }
            if match.queryParameters.isEmpty && Bool.random(using: &random) {
                match.queryPatterns = [NamedPattern("q", Self.digits)]
            }
        }
        defer { next += 1 }
        return EngineRule(match: match, action: EngineAction(routeName: "\(next)", backends: []))
    }

    private func asked(_ random: inout SplitMix) -> Asked {
        var asked = Asked()
        asked.method = ["GET", "POST", "PUT"].randomElement(using: &random) ?? "GET"
        let name = (Self.names + ["none.test", "z.a.example"]).randomElement(using: &random) ?? ""
        asked.host = Bool.random(using: &random) ? name : name.uppercased() + ":8080"
        let tail = ["", "/", "/more", "x", "?q=2", "?z=1&q=2", "/d/e?q=3"]
        let path = Self.paths.randomElement(using: &random) ?? ""
        asked.path = path + (tail.randomElement(using: &random) ?? "")
        if !asked.path.hasPrefix("/") { asked.path = "/" + asked.path }
        if Bool.random(using: &random) { asked.headers = [NamedValue("X-One", "1")] }
        return asked
    }

    @Test(arguments: 0..<60)
    func aViewFindsWhatThePrecedenceSays(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let hosts = hosts(&random, conditions: seed % 2 == 0)
        let view = view(of: hosts)
        // Actions are numbered as the compiler sorted them: the name tells which rule one is.
        for _ in 0..<60 {
            let asked = asked(&random)
            let wanted = model(hosts, asked)
            for _ in 0..<2 {
                let found = try ask(view, asked).map { named($0, view) }
                #expect(found == wanted, "seed \(seed): \(asked)")
            }
        }
    }

    private func named(_ answer: Answer, _ view: borrowing RoutingView) -> Answer {
        let range = view.actions[answer.action].routeName.range
        let name = view.wholeText.extracting(range)
        var number = 0
        for offset in 0..<name.byteCount {
            number = number * 10 + Int(name.byte(at: offset) - 0x30)
        }
        return Answer(listener: answer.listener, action: number)
    }

    /// Two rules of one path that both match, the one that must give way first.
    @Test(arguments: [
        (HTTPMatch(), HTTPMatch(method: "GET")),
        (HTTPMatch(headers: [one]), HTTPMatch(headers: [one, two])),
        (HTTPMatch(), HTTPMatch(headers: [one])),
        (HTTPMatch(queryParameters: [q]), HTTPMatch(queryParameters: [q, r])),
        (HTTPMatch(headers: [one], queryParameters: [q, r]), HTTPMatch(headers: [one, two])),
        (HTTPMatch(headers: [one, two], queryParameters: [q, r]), HTTPMatch(method: "GET")),
        (HTTPMatch(path: .prefix("")), HTTPMatch(path: .prefix("/a"))),
        (HTTPMatch(path: .prefix("/a/b"), method: "GET"), HTTPMatch(path: .exact("/a/b"))),
        (HTTPMatch(path: .prefix("/a/b"), method: "GET"), HTTPMatch(path: .pattern(patterns[3]))),
        (HTTPMatch(path: .pattern(patterns[3])), HTTPMatch(path: .pattern(patterns[0]))),
        (HTTPMatch(path: .pattern(patterns[0])), HTTPMatch(path: .exact("/a/b"))),
        (HTTPMatch(), HTTPMatch(headerPatterns: [NamedPattern("x-one", digits)])),
        (HTTPMatch(), HTTPMatch(queryPatterns: [NamedPattern("q", digits)])),
    ])
    func theMoreSpecificOfTwoRulesTakesTheRequest(general: HTTPMatch, specific: HTTPMatch) throws {
        let rules = [general, specific].enumerated().map { number, match in
            EngineRule(match: match, action: EngineAction(routeName: "\(number)", backends: []))
        }
        let view = view(of: [EngineHost(pattern: .any, listener: 0, rules: rules)])
        let asked = Asked(path: "/a/b?q=2&r=3", headers: [Self.one, Self.two])
        #expect(named(try #require(try ask(view, asked)), view).action == 1)
    }

    private static let one = NamedValue("x-one", "1")
    private static let two = NamedValue("x-two", "2")
    private static let q = NamedValue("q", "2")
    private static let r = NamedValue("r", "3")

    @Test func whatIsRememberedOfOneViewIsNotOfTheNext() throws {
        func rules(_ name: String) -> [EngineRule] {
            let action = EngineAction(routeName: name, backends: [])
            return [EngineRule(match: HTTPMatch(path: .prefix("/a")), action: action)]
        }
        let first = view(of: [EngineHost(pattern: .any, listener: 0, rules: rules("7"))])
        #expect(named(try #require(try ask(first, Asked(path: "/a"))), first).action == 7)
        let second = view(
            of: [EngineHost(pattern: .any, listener: 3, rules: rules("8"))],
            version: 2
        )
        let answer = named(try #require(try ask(second, Asked(path: "/a"))), second)
        #expect(answer == Answer(listener: 3, action: 8))
        #expect(try ask(second, Asked(path: "/b")) == nil)
    }

    @Test func aNameIsWrittenToTheLogAsJSONText() {
        let action = EngineAction(routeName: "a\"b\\c\u{1}é", backends: [])
        let rule = EngineRule(match: HTTPMatch(), action: action)
        let view = view(of: [EngineHost(pattern: .any, listener: 0, rules: [rule])])
        let name = view.wholeText.extracting(view.actions[0].routeName.range)
        let text = String(decoding: (0..<name.byteCount).map { name.byte(at: $0) }, as: UTF8.self)
        #expect(text == "a\\u0022b\\u005cc\\u0001\\u00c3\\u00a9")
    }
}
