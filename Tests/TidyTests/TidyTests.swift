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

    private func list(_ findings: [Finding]) -> String {
        "\n" + findings.map(\.description).joined(separator: "\n")
    }
}
