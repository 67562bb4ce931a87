/// What is wrong with the agent's file, or with an option that overrides it.
struct ConfigurationFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file, or `command line`.
    var path: String
    /// The line; 0 where there is none.
    var line: Int
    /// What was expected and what came.
    var reason: String

    /// `path:line: reason`.
    var description: String { line > 0 ? "\(path):\(line): \(reason)" : "\(path): \(reason)" }
}
