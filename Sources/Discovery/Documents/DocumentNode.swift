import MeshModel

/// A value of a YAML or JSON document, with the line it stands on. JSON is read as YAML, of which
/// it is a part (YAML 1.2).
package indirect enum DocumentNode: Sendable, Equatable {
    /// A scalar as written; quoted ones are always strings.
    case scalar(text: String, isQuoted: Bool, line: Int)
    case sequence([DocumentNode], line: Int)
    case mapping([Entry], line: Int)

    /// A key with its value.
    package struct Entry: Sendable, Equatable {
        /// The key.
        package var key: String
        /// The line of the key, from 1.
        package var line: Int
        /// The value.
        package var value: DocumentNode
    }

    /// The line it begins on, from 1.
    package var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): line
        }
    }

    /// What it is, for messages.
    package var kindName: String {
        switch self {
        case .scalar where isNull: "null"
        case .scalar: "a scalar"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }

    /// Whether it is null or empty (YAML's core schema).
    package var isNull: Bool {
        guard case .scalar(let text, false, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The value of a key, if this is a mapping that has it.
    package subscript(key: String) -> DocumentNode? {
        guard case .mapping(let entries, _) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// The text of a string scalar.
    package var string: String? {
        guard case .scalar(let text, let isQuoted, _) = self, isQuoted || !isNull else {
            return nil
        }
        return text
    }

    /// The value as JSON, scalars typed by YAML's core schema.
    package var json: JSONValue {
        switch self {
        case .scalar(let text, let isQuoted, _):
            if isQuoted { return .string(text) }
            if isNull { return .null }
            if let flag = DocumentNode.boolean(text) { return .bool(flag) }
            if let number = Int64(text) { return .integer(number) }
            if let number = Double(text), text.first != "+" { return .number(number) }
            return .string(text)
        case .sequence(let items, _): return .array(items.map(\.json))
        case .mapping(let entries, _):
            return .object(entries.map { JSONValue.Member($0.key, $0.value.json) })
        }
    }

    /// A boolean of the core schema.
    package static func boolean(_ text: String) -> Bool? {
        switch text {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }
}

/// Why a document is refused.
package struct DocumentFault: Error, Equatable, Sendable {
    /// The line, from 1.
    package var line: Int
    /// What was expected and what came.
    package var reason: String

    /// Makes a fault.
    package init(line: Int, reason: String) {
        self.line = line
        self.reason = reason
    }
}
