extension DocumentNode {
    /// Keys whose values nobody reads and that are a third of an object's bytes.
    private static let skippedKeys: Set<String> = ["managedFields"]

    /// Reads one JSON text of an API server, leaving out what no decoder asks for.
    init(json bytes: [UInt8]) throws(JSONFault) {
        var cursor = JSONCursor(bytes)
        self = try DocumentNode.read(&cursor)
    }

    private static func read(_ cursor: inout JSONCursor) throws(JSONFault) -> DocumentNode {
        switch cursor.peek() {
        case UInt8(ascii: "{"):
            var entries: [Entry] = []
            try cursor.object { (cursor, name) throws(JSONFault) in
                if skippedKeys.contains(name) {
                    try cursor.skip()
                } else {
                    entries.append(Entry(key: name, line: 1, value: try read(&cursor)))
                }
            }
            return .mapping(entries, line: 1)
        case UInt8(ascii: "["):
            var items: [DocumentNode] = []
            try cursor.array { (cursor) throws(JSONFault) in items.append(try read(&cursor)) }
            return .sequence(items, line: 1)
        case UInt8(ascii: "\""):
            return .scalar(text: try cursor.string(), isQuoted: true, line: 1)
        default:
            let range = try cursor.skip()
            let text = String(decoding: cursor.bytes[range], as: UTF8.self)
            return .scalar(text: text, isQuoted: false, line: 1)
        }
    }
}
