import MeshModel

/// Reads the fields of one mapping, collecting every fault instead of stopping at the first. In
/// strict reading a key nobody asked for is a fault as well.
package struct FieldReader {
    /// Collects faults of one document.
    package final class Faults {
        /// What was found, in order.
        package private(set) var found: [DocumentFault] = []
        /// The paths of all keys asked for, where they are noted.
        package private(set) var asked: Set<String> = []
        fileprivate let notesKeys: Bool

        /// Makes an empty collection.
        ///
        /// - Parameter notesKeys: whether the keys asked for are noted, which costs time.
        package init(notesKeys: Bool = false) { self.notesKeys = notesKeys }

        fileprivate func note(_ path: String) { asked.insert(path) }

        /// Adds a fault.
        package func add(_ line: Int, _ reason: String) {
            found.append(DocumentFault(line: line, reason: reason))
        }
    }

    private let entries: [DocumentNode.Entry]
    private let path: String
    private var asked: Set<String> = []
    /// Where faults go.
    package let faults: Faults
    /// The line the mapping begins on.
    package let line: Int

    /// Reads `node`, which must be a mapping; `nil` reads as an empty one.
    ///
    /// - Parameter path: such as `spec.rules[0]`, for messages.
    package init(_ node: DocumentNode?, path: String, _ faults: Faults) {
        self.path = path
        self.faults = faults
        line = node?.line ?? 1
        switch node {
        case .mapping(let entries, _): self.entries = entries
        case .some(let other) where !other.isNull:
            entries = []
            faults.add(other.line, "\(path): expected a mapping, found \(other.kindName)")
        default: entries = []
        }
    }

    /// The value of a key; null counts as absent.
    package mutating func node(_ key: String) -> DocumentNode? {
        asked.insert(key)
        if faults.notesKeys { faults.note(name(key)) }
        guard let value = entries.first(where: { $0.key == key })?.value, !value.isNull else {
            return nil
        }
        return value
    }

    /// Whether a key is there.
    package mutating func has(_ key: String) -> Bool { node(key) != nil }

    /// Lets a key pass without reading it.
    package mutating func ignore(_ keys: String...) { asked.formUnion(keys) }

    /// A string.
    package mutating func string(_ key: String) -> String? {
        guard let value = node(key) else { return nil }
        guard case .scalar(let text, _, _) = value else {
            mismatch(key, value, "a string")
            return nil
        }
        return text
    }

    /// A string that must be there and not be empty.
    package mutating func requiredString(_ key: String) -> String {
        if let text = string(key), !text.isEmpty { return text }
        faults.add(line, "\(name(key)): expected a string, found nothing")
        return ""
    }

    /// A boolean.
    package mutating func bool(_ key: String) -> Bool? {
        guard let value = node(key) else { return nil }
        guard case .scalar(let text, false, _) = value, let flag = DocumentNode.boolean(text) else {
            mismatch(key, value, "true or false")
            return nil
        }
        return flag
    }

    /// An integer within a range.
    package mutating func integer(_ key: String, _ range: ClosedRange<Int64>) -> Int64? {
        guard let value = node(key) else { return nil }
        guard case .scalar(let text, false, _) = value, let number = Int64(text),
            range.contains(number)
        else {
            mismatch(key, value, "an integer of \(range.lowerBound)...\(range.upperBound)")
            return nil
        }
        return number
    }

    /// A list; absent reads as empty.
    package mutating func list(_ key: String) -> [DocumentNode] {
        guard let value = node(key) else { return [] }
        guard case .sequence(let items, _) = value else {
            mismatch(key, value, "a list")
            return []
        }
        return items
    }

    /// A list of strings.
    package mutating func strings(_ key: String) -> [String] {
        list(key).enumerated().compactMap { index, item in
            guard case .scalar(let text, _, _) = item else {
                faults.add(
                    item.line,
                    "\(name(key))[\(index)]: expected a string, found \(item.kindName)"
                )
                return nil
            }
            return text
        }
    }

    /// A mapping of strings to strings.
    package mutating func stringMap(_ key: String) -> [String: String] {
        guard let value = node(key) else { return [:] }
        guard case .mapping(let entries, _) = value else {
            mismatch(key, value, "a mapping")
            return [:]
        }
        var result: [String: String] = [:]
        for entry in entries {
            guard case .scalar(let text, _, _) = entry.value else {
                faults.add(entry.line, "\(name(key)).\(entry.key): expected a string")
                continue
            }
            result[entry.key] = text
        }
        return result
    }

    /// A reader of a mapping inside this one.
    package mutating func reader(_ key: String) -> FieldReader {
        let value = node(key)
        return FieldReader(value, path: name(key), faults)
    }

    /// Readers of a list of mappings.
    package mutating func readers(_ key: String) -> [FieldReader] {
        list(key).enumerated().map { index, item in
            FieldReader(item, path: "\(name(key))[\(index)]", faults)
        }
    }

    /// Ends strict reading: every key not asked for is a fault.
    package func refuseUnknown() {
        for entry in entries where !asked.contains(entry.key) {
            faults.add(entry.line, "\(name(entry.key)): unknown key")
        }
    }

    /// Adds a fault about a key.
    package func refuse(_ key: String, _ reason: String) {
        let line = entries.first { $0.key == key }?.line ?? self.line
        faults.add(line, "\(name(key)): \(reason)")
    }

    /// The path of a key.
    package func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func mismatch(_ key: String, _ value: DocumentNode, _ expected: String) {
        var found = value.kindName
        if case .scalar(let text, _, _) = value { found = "\"\(text)\"" }
        faults.add(value.line, "\(name(key)): expected \(expected), found \(found)")
    }
}
