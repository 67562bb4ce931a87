import Telemetry

/// One answer of the status endpoint.
struct StatusResponse: Equatable, Sendable {
    /// The status code.
    var status: Int
    /// The media type of the body.
    var contentType: String
    /// The body.
    var body: [UInt8]
    /// Fields besides type and length, such as `Allow`.
    var fields: [StatusRequest.Pair] = []

    /// A JSON answer.
    static func json(_ text: String, status: Int = 200) -> StatusResponse {
        StatusResponse(
            status: status,
            contentType: "application/json",
            body: Array((text + "\n").utf8)
        )
    }

    /// An answer in words.
    static func text(
        _ text: String,
        type: String = "text/plain; charset=utf-8"
    ) -> StatusResponse {
        StatusResponse(status: 200, contentType: type, body: Array(text.utf8))
    }

    /// A refusal: `{"error": "…"}`.
    static func refusal(_ status: Int, _ reason: String) -> StatusResponse {
        var json = JSONWriter()
        json.object { json in json.string("error", reason) }
        return .json(json.text, status: status)
    }

    /// The reason phrase of the codes that are used.
    static func reasonPhrase(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }

    /// The bytes of the head and, unless the request was HEAD, the body.
    func bytes(keepsAlive: Bool, withoutBody: Bool) -> [UInt8] {
        var head = "HTTP/1.1 \(status) \(StatusResponse.reasonPhrase(status))\r\n"
        head += "Content-Type: \(contentType)\r\nContent-Length: \(body.count)\r\n"
        head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        for field in fields { head += "\(field.name): \(field.value)\r\n" }
        head += keepsAlive ? "\r\n" : "Connection: close\r\n\r\n"
        return Array(head.utf8) + (withoutBody ? [] : body)
    }
}
