import MeshModel

/// Reads one whole JSON text (RFC 8259) of modest size into a value: request bodies of the status
/// endpoint and its answers. Strict: names are unique, and nothing follows the value.
package enum JSONText {
    /// Reads one whole text.
    ///
    /// - Returns: `nil` where it is not JSON.
    package static func parse(_ text: String) -> JSONValue? { parse(Array(text.utf8)) }

    /// Reads one whole text.
    ///
    /// - Returns: `nil` where it is not JSON.
    package static func parse(_ bytes: [UInt8]) -> JSONValue? {
        var cursor = JSONCursor(bytes)
        guard let value = try? read(&cursor) else { return nil }
        _ = cursor.peek()
        return cursor.offset == bytes.count ? value : nil
    }

    private static func read(_ cursor: inout JSONCursor) throws(JSONFault) -> JSONValue {
        switch cursor.peek() {
        case UInt8(ascii: "{"):
            var members: [JSONValue.Member] = []
            var names: Set<String> = []
            try cursor.object { (cursor, name) throws(JSONFault) in
                guard names.insert(name).inserted else {
                    throw JSONFault(expected: "each name once", offset: cursor.offset)
                }
                members.append(JSONValue.Member(name, try read(&cursor)))
            }
            return .object(members)
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try cursor.array { (cursor) throws(JSONFault) in elements.append(try read(&cursor)) }
            return .array(elements)
        case UInt8(ascii: "\""):
            return .string(try cursor.string())
        default:
            let range = try cursor.skip()
            guard let value = scalar(cursor.bytes[range]) else {
                throw JSONFault(expected: "a value", offset: range.lowerBound)
            }
            return value
        }
    }

    private static func scalar(_ bytes: ArraySlice<UInt8>) -> JSONValue? {
        let text = String(decoding: bytes, as: UTF8.self)
        switch text {
        case "null": return .null
        case "true": return .bool(true)
        case "false": return .bool(false)
        default:
            guard isNumber(bytes) else { return nil }
            if let integer = Int64(text) { return .integer(integer) }
            return Double(text).map(JSONValue.number)
        }
    }

    /// The parts of a number that `Double` takes more loosely: its first digits, and one digit on
    /// either side of the point.
    private static func isNumber(_ bytes: ArraySlice<UInt8>) -> Bool {
        let isDigit = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        let rest = bytes.first == UInt8(ascii: "-") ? bytes.dropFirst() : bytes
        let whole = rest.prefix(while: isDigit)
        guard let first = whole.first, first != 0x30 || whole.count == 1 else { return false }
        let tail = rest.dropFirst(whole.count)
        guard tail.first == UInt8(ascii: ".") else { return true }
        return tail.dropFirst().first.map(isDigit) == true
    }
}

extension JSONValue {
    /// The text of a string.
    package var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The value of an integer.
    package var int: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    /// The elements of an array; none for anything else.
    package var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }
}
