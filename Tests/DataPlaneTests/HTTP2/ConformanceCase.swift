import Testing

/// One case of the conformance corpus: what a client sends, and what must come of it.
struct ConformanceCase: CustomTestStringConvertible, Sendable {
    /// What must come of it.
    enum Outcome: Equatable, Sendable {
        /// The stream is answered by a status, and the connection goes on.
        case status(UInt32, String)
        /// The stream is reset with a code, and the connection goes on.
        case stream(UInt32, HTTP2Code)
        /// GOAWAY with a code, then the connection is closed.
        case connection(HTTP2Code)
        /// Nothing comes of it: the connection goes on, and a further request is served.
        case ignored
        /// It is acknowledged by a frame of a type with the ACK flag.
        case acknowledged(UInt8)
    }

    /// The section of RFC 9113, or of RFC 7541 with a `H`.
    var section: String
    var name: String
    var outcome: Outcome
    var bytes: [UInt8]
    /// Whether the preface and empty SETTINGS come first.
    var hasPreface = true

    var testDescription: String { "\(section) \(name)" }

    init(_ section: String, _ name: String, _ outcome: Outcome, _ frames: [UInt8]...) {
        self.section = section
        self.name = name
        self.outcome = outcome
        bytes = frames.flatMap(\.self)
    }

    /// A case of bytes in place of the preface.
    static func raw(_ section: String, _ name: String, _ outcome: Outcome, _ frames: [UInt8]...)
        -> ConformanceCase
    {
        var made = ConformanceCase(section, name, outcome, frames.flatMap(\.self))
        made.hasPreface = false
        return made
    }
}

/// Error codes (RFC 9113 section 7).
enum HTTP2Code: UInt32, Sendable {
    case noError = 0
    case protocolError = 1
    case internalError = 2
    case flowControl = 3
    case streamClosed = 5
    case frameSize = 6
    case refused = 7
    case cancel = 8
    case compression = 9
    case calm = 11
}

/// Short forms for the corpus.
enum Wire {
    typealias F = HTTP2Frames
    static let get = F.block(F.get)
    static let post = F.block([(":method", "POST")] + F.get.dropFirst())

    /// HEADERS that end headers and stream.
    static func request(_ stream: UInt32, _ more: [(String, String)] = []) -> [UInt8] {
        F.frame(1, 5, stream, get + F.block(more))
    }

    /// HEADERS of a request whose body is to come.
    static func open(_ stream: UInt32, _ more: [(String, String)] = []) -> [UInt8] {
        F.frame(1, 4, stream, post + F.block(more))
    }

    /// HEADERS of a request whose fields replace those of the same name.
    static func altered(_ stream: UInt32, _ name: String, _ value: String) -> [UInt8] {
        F.frame(1, 5, stream, F.block(F.get.map { $0.0 == name ? (name, value) : $0 }))
    }

    /// HEADERS of a request without a pseudo field.
    static func without(_ stream: UInt32, _ name: String) -> [UInt8] {
        F.frame(1, 5, stream, F.block(F.get.filter { $0.0 != name }))
    }

    /// HEADERS with a block as it is.
    static func block(_ stream: UInt32, _ block: [UInt8]) -> [UInt8] {
        F.frame(1, 5, stream, block)
    }

    static func data(_ stream: UInt32, _ count: Int, ends: Bool = false) -> [UInt8] {
        F.frame(0, ends ? 1 : 0, stream, zeros(count))
    }

    static func settings(_ id: UInt16, _ value: UInt32) -> [UInt8] {
        let parts = [
            UInt32(id) >> 8, UInt32(id) & 255, value >> 24, value >> 16, value >> 8, value,
        ]
        return F.frame(4, 0, 0, parts.map { UInt8(truncatingIfNeeded: $0) })
    }

    static func priority(_ stream: UInt32, on other: UInt32) -> [UInt8] {
        let parts = [other >> 24, other >> 16, other >> 8, other, 16]
        return F.frame(2, 0, stream, parts.map { UInt8(truncatingIfNeeded: $0) })
    }

    static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    static let ping = F.frame(6, 0, 0, zeros(8))
}
