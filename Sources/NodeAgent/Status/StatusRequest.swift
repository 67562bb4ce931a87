/// One request to the status endpoint, apart from the connection it came on.
struct StatusRequest: Equatable, Sendable {
    /// How a request came, which decides what it may change.
    enum Channel: Equatable, Sendable {
        case network
        /// The local socket, with the peer's user.
        case local(userID: UInt32)
    }

    /// How it came.
    var channel: Channel
    /// The method, as written.
    var method: String
    /// The path, without the query.
    var path: String
    /// The query's pairs, decoded, in order.
    var query: [Pair] = []
    /// The value of `Host`; `nil` where there was none (HTTP/1.0).
    var host: String?
    /// Whether there was an `Origin`.
    var hasOrigin = false
    /// The value of `Authorization`.
    var authorization: String?
    /// The body.
    var body: [UInt8] = []

    /// A name and a value of the query.
    struct Pair: Equatable, Sendable {
        var name: String
        var value: String
    }

    /// Reads a request target.
    ///
    /// - Returns: `nil` for a broken escape, or more than 32 pairs.
    static func target(_ text: String) -> (path: String, query: [Pair])? {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first else { return nil }
        guard parts.count == 2 else { return (String(path), []) }
        var query: [Pair] = []
        for field in parts[1].split(separator: "&") {
            let sides = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard query.count < 32, let name = URLText.decoded(sides[0]),
                let value = URLText.decoded(sides.count == 2 ? sides[1] : "")
            else { return nil }
            query.append(Pair(name: name, value: value))
        }
        return (String(path), query)
    }

    /// The first value of a name in the query.
    func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
}
