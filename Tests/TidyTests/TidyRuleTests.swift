import Testing

/// Every rule trips on a bad sample and lets the good one through.
@Suite struct TidyRuleTests {
    struct Sample: Sendable, CustomTestStringConvertible {
        let rule: TidyRule
        let path: String
        let bad: String
        let good: String

        var testDescription: String { "\(rule.name): \(bad)" }
    }

    static let samples: [Sample] = [
        Sample(
            rule: .foundation,
            path: "Tests/XTests/X.swift",
            bad: "import Foundation",
            good: "import FoundationEssentials"
        ),
        Sample(
            rule: .imports,
            path: "Sources/Discovery/X.swift",
            bad: "package import Glibc",
            good: "import CLibYAML\nlet text = \"import Glibc\" // import Glibc"
        ),
        Sample(
            rule: .imports,
            path: "Sources/Ingress/X.swift",
            bad: "import struct FoundationEssentials.Date",
            good: "import MeshModel"
        ),
        Sample(
            rule: .unsafety,
            path: "Sources/Discovery/X.swift",
            bad: "let x = unsafe pointer.pointee",
            good: "let x = \"unsafe\" // unsafe"
        ),
        Sample(
            rule: .unsafety,
            path: "Sources/DataPlane/HTTPEngine/X.swift",
            bad: "func f(_ p: UnsafeRawPointer) {}",
            good: "func f(_ p: borrowing RawSpan) {}"
        ),
        Sample(
            rule: .unsafety,
            path: "Sources/DataPlane/TLS/X.swift",
            bad: "let text = \"\\(unsafe p.pointee)\"",
            good: "let text = \"\\(p)\""
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/NodeAgent/X.swift",
            bad: "print(\"hello\")",
            good: "writer.print(\"hello\")"
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/NodeAgent/X.swift",
            bad: "let y = try! f()",
            good: "let y = try? f()"
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/NodeAgent/X.swift",
            bad: "let y = x as! Int",
            good: "let y = x as? Int"
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/NodeAgent/X.swift",
            bad: "let y: [String: Any] = [:]",
            good: "let y: [String: AnyHashable] = [:]"
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/TrafficPolicy/X.swift",
            bad: "fatalError(\"no\")",
            good: "preconditionFailure(\"no\")"
        ),
        Sample(
            rule: .bannedWords,
            path: "Sources/DataPlane/HTTPEngine/X.swift",
            bad: "let y = await f()",
            good: "let y = f()"
        ),
        Sample(
            rule: .safetyComments,
            path: "Sources/LinuxSystem/X.swift",
            bad: "final class X: @unchecked Sendable {}",
            good: "// SAFETY: one thread owns it.\n/// An X.\nfinal class X: @unchecked Sendable {}"
        ),
        Sample(
            rule: .safetyComments,
            path: "Sources/Ingress/X.swift",
            bad: "// SAFETY: never shared.\nnonisolated(unsafe) var x = 0",
            good: "nonisolated func f() {}"
        ),
        Sample(
            rule: .machineDefaults,
            path: "Sources/Discovery/WatchMachine.swift",
            bad: "switch x {\ncase .a: 1\ndefault: 2\n}",
            good: "switch x {\ncase .a: 1\ncase .b: 2\n}"
        ),
        Sample(
            rule: .typeNames,
            path: "Sources/Ingress/X.swift",
            bad: "struct ListenerManager {}",
            good: "struct DataPlaneView {}"
        ),
        Sample(
            rule: .typeNames,
            path: "Sources/Ingress/X.swift",
            bad: "enum RouteData {}",
            good: "enum Route {}"
        ),
        Sample(
            rule: .fileLength,
            path: "Sources/Ingress/X.swift",
            bad: String(repeating: "let x = 1\n", count: 601),
            good: "// Over 600 lines because it is a table.\n"
                + String(repeating: "let x = 1\n", count: 601)
        ),
        Sample(
            rule: .functionLength,
            path: "Sources/Ingress/X.swift",
            bad: "func f(\n  a: Int = { 1 }()\n) -> Int\nwhere T: X {\n"
                + String(repeating: "g()\n", count: 71) + "}",
            good: "protocol P {\n  func g()\n  init(a: Int)\n}\nfunc f() {\n"
                + String(repeating: "g()\n", count: 70) + "}\nstruct S {"
                + String(repeating: "let x = 1\n", count: 80) + "}"
        ),
        Sample(
            rule: .documentation,
            path: "Sources/Ingress/X.swift",
            bad: "// A plain comment.\npackage struct X {}",
            good: "/// An X.\n@frozen\npackage struct X {}\npackage import MeshModel"
        ),
        Sample(
            rule: .documentation,
            path: "Sources/Ingress/X.swift",
            bad: "@inlinable package static func f() {}",
            good: "struct X {\n    /// Does it.\n    public init() {}\n}"
        ),
        Sample(
            rule: .unfinished,
            path: "Sources/Ingress/X.swift",
            bad: "let x = 1 // FIX" + "ME: later",
            good: "let x = \"FIX" + "ME\""
        ),
    ]

    @Test(arguments: samples)
    func badSampleTripsTheRule(sample: Sample) {
        let findings = sample.rule.check(SourceText(path: sample.path, text: sample.bad))
        #expect(!findings.isEmpty)
        #expect(findings.allSatisfy { $0.path == sample.path && $0.line >= 1 })
    }

    @Test(arguments: samples)
    func goodSamplePasses(sample: Sample) {
        let findings = sample.rule.check(SourceText(path: sample.path, text: sample.good))
        #expect(findings.isEmpty, "\(findings)")
    }

    @Test func everyRuleHasASample() {
        let sampled = Set(TidyRuleTests.samples.map(\.rule.name))
        #expect(sampled.isSuperset(of: (TidyRule.all + TidyRule.everywhere).map(\.name)))
    }

    @Test func anUnsafeFileByNameIsLetThrough() {
        let source = SourceText(
            path: "Sources/DataPlane/TLS/Stream+BIO.swift",
            text: "let x = unsafe p.pointee"
        )
        #expect(TidyRule.unsafety.check(source).isEmpty)
    }

    @Test func aFolderNamingATypeAboveItIsFound() {
        let engine = SourceText(
            path: "Sources/DataPlane/HTTPEngine/Exchange.swift",
            text: "struct Exchange {\n    struct State {}\n}"
        )
        let below = SourceText(
            path: "Sources/DataPlane/NetIO/Worker.swift",
            text: "struct Worker {\n    var exchange: Exchange\n}"
        )
        let above = SourceText(
            path: "Sources/DataPlane/ProxyCore/Forwarder.swift",
            text: "struct Forwarder {\n    var exchange: Exchange\n}"
        )
        #expect(
            DataPlaneEdges.findings(in: [engine, below, above]).map { "\($0.path):\($0.line)" }
                == ["Sources/DataPlane/NetIO/Worker.swift:2"]
        )
    }

    @Test func moduleTablesAreReadFromBothTexts() {
        let markdown = """
            <!-- module-table:begin -->
            | module | owns | may import |
            |---|---|---|
            | A | a | – |
            | B | b | A |
            <!-- module-table:end -->
            """
        let manifest = """
            let targets = [
                module("A", []),
                module("B", ["A", .product(name: "Logging", package: "swift-log")]),
                .executableTarget(
                    name: "C",
                    dependencies: ["A"],
                    path: "Tests/C"
                ),
            ]
            """
        let table = ModuleTable(markdown: markdown)
        #expect(table.edges == ["A": [], "B": ["A"]])
        #expect(table == ModuleTable(manifest: manifest))
    }
}
