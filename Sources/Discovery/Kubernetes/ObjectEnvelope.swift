import MeshModel

/// What a source needs of an object before its content is decoded: its name and version, and what
/// stands around the object in a list or an event.
package struct ObjectEnvelope: Equatable, Sendable {
    /// The namespace; empty for cluster-scoped objects.
    package var namespace = ""
    /// The name; empty in bookmarks, lists and statuses.
    package var name = ""
    /// UID, resource version, generation.
    package var version = ObjectVersion(uid: "", resourceVersion: "", generation: 0)
    /// The token for the next page of a list; empty on the last.
    package var continueToken = ""
    /// The code of a Status object; 0 elsewhere.
    package var statusCode = 0
    /// The message of a Status object.
    package var message = ""

    /// Makes an empty envelope.
    package init() {}

    /// Reads one object, list without items, or Status.
    package init(json: [UInt8]) throws(JSONFault) {
        var cursor = JSONCursor(json)
        try self.init(&cursor)
    }

    init(_ cursor: inout JSONCursor) throws(JSONFault) {
        var found = ObjectEnvelope()
        try cursor.object { (cursor, name) throws(JSONFault) in
            switch name {
            case "metadata": try found.readMetadata(&cursor)
            case "code": found.statusCode = Int(truncatingIfNeeded: try cursor.integerIfAny() ?? 0)
            case "message": found.message = try cursor.stringIfAny() ?? ""
            default: try cursor.skip()
            }
        }
        self = found
    }

    /// The key, where the object has a name.
    package func key(_ kind: ObjectKind) -> ObjectKey? {
        guard !name.isEmpty, namespace.isEmpty == kind.isClusterScoped else { return nil }
        return ObjectKey(kind, namespace: namespace, name: name)
    }

    private mutating func readMetadata(_ cursor: inout JSONCursor) throws(JSONFault) {
        guard cursor.peek() == UInt8(ascii: "{") else {
            try cursor.skip()
            return
        }
        var found = self
        try cursor.object { (cursor, name) throws(JSONFault) in
            switch name {
            case "name": found.name = try cursor.stringIfAny() ?? ""
            case "namespace": found.namespace = try cursor.stringIfAny() ?? ""
            case "uid": found.version.uid = try cursor.stringIfAny() ?? ""
            case "resourceVersion":
                found.version.resourceVersion = try cursor.stringIfAny() ?? ""
            case "generation": found.version.generation = try cursor.integerIfAny() ?? 0
            case "continue": found.continueToken = try cursor.stringIfAny() ?? ""
            default: try cursor.skip()
            }
        }
        self = found
    }
}

/// One line of a watch response: `{"type": …, "object": …}`.
package struct WatchLine: Equatable, Sendable {
    /// What happened, by name and version.
    package let event: WatchEvent
    /// The object's name and version, or the Status of an error.
    package let envelope: ObjectEnvelope
    /// Where the object stands in the line.
    package let objectRange: Range<Int>

    /// Reads a line of a watch on `kind`.
    ///
    /// - Throws: where it is no event, or the object has no name or is of the wrong scope.
    package init(_ line: [UInt8], kind: ObjectKind) throws(JSONFault) {
        var type = ""
        var envelope: ObjectEnvelope?
        var range = 0..<0
        var cursor = JSONCursor(line)
        try cursor.object { (cursor, name) throws(JSONFault) in
            switch name {
            case "type": type = try cursor.stringIfAny() ?? ""
            case "object":
                _ = cursor.peek()
                let start = cursor.offset
                envelope = try ObjectEnvelope(&cursor)
                range = start..<cursor.offset
            default: try cursor.skip()
            }
        }
        guard let envelope else { throw JSONFault(expected: "a member object", offset: 0) }
        self.envelope = envelope
        objectRange = range
        event = try WatchLine.event(type, envelope, kind)
    }

    private static func event(
        _ type: String,
        _ envelope: ObjectEnvelope,
        _ kind: ObjectKind
    ) throws(JSONFault) -> WatchEvent {
        let version = envelope.version.resourceVersion
        switch type {
        case "BOOKMARK": return .bookmark(resourceVersion: version)
        case "ERROR": return .error(code: envelope.statusCode)
        case "ADDED", "MODIFIED", "DELETED":
            guard let key = envelope.key(kind) else {
                throw JSONFault(expected: "the name of a \(kind.rawValue)", offset: 0)
            }
            return type == "DELETED"
                ? .deleted(key, resourceVersion: version)
                : .changed(key, resourceVersion: version)
        default:
            throw JSONFault(expected: "the type of a watch event", offset: 0)
        }
    }
}
