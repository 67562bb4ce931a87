import MeshModel

/// The filters of a route's rule or backend.
struct RouteFilters {
    var request = HeaderModifier()
    var response = HeaderModifier()
    var mirrors: [HTTPRouteContent.Mirror] = []
    var change: RouteChange?
    var crossOrigin: CrossOriginPolicy?

    /// Refuses what the rule's own fields leave no meaning to.
    func check(_ matches: [HTTPMatch], hasBackends: Bool, _ rule: inout FieldReader) {
        guard let change else { return }
        if case .redirect = change, hasBackends {
            rule.refuse("backendRefs", "expected none beside RequestRedirect")
        }
        check(change, matches, &rule)
    }

    /// Refuses to replace a prefix where none is matched.
    func check(_ change: RouteChange, _ matches: [HTTPMatch], _ rule: inout FieldReader) {
        let path =
            switch change {
            case .redirect(let redirect): redirect.path
            case .rewrite(let rewrite): rewrite.path
            }
        guard case .prefix? = path else { return }
        let isOfPrefixes = matches.allSatisfy { if case .prefix = $0.path { true } else { false } }
        if !isOfPrefixes {
            rule.refuse("filters", "expected matches of PathPrefix with ReplacePrefixMatch")
        }
    }
}

/// Reads `filters` (HTTPRouteFilter).
enum RouteFilterDecoder {
    private static let known =
        "RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite "
        + "or CORS"

    static func filters(_ reader: inout FieldReader) -> RouteFilters {
        var filters = RouteFilters()
        var seen: Set<String> = []
        for filter in reader.readers("filters") {
            var filter = filter
            let type = filter.requiredString("type")
            if !seen.insert(type).inserted && type != "RequestMirror" {
                filter.refuse("type", "expected \(type) once")
            }
            guard read(type, &filter, into: &filters) else { continue }
            filter.refuseUnknown()
        }
        if seen.isSuperset(of: ["RequestRedirect", "URLRewrite"]) {
            reader.refuse("filters", "expected RequestRedirect or URLRewrite, found both")
        }
        return filters
    }

    /// Reads a filter of a type; `false` for one that is not known.
    private static func read(
        _ type: String,
        _ filter: inout FieldReader,
        into filters: inout RouteFilters
    ) -> Bool {
        switch type {
        case "RequestHeaderModifier":
            var body = body("requestHeaderModifier", of: type, &filter)
            filters.request = modifier(&body)
        case "ResponseHeaderModifier":
            var body = body("responseHeaderModifier", of: type, &filter)
            filters.response = modifier(&body)
        case "RequestMirror":
            var body = body("requestMirror", of: type, &filter)
            filters.mirrors.append(RouteRetryDecoder.mirror(&body))
        case "RequestRedirect":
            var body = body("requestRedirect", of: type, &filter)
            filters.change = .redirect(redirect(&body))
        case "URLRewrite":
            var body = body("urlRewrite", of: type, &filter)
            filters.change = .rewrite(RouteRewrite(host: host(&body), path: path(&body)))
            body.refuseUnknown()
        case "CORS":
            var body = body("cors", of: type, &filter)
            filters.crossOrigin = crossOrigin(&body)
        default:
            filter.refuse("type", "expected \(known), found \"\(type)\"")
            return false
        }
        return true
    }

    /// What a filter of a type is about, which must be there (HTTPRouteFilter).
    private static func body(
        _ key: String,
        of type: String,
        _ filter: inout FieldReader
    ) -> FieldReader {
        if !filter.has(key) { filter.refuse("type", "expected \(key) beside \(type)") }
        return filter.reader(key)
    }

    // MARK: Header modifiers

    private static func modifier(_ reader: inout FieldReader) -> HeaderModifier {
        defer { reader.refuseUnknown() }
        return HeaderModifier(
            set: fields(&reader, "set"),
            add: fields(&reader, "add"),
            remove: reader.strings("remove").map { $0.lowercased() }
        )
    }

