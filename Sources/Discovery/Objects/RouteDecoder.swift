import MeshModel

/// HTTPRoute and TCPRoute, read strictly.
enum RouteDecoder {
    static func httpRoute(_ spec: inout FieldReader) -> HTTPRouteContent {
        var content = HTTPRouteContent()
        content.parents = parents(&spec)
        content.hostnames = hostnames(&spec)
        content.rules = spec.readers("rules").map { rule in
            var rule = rule
            return Self.rule(&rule)
        }
        return content
    }

    static func tcpRoute(_ spec: inout FieldReader) -> TCPRouteContent {
        var content = TCPRouteContent()
        content.parents = parents(&spec)
        let rules = spec.readers("rules")
        if rules.count != 1 { spec.refuse("rules", "expected one rule, found \(rules.count)") }
        for rule in rules {
            var rule = rule
            rule.ignore("name")
            content.backends = backends(&rule)
            rule.refuseUnknown()
        }
        return content
    }

    static func hostnames(_ spec: inout FieldReader) -> [String] {
        let names = spec.strings("hostnames")
        for name in names where !HostName.isValid(name) {
            spec.refuse("hostnames", "expected DNS names, found \"\(name)\"")
        }
        return names
    }

    static func parents(_ spec: inout FieldReader) -> [ObjectReference] {
        spec.readers("parentRefs").map { parent in
            var parent = parent
            defer { parent.refuseUnknown() }
            return GatewayDecoder.reference(
                &parent,
                defaultKind: "Gateway",
                defaultGroup: "gateway.networking.k8s.io",
                with: [.port, .sectionName]
            )
        }
    }

    private static func rule(_ reader: inout FieldReader) -> HTTPRouteContent.Rule {
        defer { reader.refuseUnknown() }
        reader.ignore("name")
        let matches = matches(&reader, match)
        let filters = RouteFilterDecoder.filters(&reader)
        let backends = backends(&reader)
        filters.check(matches, hasBackends: !backends.isEmpty, &reader)
        for backend in backends { backend.change.map { filters.check($0, matches, &reader) } }
        var timeouts = reader.reader("timeouts")
        defer { timeouts.refuseUnknown() }
        return HTTPRouteContent.Rule(
            matches: matches,
            requestHeaders: filters.request,
            responseHeaders: filters.response,
            backends: backends,
            requestTimeout: duration(&timeouts, "request"),
            backendRequestTimeout: duration(&timeouts, "backendRequest"),
            retries: RouteRetryDecoder.retries(&reader),
            mirrors: filters.mirrors,
            change: filters.change,
            crossOrigin: filters.crossOrigin,
            persistence: RouteSessionDecoder.persistence(&reader, matches)
        )
    }

    /// The matches of a rule that can be read; without any, one of every request.
    static func matches(
        _ rule: inout FieldReader,
        _ read: (inout FieldReader) -> HTTPMatch
    ) -> [HTTPMatch] {
        let written = rule.readers("matches")
        if written.isEmpty { return [HTTPMatch()] }
        return written.compactMap { match in
            var match = match
            let faultCount = match.faults.found.count
            let found = read(&match)
            return match.faults.found.count == faultCount ? found : nil
        }
    }

    private static func match(_ reader: inout FieldReader) -> HTTPMatch {
        defer { reader.refuseUnknown() }
        var match = HTTPMatch()
        if reader.has("path") {
            var path = reader.reader("path")
            match.path = Self.path(&path)
            path.refuseUnknown()
        }
        match.method = reader.string("method")
        (match.headers, match.headerPatterns) = conditions(&reader, "headers", lowersNames: true)
        (match.queryParameters, match.queryPatterns) = conditions(
            &reader,
            "queryParams",
            lowersNames: false
        )
        return match
    }

