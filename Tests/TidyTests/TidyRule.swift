/// A rule of the style page: looks at one source and says what breaks it.
struct TidyRule: Sendable {
    let name: String
    let check: @Sendable (SourceText) -> [Finding]

    /// Every rule that looks at one file of `Sources/` at a time.
    static let all: [TidyRule] = [
        .imports, .unsafety, .bannedWords, .safetyComments, .machineDefaults, .typeNames,
        .fileLength, .functionLength, .documentation, .unfinished,
    ]

    /// The rules that hold for tests and benchmarks too.
    static let everywhere: [TidyRule] = [.foundation, .unfinished]
}

extension TidyRule {
    /// C modules and the C library, each with the places that may import it.
    private static let importPlaces: [String: [String]] = [
        "Glibc": ["Sources/LinuxSystem/"],
        "CLinux": ["Sources/LinuxSystem/"],
        "CByteScan": ["Sources/DataPlane/HTTPEngine/", "Sources/DataPlane/NetIO/"],
        "CLibMNL": ["Sources/LinuxSystem/"],
        "COpenSSL": ["Sources/DataPlane/TLS/", "Sources/DataPlane/HTTPEngine/"],
        "CNghttp2": ["Sources/DataPlane/HTTPEngine/"],
        "CLibBPF": ["Sources/XDPEngine/"],
        "CMeshMaps": ["Sources/XDPEngine/"],
        "CLibYAML": ["Sources/Discovery/"],
        "CZlib": ["Sources/PluginRuntime/"],
        "CBrotli": ["Sources/PluginRuntime/"],
        "CZstd": ["Sources/PluginRuntime/"],
        "FoundationEssentials": ["Sources/Discovery/", "Sources/NodeAgent/"],
    ]

    /// Whole Foundation makes a static binary eight times as large; it is used nowhere.
    static let foundation = TidyRule(name: "foundation") { source in
        source.imports.filter { $0.module == "Foundation" }.map {
            source.finding(
                $0.line,
                "Foundation is banned, use the standard library or FoundationEssentials"
            )
        }
    }

    /// C modules end in the module that wraps them.
    static let imports = TidyRule(name: "imports") { source in
        foundation.check(source)
            + source.imports.compactMap { item in
                guard let places = importPlaces[item.module],
                    !places.contains(where: { source.path.hasPrefix($0) })
                else { return nil }
                return source.finding(
                    item.line,
                    "import \(item.module) is banned here, it ends in \(places.joined(separator: ", "))"
                )
            }
    }

    /// Whether a file may hold unsafe code: LinuxSystem, NetIO and the named foreign-function files.
    static func mayBeUnsafe(_ source: SourceText) -> Bool {
        if source.module == "LinuxSystem" || source.dataPlaneFolder == "NetIO" { return true }
        return ["+Callbacks.swift", "+BIO.swift", "+Maps.swift", "+FFI.swift"]
            .contains { source.name.hasSuffix($0) }
    }

    /// Unsafe code stays in small files that say so by their names.
    static let unsafety = TidyRule(name: "unsafety") { source in
        guard !mayBeUnsafe(source) else { return [] }
        let tokens = Token.tokens(of: source.code)
        return tokens.indices.compactMap { index in
            let text = tokens[index].text
            let isMarker = text == "unsafe" && !tokens.isArgument(of: "nonisolated", at: index)
            guard
                isMarker || text.hasPrefix("Unsafe") || text.hasPrefix("withUnsafe")
                    || text == "Unmanaged" || text == "OpaquePointer"
            else { return nil }
            return source.finding(
                tokens[index].line,
                "\(text) is banned here, use Span or a file named *+Callbacks, *+BIO, *+Maps or *+FFI"
            )
        }
    }