    private static func fields(_ reader: inout FieldReader, _ key: String) -> [NamedValue] {
        reader.readers(key).map { field in
            var field = field
            defer { field.refuseUnknown() }
            let name = field.fieldName("name")
            let value = field.string("value") ?? ""
            if value.utf8.contains(where: { $0 < 0x20 && $0 != 9 || $0 == 0x7f }) {
                field.refuse("value", "expected no control characters")
            }
            return NamedValue(name, value)
        }
    }

    // MARK: Changes of the target

    private static func redirect(_ reader: inout FieldReader) -> RouteRedirect {
        defer { reader.refuseUnknown() }
        let statuses = [301, 302, 303, 307, 308].map { (String($0), UInt16($0)) }
        return RouteRedirect(
            scheme: reader.choice("scheme", among: [("http", "http"), ("https", "https")]),
            host: host(&reader),
            path: path(&reader),
            port: reader.integer("port", 1...65_535).map { UInt16($0) },
            status: reader.choice("statusCode", among: statuses) ?? 302
        )
    }

    private static func host(_ reader: inout FieldReader) -> String? {
        guard let name = reader.string("hostname") else { return nil }
        if !HostName.isValid(name) || name.hasPrefix("*") {
            reader.refuse("hostname", "expected a DNS name, found \"\(name)\"")
        }
        return name.lowercased()
    }

    private static func path(_ reader: inout FieldReader) -> PathChange? {
        guard reader.has("path") else { return nil }
        var body = reader.reader("path")
        defer { body.refuseUnknown() }
        let type = body.requiredString("type")
        let key: String
        switch type {
        case "ReplaceFullPath": key = "replaceFullPath"
        case "ReplacePrefixMatch": key = "replacePrefixMatch"
        default:
            body.refuse(
                "type",
                "expected ReplaceFullPath or ReplacePrefixMatch, found \"\(type)\""
            )
            return nil
        }
        guard let text = body.string(key) else {
            body.refuse("type", "expected \(key) beside it")
            return nil
        }
        let isPath =
            text.isEmpty
            || text.hasPrefix("/")
                && text.utf8.allSatisfy {
                    (0x21...0x7e).contains($0) && !Set("?#".utf8).contains($0)
                }
        if !isPath {
            body.refuse(
                key,
                "expected a path that begins with / and has no query, found \"\(text)\""
            )
        }
        return type == "ReplaceFullPath" ? .whole(text) : .prefix(text)
    }

    // MARK: Cross-origin requests

    private static func crossOrigin(_ reader: inout FieldReader) -> CrossOriginPolicy {
        defer { reader.refuseUnknown() }
        var policy = CrossOriginPolicy()
        let isMethod = { (text: String) in text == "*" || RouteDecoder.isToken(text.lowercased()) }
        reader.take(
            "allowOrigins",
            into: &policy.origins,
            most: 64,
            expected: "an origin such as https://*.example.com",
            isValid: isOrigin
        )
        reader.take("allowCredentials", into: &policy.allowsCredentials)
        reader.take(
            "allowMethods",
            into: &policy.methods,
            most: 9,
            expected: "a method",
            isValid: isMethod
        )
        for (key, field) in [
            ("allowHeaders", \CrossOriginPolicy.headers),
            ("exposeHeaders", \CrossOriginPolicy.exposedHeaders),
        ] {
            reader.take(
                key,
                into: &policy[keyPath: field],
                most: 64,
                expected: "a header name",
                isValid: isMethod
            )
        }
        for (key, list) in [
            ("allowOrigins", policy.origins), ("allowMethods", policy.methods),
            ("allowHeaders", policy.headers),
        ] where list.contains("*") && list.count > 1 {
            reader.refuse(key, "expected * alone")
        }
        reader.take("maxAge", into: &policy.maxAgeSeconds, 1...Int64(Int32.max))
        return policy
    }

    /// `scheme://host[:port]`, with at most one `*`, at the host's start; or `*` alone.
    private static func isOrigin(_ text: String) -> Bool {
        if text == "*" { return true }
        guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else {
            return false
        }
        let authority = text.dropFirst(scheme.count)
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count > 1, UInt16(parts[1]).map({ $0 > 0 }) != true { return false }
        return parts[0] == "*" || HostName.isValid(String(parts[0]))
    }
}
