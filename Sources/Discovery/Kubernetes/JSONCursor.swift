/// A text that is not the JSON that was expected.
package struct JSONFault: Error, Equatable, Sendable {
    /// What was expected.
    package let expected: String
    /// Where, bytes from the start of the text.
    package let offset: Int
}

/// Walks forward over one JSON text, reading what is asked for and skipping the rest. Nesting is
/// bounded, every read is checked.
struct JSONCursor {
    /// Objects and arrays within each other.
    static let depthLimit = 128

    let bytes: [UInt8]
    private(set) var offset: Int
    private var depth = 0

    init(_ bytes: [UInt8], at offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    /// The next byte that is not white space, without taking it; 0 at the end.
    mutating func peek() -> UInt8 {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0a, 0x0d: offset += 1
            default: return bytes[offset]
            }
        }
        return 0
    }

    /// Walks an object: `member` must take or skip the value of each name.
    mutating func object(
        _ member: (inout JSONCursor, String) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try enter("{")
        if peek() != UInt8(ascii: "}") {
            repeat {
                let name = try string()
                try take(":")
                try member(&self, name)
            } while takes(",")
        }
        try leave("}")
    }

    /// Walks an array: `element` must take or skip each value.
    mutating func array(
        _ element: (inout JSONCursor) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try enter("[")
        if peek() != UInt8(ascii: "]") {
            repeat { try element(&self) } while takes(",")
        }
        try leave("]")
    }

    /// Takes a string.
    mutating func string() throws(JSONFault) -> String {
        try take("\"")
        let start = offset
        var isPlain = true
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
            guard bytes[offset] >= 0x20 else { throw fault("no control character") }
            if bytes[offset] == UInt8(ascii: "\\") {
                isPlain = false
                offset += 1
            }
            offset += 1
        }
        guard offset < bytes.count else { throw fault("the end of a string") }
        let content = bytes[start..<offset]
        offset += 1
        return isPlain ? String(decoding: content, as: UTF8.self) : try JSONCursor.unescape(content)
    }

    /// Takes a string, or skips whatever else there is.
    mutating func stringIfAny() throws(JSONFault) -> String? {
        guard peek() == UInt8(ascii: "\"") else {
            _ = try skip()
            return nil
        }
        return try string()
    }

    /// Takes an integer, or skips whatever else there is.
    mutating func integerIfAny() throws(JSONFault) -> Int64? {
        _ = peek()
        let range = try skip()
        return Int64(String(decoding: bytes[range], as: UTF8.self))
    }

    /// Skips a value.
    ///
    /// - Returns: where it stands.
    @discardableResult
    mutating func skip() throws(JSONFault) -> Range<Int> {
        let first = peek()
        let start = offset
        switch first {
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            try skipNest()
        case UInt8(ascii: "\""):
            try skipString()
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"):
            while offset < bytes.count, JSONCursor.isScalar(bytes[offset]) { offset += 1 }
        default:
            throw fault("a value")
        }
        return start..<offset
    }

    /// Skips an object or array by counting brackets.
    private mutating func skipNest() throws(JSONFault) {
        var open = 0
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                try skipString()
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): open += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): open -= 1
            default: break
            }
            offset += 1
            if open == 0 { return }
        }
        throw fault("the end of an object or array")
    }

    private mutating func skipString() throws(JSONFault) {
        offset += 1
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") {
            offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard offset < bytes.count else { throw fault("the end of a string") }
        offset += 1
    }

    private mutating func enter(_ open: Unicode.Scalar) throws(JSONFault) {
        guard depth < JSONCursor.depthLimit else {
            DiscoveryLimits.jsonDepth.reached()
            throw fault("at most \(JSONCursor.depthLimit) levels")
        }
        try take(open)
        depth += 1
    }

    private mutating func leave(_ close: Unicode.Scalar) throws(JSONFault) {
        try take(close)
        depth -= 1
    }

    private mutating func take(_ scalar: Unicode.Scalar) throws(JSONFault) {
        guard takes(scalar) else { throw fault("'\(scalar)'") }
    }

    private mutating func takes(_ scalar: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: scalar) else { return false }
        offset += 1
        return true
    }

    private func fault(_ expected: String) -> JSONFault {
        JSONFault(expected: expected, offset: min(offset, bytes.count))
    }

    private static func isScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    private static func unescape(_ content: ArraySlice<UInt8>) throws(JSONFault) -> String {
        var units: [UInt16] = []
        var text = ""
        var plain: [UInt8] = []
        var at = content.startIndex
        func flush() throws(JSONFault) {
            guard let pairs = String(validating: units, as: UTF16.self) else {
                throw JSONFault(expected: "whole surrogate pairs", offset: at)
            }
            text += pairs + String(decoding: plain, as: UTF8.self)
            units = []
            plain = []
        }
        while at < content.endIndex {
            guard content[at] == UInt8(ascii: "\\"), at + 1 < content.endIndex else {
                if !units.isEmpty { try flush() }
                plain.append(content[at])
                at += 1
                continue
            }
            let code = content[at + 1]
            at += 2
            if code == UInt8(ascii: "u") {
                let digits = String(decoding: content[at...].prefix(4), as: UTF8.self)
                guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else {
                    throw JSONFault(expected: "four hexadecimal digits", offset: at)
                }
                if !plain.isEmpty { try flush() }
                units.append(unit)
                at += 4
                continue
            }
            if !units.isEmpty { try flush() }
            switch code {
            case UInt8(ascii: "n"): plain.append(0x0a)
            case UInt8(ascii: "t"): plain.append(0x09)
            case UInt8(ascii: "r"): plain.append(0x0d)
            case UInt8(ascii: "b"): plain.append(0x08)
            case UInt8(ascii: "f"): plain.append(0x0c)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): plain.append(code)
            default: throw JSONFault(expected: "a known escape", offset: at - 2)
            }
        }
        try flush()
        return text
    }
}
