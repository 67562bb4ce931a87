import DataPlane

/// Replies in the form HTNN's plugins give them.
enum PluginReply {
    private static let jsonType = "application/json"

    /// A reply with a message: as JSON when the request has no Content-Type or exactly
    /// application/json, else as text.
    static func message(_ status: UInt16, _ text: String, _ context: FilterContext) -> LocalReply {
        let isJSON = context.withRequestHeader("content-type") { $0.equals("application/json") }
        guard isJSON ?? true else { return LocalReply(status: status, body: Array(text.utf8)) }
        var escaped = ""
        for character in text {
            if character == "\"" || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return LocalReply(
            status: status,
            fields: [.init("content-type", jsonType)],
            body: Array("{\"msg\":\"\(escaped)\"}".utf8)
        )
    }
}
