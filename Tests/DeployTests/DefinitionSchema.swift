import Discovery

/// The schema of a CustomResourceDefinition: the fields it has, and documents made of it.
struct DefinitionSchema {
    /// The name that stands for every key of a mapping with keys of any name.
    static let anyName = "anyName"
    /// `group/version` and kind.
    let apiVersion: String
    let kind: String
    private let spec: DocumentNode

    /// Reads a definition with one version.
    init?(_ definition: DocumentNode) {
        guard let group = definition.at("spec", "group")?.string,
            let version = definition.at("spec", "versions")?.items.first,
            let name = version["name"]?.string,
            let kind = definition.at("spec", "names", "kind")?.string,
            let spec = version.at("schema", "openAPIV3Schema", "properties", "spec")
        else { return nil }
        apiVersion = "\(group)/\(name)"
        self.kind = kind
        self.spec = spec
    }

    /// Paths of all fields, `[]` after a list, `anyName` for free keys.
    var fields: Set<String> {
        var found: Set<String> = []
        collect(spec, "spec", &found)
        return found
    }

    private func collect(_ schema: DocumentNode, _ path: String, _ found: inout Set<String>) {
        for (name, member) in schema.properties {
            found.insert("\(path).\(name)")
            collect(member, "\(path).\(name)", &found)
        }
        if let items = schema["items"] { collect(items, "\(path)[]", &found) }
        if let values = schema["additionalProperties"] {
            collect(values, "\(path).\(DefinitionSchema.anyName)", &found)
        }
    }

    /// Integers with their bounds, by path of plain fields below `spec`.
    var integers: [(field: String, range: ClosedRange<Int64>)] {
        spec.properties.compactMap { name, schema in
            guard schema["type"]?.string == "integer",
                let least = schema["minimum"]?.string.flatMap({ Int64($0) }),
                let most = schema["maximum"]?.string.flatMap({ Int64($0) })
            else { return nil }
            return (name, least...most)
        }
    }

    /// An object with every field but those named, as JSON.
    ///
    /// - Parameter values: what to give fields of these names instead of a made-up value.
    func document(without left: Set<String> = [], values: [String: String]) throws -> DocumentNode {
        let text =
            "{\"apiVersion\":\"\(apiVersion)\",\"kind\":\"\(kind)\","
            + "\"metadata\":{\"name\":\"x\",\"namespace\":\"ns\"},"
            + "\"spec\":\(json(spec, "", left, values))}"
        // JSON is YAML.
        return try YAMLReader.read(Array(text.utf8))[0]
    }

    private func json(
        _ schema: DocumentNode,
        _ name: String,
        _ left: Set<String>,
        _ values: [String: String]
    ) -> String {
        if let value = values[name] { return value }
        switch schema["type"]?.string {
        case "object":
            var members = schema.properties.filter { !left.contains($0.name) }.map {
                "\"\($0.name)\":\(json($0.schema, $0.name, left, values))"
            }
            if let free = schema["additionalProperties"] {
                let any = DefinitionSchema.anyName
                members.append("\"\(any)\":\(json(free, any, left, values))")
            }
            return "{\(members.joined(separator: ","))}"
        case "array":
            guard let items = schema["items"] else { return "[]" }
            return "[\(json(items, name + "[]", left, values))]"
        case "integer": return schema["minimum"]?.string ?? "1"
        case "boolean": return "true"
        default:
            if let choice = schema["default"]?.string ?? schema["enum"]?.items.first?.string {
                return "\"\(choice)\""
            }
            let pattern = schema["pattern"]?.string ?? ""
            if pattern.contains("h|m|s|ms") { return "\"1s\"" }
            return pattern.hasPrefix("^/") ? "\"/x\"" : "\"x\""
        }
    }
}

extension DocumentNode {
    /// The members of `properties`.
    var properties: [(name: String, schema: DocumentNode)] {
        guard case .mapping(let entries, _)? = self["properties"] else { return [] }
        return entries.map { ($0.key, $0.value) }
    }
}
