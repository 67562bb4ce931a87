import Testing

/// The module table that people read is the one that the compiler holds.
@Suite struct ArchitectureTests {
    @Test func theModuleTableIsThatOfTheManifest() throws {
        let drawn = ModuleTable(markdown: try Repository.text("ARCHITECTURE.md"))
        let built = ModuleTable(manifest: try Repository.text("Package.swift"))
        #expect(drawn.edges.count > 10)
        for module in Set(drawn.edges.keys).union(built.edges.keys).sorted() {
            #expect(
                drawn.edges[module]?.sorted() == built.edges[module]?.sorted(),
                "\(module): ARCHITECTURE.md and Package.swift draw different edges"
            )
        }
    }

    @Test func everySourceImportsOnlyWhatItsRowAllows() throws {
        let drawn = ModuleTable(markdown: try Repository.text("ARCHITECTURE.md"))
        let modules = Set(drawn.edges.keys)
        for source in try Repository.sources(below: "Sources") {
            guard let module = source.module else { continue }
            let allowed = drawn.edges[module] ?? []
            for item in source.imports where modules.contains(item.module) {
                #expect(
                    allowed.contains(item.module) || item.module == module,
                    "\(source.path):\(item.line + 1): \(module) may not import \(item.module)"
                )
            }
        }
    }
}
