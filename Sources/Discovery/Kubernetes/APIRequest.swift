/// A request to the API server, without what every request bears.
package struct APIRequest: Equatable, Sendable {
    /// What is done to the object or the kind (Kubernetes API Concepts).
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    /// The method.
    package let method: Method
    /// The path with its query.
    package let target: String
    /// What the body is, such as `application/merge-patch+json`; empty without a body.
    package let contentType: String
    /// The body; empty for none.
    package let body: [UInt8]

    /// Makes a request.
    package init(
        _ method: Method,
        _ target: String,
        contentType: String = "",
        body: [UInt8] = []
    ) {
        self.method = method
        self.target = target
        self.contentType = contentType
        self.body = body
    }

    /// Asks for a path with its query.
    package static func get(_ target: String) -> APIRequest { APIRequest(.get, target) }

    /// Whether doing it twice is the same as doing it once, whatever happened in between.
    var isRepeatable: Bool { method == .get }
}

/// A request as it is sent: to whom, and as whom.
struct APIMessage {
    /// The request.
    let request: APIRequest
    /// The server.
    let server: APIServerAddress
    /// The bearer token, if any.
    let token: String?

    private var path: String { server.basePath + request.target }

    private var commonFields: [(name: String, value: String)] {
        var fields = [("user-agent", "martlet"), ("accept", "application/json")]
        if let token { fields.append(("authorization", "Bearer \(token)")) }
        guard !request.body.isEmpty else { return fields }
        fields.append(("content-type", request.contentType))
        fields.append(("content-length", "\(request.body.count)"))
        return fields
    }

    /// The fields of an HTTP/2 request, pseudo-fields first (RFC 9113 section 8.3.1).
    var fields: [(name: String, value: String)] {
        [
            (":method", request.method.rawValue), (":scheme", server.isTLS ? "https" : "http"),
            (":authority", server.authority), (":path", path),
        ] + commonFields
    }

    /// The bytes of an HTTP/1.1 request (RFC 9112 section 2.1).
    var http1: [UInt8] {
        var text = "\(request.method.rawValue) \(path) HTTP/1.1\r\nhost: \(server.authority)\r\n"
        for (name, value) in commonFields { text += "\(name): \(value)\r\n" }
        return Array("\(text)\r\n".utf8) + request.body
    }
}
