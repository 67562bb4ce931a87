import MeshModel

/// Reads a plugin's configuration strictly: every field is asked for by name, and a field nobody
/// asked for is a fault.
struct ConfigurationReader {
    private let members: [JSONValue.Member]
    private let path: String
    private var asked: Set<String> = []

    init(_ value: JSONValue, path: String = "") throws(PluginFault) {
        self.path = path
        switch value {
        case .object(let members): self.members = members
        case .null: members = []
        default:
            throw PluginFault(
                "\(path.isEmpty ? "config" : path): expected an object, found \(value.text)"
            )
        }
    }

    private mutating func value(_ name: String) -> JSONValue? {
        asked.insert(name)
        guard let value = members.first(where: { $0.name == name })?.value, value != .null else {
            return nil
        }
        return value
    }

    private func fault(_ name: String, _ expected: String, _ found: JSONValue?) -> PluginFault {
        let place = path.isEmpty ? name : "\(path).\(name)"
        return PluginFault("\(place): expected \(expected), found \(found?.text ?? "nothing")")
    }

    mutating func string(_ name: String) throws(PluginFault) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw fault(name, "a string", value) }
        return text
    }

    mutating func requiredString(_ name: String) throws(PluginFault) -> String {
        guard let text = try string(name), !text.isEmpty else {
            throw fault(name, "a string of at least one character", value(name))
        }
        return text
    }

    mutating func bool(_ name: String) throws(PluginFault) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw fault(name, "true or false", value) }
        return flag
    }

    mutating func integer(_ name: String, _ range: ClosedRange<Int64>) throws(PluginFault) -> Int64?
    {
        guard let value = value(name) else { return nil }
        guard case .integer(let number) = value, range.contains(number) else {
            throw fault(name, "an integer of \(range.lowerBound)...\(range.upperBound)", value)
        }
        return number
    }

    /// A duration in seconds that ends with `s` (`"0.1s"`), as protobuf's JSON writes it.
    mutating func duration(_ name: String) throws(PluginFault) -> Duration? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value, text.hasSuffix("s"),
            let seconds = Double(text.dropLast()), seconds > 0, seconds <= 86_400 * 365
        else { throw fault(name, "a duration such as \"10s\", above zero", value) }
        return .nanoseconds(Int64(seconds * 1_000_000_000))
    }

    mutating func list(_ name: String) throws(PluginFault) -> [JSONValue]? {
        guard let value = value(name) else { return nil }
        guard case .array(let items) = value else { throw fault(name, "a list", value) }
        return items
    }

    /// A list of strings, none of them empty.
    mutating func strings(_ name: String) throws(PluginFault) -> [String]? {
        guard let items = try list(name) else { return nil }
        var strings: [String] = []
        for item in items {
            guard case .string(let text) = item, !text.isEmpty else {
                throw fault(name, "a list of strings", item)
            }
            strings.append(text)
        }
        return strings
    }

    /// Ends reading: a field nobody asked for is a fault.
    func finish() throws(PluginFault) {
        for member in members where !asked.contains(member.name) {
            let place = path.isEmpty ? member.name : "\(path).\(member.name)"
            throw PluginFault("\(place): unknown field")
        }
    }
}

extension JSONValue {
    /// A short text for messages.
    var text: String {
        switch self {
        case .null: "null"
        case .bool(let flag): "\(flag)"
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .string(let text): "\"\(text)\""
        case .array: "a list"
        case .object: "an object"
        }
    }
}
