import Testing

/// The style page, held against every file of the checkout.
@Suite struct TidyTests {
    @Test(arguments: TidyRule.all.map(\.name))
    func everySourceKeepsTheRule(name: String) throws {
        let rule = try #require(TidyRule.all.first { $0.name == name })
        let sources = try Repository.sources(below: "Sources")
        #expect(sources.count > 10, "the sources were not found below \(Repository.root)")
        let findings = sources.flatMap(rule.check)
        #expect(findings.isEmpty, "\(list(findings))")
    }

    @Test func testsKeepTheRulesThatHoldEverywhere() throws {
        let findings = try Repository.sources(below: "Tests")
            .filter { !$0.path.hasPrefix("Tests/TidyTests/") }
            .flatMap { source in TidyRule.everywhere.flatMap { $0.check(source) } }
        #expect(findings.isEmpty, "\(list(findings))")
    }

    @Test func theFoldersOfDataPlaneLookOneWay() throws {
        let findings = DataPlaneEdges.findings(
            in: try Repository.sources(below: "Sources/DataPlane")
                .filter { $0.dataPlaneFolder != nil }
        )
        #expect(findings.isEmpty, "\(list(findings))")
    }

    /// A file is named for its main type, and a test names that type; or it is listed with what
    /// tests it instead.
    @Test func everyMainTypeIsNamedByATest() throws {
        let tests = try Repository.sources(below: "Tests")
            .filter { $0.name != "UntestedTypes.swift" }
        let named = Set(tests.flatMap { Token.tokens(of: $0.code).map(\.text) })
        let excused = UntestedTypes.byReason.values.reduce(into: Set()) { $0.formUnion($1) }
        let missing = try Repository.sources(below: "Sources").compactMap { source -> String? in
            let type = String(source.name.dropLast(".swift".count))
            guard source.declaredTypes.contains(where: { $0.name == type }),
                !named.contains(type), !excused.contains(type)
            else { return nil }
            return "\(source.path): no test names \(type)"
        }
        #expect(missing.isEmpty, "\n\(missing.joined(separator: "\n"))")
    }

    /// Two names for one bit of an option set would each say what the other means.
    @Test func noBitOfAnOptionSetIsNamedTwice() throws {
        for source in try Repository.sources(below: "Sources") {
            var names: [String: Substring] = [:]
            for line in source.code {
                let words = line.split(separator: " ")
                guard let at = words.firstIndex(of: "static"), words.count > at + 5,
                    words[at + 1] == "let", words[at + 4].hasSuffix("(rawValue:"),
                    line.contains("1 << ")
                else { continue }
                let value = words[(at + 4)...].joined(separator: " ")
                let taken = names.updateValue(words[at + 2], forKey: value)
                #expect(taken == nil, "\(source.path): \(value) is \(words[at + 2]) as well")
            }
        }
    }

    private func list(_ findings: [Finding]) -> String {
        "\n" + findings.map(\.description).joined(separator: "\n")
    }
}
