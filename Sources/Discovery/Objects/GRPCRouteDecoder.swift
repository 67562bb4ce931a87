import MeshModel

/// GRPCRoute, read strictly, as the HTTPRoute that it stands for: a method of a service is a path
/// (gRPC over HTTP/2, `:path` of requests).
enum GRPCRouteDecoder {
    /// Weights that put expressions of a service before those of a method alone (GRPCRouteMatch).
    private static let serviceWeight = 1_000

    static func route(_ spec: inout FieldReader) -> HTTPRouteContent {
        var content = HTTPRouteContent()
        content.parents = RouteDecoder.parents(&spec)
        content.hostnames = RouteDecoder.hostnames(&spec)
        content.rules = spec.readers("rules").map { rule in
            var rule = rule
            return Self.rule(&rule)
        }
        return content
    }

    private static func rule(_ reader: inout FieldReader) -> HTTPRouteContent.Rule {
        defer { reader.refuseUnknown() }
        reader.ignore("name")
        let matches = RouteDecoder.matches(&reader, match)
        let filters = RouteFilterDecoder.filters(&reader)
        let backends = RouteDecoder.backends(&reader)
        let changes = [filters.change] + backends.map(\.change)
        if changes.contains(where: { $0 != nil }) || filters.crossOrigin != nil {
            reader.refuse(
                "filters",
                "expected RequestHeaderModifier, ResponseHeaderModifier or RequestMirror"
            )
        }
        return HTTPRouteContent.Rule(
            matches: matches,
            requestHeaders: filters.request,
            responseHeaders: filters.response,
            backends: backends,
            mirrors: filters.mirrors,
            persistence: RouteSessionDecoder.persistence(&reader, [])
        )
    }

    private static func match(_ reader: inout FieldReader) -> HTTPMatch {
        defer { reader.refuseUnknown() }
        var match = HTTPMatch()
        if reader.has("method") {
            var method = reader.reader("method")
            match.path = path(&method)
            method.refuseUnknown()
        }
        (match.headers, match.headerPatterns) = RouteDecoder.conditions(
            &reader,
            "headers",
            lowersNames: true
        )
        return match
    }

    private static func path(_ reader: inout FieldReader) -> PathMatch {
        let service = reader.string("service") ?? ""
        let method = reader.string("method") ?? ""
        switch reader.string("type") ?? "Exact" {
        case "Exact":
            for (key, name) in [("service", service), ("method", method)]
            where !name.utf8.allSatisfy(isNameByte) {
                reader.refuse(key, "expected a name of gRPC, found \"\(name)\"")
                return .prefix("")
            }
            if !service.isEmpty && !method.isEmpty { return .exact("/\(service)/\(method)") }
            return pattern(&reader, literal(service), literal(method))
        case "RegularExpression": return pattern(&reader, group(service), group(method))
        case let type:
            reader.refuse("type", "expected Exact or RegularExpression, found \"\(type)\"")
            return .prefix("")
        }
    }

    private static func pattern(
        _ reader: inout FieldReader,
        _ service: String,
        _ method: String
    ) -> PathMatch {
        guard !service.isEmpty || !method.isEmpty else { return .prefix("") }
        let any = "[^/]+"
        let text = "/\(service.isEmpty ? any : service)/\(method.isEmpty ? any : method)"
        let weight = service.isEmpty ? method.utf8.count : serviceWeight + service.utf8.count
        do {
            return .pattern(try Pattern(text, weight: weight))
        } catch {
            reader.refuse("type", "\(error) of the expression \"\(text)\"")
            return .prefix("")
        }
    }

    private static func literal(_ name: String) -> String {
        name.replacing(".", with: "\\.")
    }

    private static func group(_ expression: String) -> String {
        expression.isEmpty ? "" : "(?:\(expression))"
    }

    /// Letters, digits, `_` and `.`; of methods the last is refused by the API server alone.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
