import MeshModel

extension JSONValue {
    /// A scalar as people read it; a dash for what is not there.
    var shown: String {
        switch self {
        case .null, .array, .object: "-"
        case .bool(let value): value ? "yes" : "no"
        case .integer(let value): String(value)
        case .number(let value): value.description
        case .string(let value): value.isEmpty ? "-" : value
        }
    }
}