    private static func path(_ reader: inout FieldReader) -> PathMatch {
        let type = reader.string("type") ?? "PathPrefix"
        let value = reader.string("value") ?? "/"
        if type == "RegularExpression" {
            return pattern(&reader, value).map { .pattern($0) } ?? .prefix("")
        }
        guard value.hasPrefix("/") else {
            reader.refuse("value", "expected a path that begins with /, found \"\(value)\"")
            return .prefix("")
        }
        switch type {
        case "Exact": return .exact(value)
        case "PathPrefix":
            let depth = value.utf8.count { $0 == UInt8(ascii: "/") }
            guard depth <= DiscoveryLimits.prefixDepthMax else {
                DiscoveryLimits.prefixDepth.reached()
                let most = DiscoveryLimits.prefixDepthMax
                reader.refuse("value", "expected at most \(most) path elements, found \(depth)")
                return .prefix("")
            }
            return .prefix(value.hasSuffix("/") ? String(value.dropLast()) : value)
        default:
            reader.refuse(
                "type",
                "expected Exact, PathPrefix or RegularExpression, found \"\(type)\""
            )
            return .prefix("")
        }
    }

    /// A regular expression; `nil`, with the reason told, for what is none.
    private static func pattern(_ reader: inout FieldReader, _ text: String) -> Pattern? {
        do {
            return try Pattern(text)
        } catch {
            reader.refuse("value", "\(error) of the expression \"\(text)\"")
            return nil
        }
    }

    static func conditions(
        _ reader: inout FieldReader,
        _ key: String,
        lowersNames: Bool
    ) -> ([NamedValue], [NamedPattern]) {
        var seen: Set<String> = []
        var values: [NamedValue] = []
        var patterns: [NamedPattern] = []
        for condition in reader.readers(key) {
            var condition = condition
            defer { condition.refuseUnknown() }
            var name = condition.requiredString("name")
            if lowersNames { name = name.lowercased() }
            let value = condition.string("value") ?? ""
            // Of several conditions of one name the first counts (Gateway API).
            let isFirst = seen.insert(name).inserted
            switch condition.string("type") ?? "Exact" {
            case "Exact":
                if isFirst { values.append(NamedValue(name, value)) }
            case "RegularExpression":
                guard let pattern = pattern(&condition, value), isFirst else { continue }
                patterns.append(NamedPattern(name, pattern))
            case let type:
                condition.refuse(
                    "type",
                    "expected Exact or RegularExpression, found \"\(type)\""
                )
            }
        }
        return (values, patterns)
    }

    /// Whether a lower-case text is a token (RFC 9110 section 5.6.2).
    static func isToken(_ name: String) -> Bool {
        let special = Set("!#$%&'*+-.^_`|~".utf8)
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: special.contains(byte)
                }
            }
    }

    static func backends(_ reader: inout FieldReader) -> [HTTPRouteContent.Backend] {
        reader.readers("backendRefs").map { backend in
            var backend = backend
            defer { backend.refuseUnknown() }
            let reference = GatewayDecoder.reference(
                &backend,
                defaultKind: "Service",
                with: [.port]
            )
            let weight = backend.integer("weight", 0...1_000_000) ?? 1
            let filters = RouteFilterDecoder.filters(&backend)
            if !filters.mirrors.isEmpty || filters.crossOrigin != nil {
                backend.refuse("filters", "expected RequestMirror and CORS in a rule's filters")
            }
            return HTTPRouteContent.Backend(
                reference: reference,
                weight: Int(weight),
                requestHeaders: filters.request,
                responseHeaders: filters.response,
                change: filters.change
            )
        }
    }

    /// A duration of GEP-2257: `[0-9]{1,5}(h|m|s|ms)`, up to four times.
    private static func duration(_ reader: inout FieldReader, _ key: String) -> Duration? {
        guard let text = reader.string(key) else { return nil }
        guard let duration = GatewayDuration.parse(text) else {
            reader.refuse(key, "expected a duration such as 500ms, found \"\(text)\"")
            return nil
        }
        return duration
    }
}

/// Durations as the Gateway API writes them (GEP-2257).
package enum GatewayDuration {
    /// Reads `1h2m3s4ms` and its parts; `nil` for anything else.
    package static func parse(_ text: String) -> Duration? {
        var total = Duration.zero
        var rest = text[...]
        var count = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard (1...5).contains(digits.count), let number = Int64(digits), count < 4 else {
                return nil
            }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            switch unit {
            case "h": total += .seconds(number * 3_600)
            case "m": total += .seconds(number * 60)
            case "s": total += .seconds(number)
            case "ms": total += .milliseconds(number)
            default: return nil
            }
            rest = rest.dropFirst(unit.count)
            count += 1
        }
        return count > 0 ? total : nil
    }
}
