/// Why a regular expression is refused.
package struct PatternFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was expected and what came.
    package let reason: String
    /// Where, in characters from the start; -1 where it is the whole.
    package let offset: Int

    /// What was expected, what came, where.
    package var description: String {
        offset < 0 ? reason : "\(reason) at character \(offset)"
    }
}
