/// A request method the engine knows, or `other` for any other token.
package enum HTTPMethod: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// A method the engine does not know; its text is in the buffer.
    case other
    /// GET (RFC 9110 section 9.3.1).
    case get
    /// HEAD (RFC 9110 section 9.3.2).
    case head
    /// POST (RFC 9110 section 9.3.3).
    case post
    /// PUT (RFC 9110 section 9.3.4).
    case put
    /// DELETE (RFC 9110 section 9.3.5).
    case delete
    /// CONNECT (RFC 9110 section 9.3.6).
    case connect
    /// OPTIONS (RFC 9110 section 9.3.7).
    case options
    /// TRACE (RFC 9110 section 9.3.8).
    case trace
    /// PATCH (RFC 5789).
    case patch

    /// The method as it stands on the wire; empty for `other`.
    package var text: StaticString {
        switch self {
        case .other: ""
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .connect: "CONNECT"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .patch: "PATCH"
        }
    }

    /// Whether repeating the request is harmless by definition (RFC 9110 section 9.2.2).
    package var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .other, .post, .connect, .patch: false
        }
    }

    /// Whether the request asks for nothing to be done (RFC 9110 section 9.2.1).
    package var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace: true
        case .other, .post, .put, .delete, .connect, .patch: false
        }
    }

    /// Recognises a method of `count` bytes at `offset`. Methods are case-sensitive.
    @inline(__always)
    static func identify(_ bytes: RawSpan, offset: Int, count: Int) -> HTTPMethod {
        guard count >= 3 && count <= 7 else { return .other }
        let word = bytes.word(at: offset) & (1 << UInt64(count * 8) &- 1)
        // The constants are filled up with zeros: a token that ends in NUL is none of them.
        guard word >> UInt64(count * 8 - 8) != 0 else { return .other }
        return switch word {
        case 0x0054_4547: .get
        case 0x4441_4548: .head
        case 0x5453_4f50: .post
        case 0x0054_5550: .put
        case 0x4554_454c_4544: .delete
        case 0x0054_4345_4e4e_4f43: .connect
        case 0x0053_4e4f_4954_504f: .options
        case 0x0045_4341_5254: .trace
        case 0x0048_4354_4150: .patch
        default: .other
        }
    }
}