    /// Words that have no place in the product, with what stands in for them.
    static let bannedWords = TidyRule(name: "banned words") { source in
        let tokens = Token.tokens(of: source.code)
        return tokens.indices.compactMap { index in
            let text = tokens[index].text
            let next = index + 1 < tokens.count ? tokens[index + 1].text : ""
            let previous = index > 0 ? tokens[index - 1].text : ""
            let isCall = next == "(" && previous != "." && previous != "func"
            let reason: String? =
                switch text {
                case "print" where isCall, "debugPrint" where isCall, "dump" where isCall:
                    "\(text)( is banned, use the log or the command line's writer"
                case "fatalError" where isCall:
                    "fatalError( is banned, use an error or preconditionFailure for our own bugs"
                case "try" where next == "!":
                    "try! is banned, use a typed throw"
                case "as" where next == "!":
                    "as! is banned, use as? or a concrete type"
                case "Any":
                    "Any is banned, use a concrete type or a protocol"
                case "await" where ["TLS", "HTTPEngine"].contains(source.dataPlaneFolder):
                    "await is banned on the data path, use a mailbox"
                default: nil
                }
            return reason.map { source.finding(tokens[index].line, $0) }
        }
    }

    /// A promise to the compiler is made in two modules only, and is argued for.
    static let safetyComments = TidyRule(name: "safety comments") { source in
        let tokens = Token.tokens(of: source.code)
        return tokens.indices.flatMap { index -> [Finding] in
            let next = index + 1 < tokens.count ? tokens[index + 1].text : ""
            let promise: String
            switch tokens[index].text {
            case "@unchecked" where next == "Sendable": promise = "@unchecked Sendable"
            case "nonisolated" where next == "(": promise = "nonisolated(unsafe)"
            default: return []
            }
            let line = tokens[index].line
            var findings: [Finding] = []
            if source.module != "LinuxSystem" && source.dataPlaneFolder != "NetIO" {
                findings.append(
                    source.finding(
                        line,
                        "\(promise) is banned outside LinuxSystem and DataPlane/NetIO"
                    )
                )
            }
            if !source.hasSafetyComment(at: line) {
                findings.append(
                    source.finding(line, "\(promise) without a // SAFETY: line at it")
                )
            }
            return findings
        }
    }

    /// A machine names every case, so that a new one is a compile error.
    static let machineDefaults = TidyRule(name: "machine defaults") { source in
        guard source.name.hasSuffix("Machine.swift") else { return [] }
        let tokens = Token.tokens(of: source.code)
        return tokens.indices.dropLast().compactMap { index in
            guard tokens[index].text == "default", tokens[index + 1].text == ":" else { return nil }
            return source.finding(
                tokens[index].line,
                "default: is banned in a machine, use the named cases"
            )
        }
    }

    /// Names that say nothing.
    static let typeNames = TidyRule(name: "type names") { source in
        let hollow: Set<String> = [
            "Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Utilities", "Common",
        ]
        return source.declaredTypes.compactMap { declaration in
            let words = declaration.name.camelCaseWords
            guard words.contains(where: { hollow.contains($0) }) || words.last == "Data" else {
                return nil
            }
            return source.finding(
                declaration.line,
                "the name \(declaration.name) is banned, use a noun that says what it is"
            )
        }
    }

    /// Files aim at 100 to 300 lines.
    static let fileLength = TidyRule(name: "file length") { source in
        let lines = source.raw.last == "" ? source.raw.count - 1 : source.raw.count
        guard lines > 600, source.raw.first?.hasPrefix("// Over 600 lines because ") != true else {
            return []
        }
        return [
            source.finding(
                0,
                "\(lines) lines, at most 600 unless the first is '// Over 600 lines because …'"
            )
        ]
    }

    /// What is not finished is not merged.
    static let unfinished = TidyRule(name: "unfinished") { source in
        source.comments.enumerated().flatMap { index, comment in
            ["TODO", "FIXME", "XXX", "HACK"].filter { comment.contains($0) }.map {
                source.finding(index, "\($0) is banned, finish it or leave it out")
            }
        }
    }
}
