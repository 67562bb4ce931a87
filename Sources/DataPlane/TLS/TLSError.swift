/// Why TLS material or a handshake is refused.
package struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was expected and what came.
    package let description: String

    /// Makes an error.
    package init(_ description: String) { self.description = description }
}
