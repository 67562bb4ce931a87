/// How the end of a message body is found (RFC 9112 section 6.3).
package enum BodyFraming: BitwiseCopyable, Sendable, Equatable {
    /// There is no body.
    case none
    /// Exactly so many bytes, at least 1.
    case length(UInt64)
    /// Chunked transfer coding.
    case chunked
    /// A response that ends with its connection.
    case untilClose
}
